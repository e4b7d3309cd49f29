//! What goes over the wires, without the wires: bytes in, what was said out. No I/O.

pub mod carry;
pub mod console;
pub mod console_wifi;
#[cfg(test)]
mod openssl;
#[cfg(test)]
mod recorded;
pub mod seal;
pub mod softap;

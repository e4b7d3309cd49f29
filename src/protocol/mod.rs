//! What goes over the wires, without the wires: bytes in, what was said out. No I/O.

pub mod carry;
pub mod console;
pub mod console_wifi;
#[cfg(test)]
pub(crate) mod openssl;
#[cfg(test)]
pub(crate) mod recorded;
pub mod seal;
pub mod softap;

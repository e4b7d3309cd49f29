//! What goes over the wires, without the wires: bytes in, what was said out. No I/O.

pub mod console;
#[cfg(test)]
mod openssl;
pub mod seal;

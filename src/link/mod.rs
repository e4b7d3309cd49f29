//! The wires: a serial port, and finding one.

pub mod discovery;

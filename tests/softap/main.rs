//! Photons on their own access point, and Wi-Fi over either wire: from the device's side, and through the
//! whole program.
#![cfg(unix)]

mod console;
mod device;
mod hostile;
mod lab;

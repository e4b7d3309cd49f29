//! The program itself, as a process, over real ptys and sockets: a board from plugged in to verified,
//! and all that can go wrong on the way.
#![cfg(unix)]

mod already;
mod bench;
mod cloud_faults;
mod door;
mod happy;
mod interrupted;
#[cfg(all(target_os = "linux", feature = "join"))]
mod join;
mod killed;
#[cfg(all(target_os = "linux", feature = "join"))]
mod network_manager;
mod output;
mod photon_faults;
mod refusals;
mod requests;
mod secrets;
mod softap;
mod stream;
mod transport;
mod typed;

//! `provision bench` as a process: real ptys for boards, real sockets for the cloud, real databases for the
//! ledger.
#![cfg(unix)]

// Harnesses of other tests, of which this one needs a part.
#[allow(dead_code)]
#[path = "../run/bench.rs"]
mod bench;
#[allow(dead_code)]
#[path = "../record/cable.rs"]
mod cable;
#[allow(dead_code)]
#[path = "../record/cluster.rs"]
mod cluster;

mod cloud;
mod crashes;
mod floor;
mod hooks;
mod hot_plug;
mod ledger;
mod orders;
mod shift;

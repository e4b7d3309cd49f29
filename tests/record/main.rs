//! The ledger: the same tests on SQLite and on a real PostgreSQL, and of the program itself.
#![cfg(unix)]

// The workplace of the tests of whole runs.
#[allow(dead_code)]
#[path = "../run/bench.rs"]
mod bench;
mod cable;
mod checker;
mod cluster;
mod commands;
mod door;
mod full_disk;
mod killed;
mod outage;
mod place;
mod restart;
mod suite;

//! The ledger: the same tests on SQLite and on a real PostgreSQL.
#![cfg(unix)]

mod cluster;
mod place;
mod restart;
mod suite;

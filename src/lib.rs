//! Takes a Particle Photon from its bag to a customer's account.
//!
//! The main job reads top to bottom in [`workflow::run()`]. The rooms, from the ground up; each uses
//! only those above it in this list:
//!
//! | room | what lives there |
//! |---|---|
//! | [`model`] | plain values with their checks: ids, codes, names, events, failures |
//! | [`protocol`] | what goes over the wires, without the wires: bytes in, what was said out |
//! | [`link`] | the wires: a serial port, and finding one |
//! | [`device`] | a Photon in setup mode behind one trait, and how to get one there |
//! | [`cloud`] | the Particle API: one client, tokens, one file a resource |
//! | [`workflow`] | the steps, their order, their deadlines |
//! | [`record`] | the ledger of runs: SQLite or PostgreSQL, and its migrations |
//! | [`bench`](mod@bench) | many boards at once: what is plugged in, whose turn it is, orders, hooks |
//! | [`report`] | listeners: live lines, plain lines, JSON lines |
//! | [`sim`] | a strict Photon and a strict cloud, to work with no hardware |
//! | [`cli`] | commands, settings, wording, exit codes |
#![warn(missing_docs)]

pub mod bench;
pub mod cli;
pub mod cloud;
pub mod device;
pub mod link;
pub mod model;
pub mod protocol;
pub mod record;
pub mod report;
pub mod sim;
pub mod workflow;

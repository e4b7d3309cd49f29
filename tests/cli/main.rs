//! The real binary, as its user sees it: what it prints, where, and how it ends.
#![cfg(unix)]

mod demo;
mod exit_codes;
mod help;
mod identify;
mod list;
mod program;
mod secrets;
mod settings;
mod simulate;
mod simulators;
mod terminal;
mod udev;

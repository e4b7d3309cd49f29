//! The real binary, as its user sees it: what it prints, where, and how it ends.
#![cfg(unix)]

mod accounts;
mod any_call;
mod config;
mod demo;
mod devices;
mod doctor;
mod exit_codes;
mod help;
mod identify;
mod list;
mod login;
mod program;
mod release;
mod secrets;
mod settings;
mod shell;
mod simulate;
mod simulators;
mod terminal;
mod typing;
mod udev;

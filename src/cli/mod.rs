//! The command line: commands, settings, wording, exit codes. No logic that a user of the library
//! would miss.

mod account;
mod announce;
mod api;
mod ask;
mod bench;
mod claim_code;
mod clients;
mod config;
pub mod confirm;
mod customers;
#[cfg(unix)]
mod demo;
mod devices;
mod doctor;
mod echo;
pub mod environment;
pub mod exit;
mod explain;
mod history;
mod identify;
mod import;
#[cfg(all(target_os = "linux", feature = "join"))]
mod join;
mod ledger;
pub mod list;
pub mod listing;
mod logging;
mod moment;
mod organizations;
mod products;
pub mod profiles;
mod release;
mod report;
mod reveal;
mod root;
mod run;
mod scan;
pub mod secrets;
mod set_wifi;
pub mod settings;
mod shell;
pub mod sign_in;
mod signals;
mod simulate_cloud;
#[cfg(unix)]
pub mod simulate_photon;
mod ticket;
mod token;
mod transfer;
pub mod udev;
mod wifi;
mod wire;

pub use root::main;

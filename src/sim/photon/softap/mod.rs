//! A simulated Photon's own access point: setup over HTTP (port 80 on the real one) and over a small TCP
//! protocol (port 5609), the same JSON on both.
//!
//! | file | what of it |
//! |---|---|
//! | `access_point` | there while the board listens, gone when it does not |
//! | `http_server`, `http` | WICED's HTTP server, which searches segments for exact strings |
//! | `tcp_server` | the protocol on the other port |
//! | `port` | what both servers do alike: one thread for all clients, and answers that go wrong |
//! | `wire_state` | what goes on at a port, to be watched |
//! | `commands`, `configure` | what is understood, and what comes of it |
//! | `json`, `pieces` | how the firmware reads JSON, and how it writes it |
//! | `device_key` | the device's RSA key: opens what was sealed for it |
//! | `scanner` | the radio's scan, which two wires must not ask for at once |
//! | `wiced` | numbers for kinds of security |
//! | `answer_fault` | what goes wrong, on request |
//!
//! The facts are those of `hal/src/photon/softap.cpp`, `softap_ip.c` and `wlan_hal.cpp`, of
//! `services/src/jsmn.c`, and of the recordings in `fixtures/`.
//!
//! Where it is not the real thing: a segment is what one read finds, 1,152 bytes at most, so that two
//! short writes that come before the first is read look like one segment. When the access point goes away
//! its connections are closed, where the real ones just fall silent. A deadlock of both wires lasts until
//! listening ends, on the real board until a reset. Memory never runs out, and where the firmware would
//! read memory that nobody wrote there are zeros, or nothing.

mod access_point;
mod answer_fault;
mod commands;
mod configure;
mod device_key;
mod http;
mod http_server;
mod json;
mod pieces;
mod port;
mod scanner;
mod tcp_server;
mod wiced;
mod wire_state;

pub use device_key::DeviceKey;
pub use wire_state::WireState;

pub(super) use access_point::AccessPoint;
pub(super) use answer_fault::{AnswerFault, AnswerFaultKind};
pub(super) use commands::Command;

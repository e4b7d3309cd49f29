//! The simulated Photon against the firmware's recordings and against what is known of it, over real
//! ptys and sockets. Nothing here waits for time to pass: that the board says nothing is proved by what it says
//! next coming first.
#![cfg(unix)]

mod cloud;
mod commands;
mod faults;
mod left_over;
mod lines;
mod port;
mod softap;
mod softap_faults;
mod softap_http;
mod softap_tcp;
mod softap_transcripts;
mod softap_wifi;
mod softap_wire;
mod transcripts;
mod versions;
mod wifi;
mod wire;

//! A simulated Photon on a pseudo-terminal, and as an access point.
//!
//! It is written from the firmware's side and shares nothing with the code that talks to Photons: the
//! same misunderstanding cannot sit on both ends. [`SimPhoton::start`] plugs one in; each is a task or
//! two.
//!
//! | file | what of the board it is |
//! |---|---|
//! | `config` | how it left the factory, and what its surroundings are |
//! | `state` | what it knows and does; apart from any wire, so that other wires can share it |
//! | `board` | power, boot, restart, the person's hands, the line speed |
//! | `usb_port`, `pty` | the plug: a pty, the stable link to it, vanishing and coming back |
//! | `serial` | the byte stream: receive ring, what is thrown away, injected faults |
//! | `console`, `wifi_dialogue`, `ymodem` | what answers in listening mode |
//! | [`softap`] | what answers in listening mode over HTTP and TCP |
//! | `credentials`, `pem`, `hex`, `network` | the rules by which Wi-Fi credentials are saved or refused |
//! | `radio` | joining a network, the session with the cloud, presenting the claim code |
//! | `versions` | what differs between releases of the firmware |
//! | `faults`, `left_in` | things that go wrong, on request |
//!
//! The facts are those of Device OS 0.4.9 to 3.3.1: `system/src/system_setup.cpp`,
//! `wiring/src/spark_wiring_stream.cpp`, `system/src/system_ymodem.cpp`,
//! `system/src/system_network_wifi.h`, `hal/src/photon/wlan_hal.cpp`, and the recordings in
//! `fixtures/`.
//!
//! Where it is not the real thing: a pty has no packets, and its kernel buffers stand in for the host's
//! and for the device's transmit ring (when nobody reads, output stalls once they are full, and the
//! board with it, and nothing is lost). A pty does not tell when it is opened or closed: what was
//! printed while nobody had it open is there for the next to open it, and a line speed is noticed only
//! when it *changes* and stays for some milliseconds. No firmware file is ever taken.

mod board;
mod config;
mod console;
mod credentials;
mod effect;
mod faults;
mod hex;
mod left_in;
mod network;
mod pem;
mod pty;
mod radio;
mod serial;
mod sim_photon;
pub mod softap;
mod state;
mod usb_port;
mod versions;
mod wifi_dialogue;
mod ymodem;

pub use config::{FirmwareUpdate, InvalidConfig, PhotonConfig};
pub use effect::{Effect, ListenEnd, Typed};
pub use faults::PhotonFault;
pub use left_in::LeftIn;
pub use network::{Cipher, Network, Security};
pub use sim_photon::SimPhoton;
pub use softap::{DeviceKey, WireState};
pub use state::{Mode, PhotonState, SavedNetwork};

//! A strict Photon and a strict cloud, to work with no hardware.

pub mod cloud;

//! A Photon and a cloud to work against with no hardware: byte-level and strict, they refuse what the
//! real ones refuse. Used by the tests, by the demo, and by people who build against Particle.

pub mod cloud;
#[cfg(unix)]
pub mod photon;

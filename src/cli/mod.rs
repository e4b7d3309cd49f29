//! Under way.

#[cfg(unix)]
pub mod simulate_photon;

//! Under way.
pub mod simulate_cloud;

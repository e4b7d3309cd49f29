//! photon_faults

//! cloud_faults

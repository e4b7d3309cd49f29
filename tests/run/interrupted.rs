//! interrupted

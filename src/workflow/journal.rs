//! What a run asks of whoever keeps its record.

use async_trait::async_trait;

use super::Job;
use crate::{
    device::Tell,
    model::{DeviceId, Failure, Identity, Part, Step, Summary},
};

/// The record of one run. Unlike a listener to its events, it is waited for, and it can stop the run:
/// a step that cannot be taken back is not begun before its intent is kept.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Before anything happens to a board: this is about to be done.
    async fn begin(&self, job: &Job, part: Part) -> Result<(), Failure>;

    /// Which board it is. Waits while another run, on whichever bench, works on the same one.
    async fn take(&self, device_id: &DeviceId, tell: Tell<'_>) -> Result<(), Failure>;

    /// What the board says of itself; kept with what is written next.
    fn met(&self, identity: &Identity);

    /// Before the part of a step that cannot be taken back.
    async fn intend(&self, step: Step) -> Result<(), Failure>;

    /// How it ended; gives what is told of that. Who keeps the record may know the reason of a failure better,
    /// and what cannot be kept does not pass. What could not be begun need not be ended, but may.
    async fn end(&self, result: Result<Summary, Failure>) -> Result<Summary, Failure>;
}

/// No record: for dry runs, and for those who keep their own.
#[derive(Debug, Clone, Copy)]
pub struct Unrecorded;

#[async_trait]
impl Journal for Unrecorded {
    async fn begin(&self, _: &Job, _: Part) -> Result<(), Failure> {
        Ok(())
    }

    async fn take(&self, _: &DeviceId, _: Tell<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn met(&self, _: &Identity) {}

    async fn intend(&self, _: Step) -> Result<(), Failure> {
        Ok(())
    }

    async fn end(&self, result: Result<Summary, Failure>) -> Result<Summary, Failure> {
        result
    }
}

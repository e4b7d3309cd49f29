//! Tells the listeners how a step goes.

use std::time::Instant;

use crate::{
    device::Note,
    model::{DeviceId, EventKind, Events, Failure, Outcome, Step},
};

/// A step's events.
#[derive(Clone)]
pub struct Track {
    events: Events,
}

impl Track {
    pub fn new(events: Events) -> Self {
        Self { events }
    }

    /// Does the work of a step: tells its start, and its end with what the work gives beside its
    /// value: how it ended and a note. A failure learns which step it was seen in.
    pub async fn step<T, E: InStep>(
        &self,
        step: Step,
        work: impl Future<Output = Result<(T, Outcome, String), E>>,
    ) -> Result<T, E> {
        self.events.send(EventKind::StepStarted { step });
        let begun = Instant::now();
        let (value, outcome, note) = work.await.map_err(|e| e.in_step(step))?;
        self.events.send(EventKind::StepEnded { step, outcome, note, took: begun.elapsed() });
        Ok(value)
    }

    /// Tells what a step is waiting for.
    pub fn note(&self, step: Step, note: Note) {
        self.events.send(match note {
            Note::Action(action) => EventKind::ActionNeeded { step, action },
            Note::Text(note) => EventKind::StepNote { step, note },
            Note::Again(note) => EventKind::StepRetried { step, note },
        });
    }

    /// Tells which board it is.
    pub fn known(&self, device_id: &DeviceId) {
        self.events.send(EventKind::DeviceKnown { device_id: device_id.clone() });
    }
}

/// Errors that can carry the step they were seen in.
pub trait InStep {
    /// The same, seen in this step.
    #[must_use]
    fn in_step(self, step: Step) -> Self;
}

impl InStep for Failure {
    fn in_step(self, step: Step) -> Self {
        Self::in_step(self, step)
    }
}

use std::time::Duration;

use super::commands::Command;

/// What can go wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim::photon) enum AnswerFaultKind {
    /// The connection is reset in the middle.
    Reset,
    /// It comes later.
    Slow(Duration),
    /// Bytes of no meaning stand in place of the JSON.
    Garbage,
    /// It has no end.
    Endless,
}

/// Something that goes wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim::photon) struct AnswerFault {
    pub(in crate::sim::photon) kind: AnswerFaultKind,
    /// Only when this was asked for.
    command: Option<Command>,
}

impl AnswerFault {
    /// `reset[:COMMAND]`, `slow:MS[:COMMAND]`, `garbage[:COMMAND]`, `endless[:COMMAND]`.
    pub(in crate::sim::photon) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let kind = match parts.next()? {
            "reset" => AnswerFaultKind::Reset,
            "slow" => AnswerFaultKind::Slow(Duration::from_millis(parts.next()?.parse().ok()?)),
            "garbage" => AnswerFaultKind::Garbage,
            "endless" => AnswerFaultKind::Endless,
            _ => return None,
        };
        let command = match parts.next() {
            Some(name) => Some(Command::named(name.as_bytes())?),
            None => None,
        };
        parts.next().is_none().then_some(Self { kind, command })
    }

    pub(in crate::sim::photon) fn hits(self, command: Command) -> bool {
        self.command.is_none_or(|only| only == command)
    }
}

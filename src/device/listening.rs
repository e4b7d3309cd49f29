//! Getting a Photon on USB into listening mode, and its console to the idle prompt.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::debug;

use super::{
    Manner, Note, Tell, UsbPhoton,
    usb::{Answer, Heard, Stop},
};
use crate::{
    link::serial::baud,
    model::{Action, Failure, FailureCode, Identity},
    protocol::console::{Said, command},
};

impl UsbPhoton {
    /// Asks until the board answers; brings it into listening mode where `manner` allows that.
    pub(super) async fn listen(&mut self, manner: Manner, tell: Tell<'_>) -> Result<Identity, Failure> {
        let until = Instant::now() + self.patience.listening;
        let mut waking = Waking::Untried;
        self.open_when_free(tell).await?;
        loop {
            match self.listen_once(manner, &mut waking, until, tell).await {
                Ok(Some(identity)) => return self.recognise(identity),
                Ok(None) => {}
                Err(Stop::Failed(failure)) => return Err(failure),
                Err(Stop::Lost(error)) if Instant::now() < until && manner == Manner::Touch => {
                    self.reopen(&error, tell).await?;
                }
                Err(Stop::Lost(error)) => {
                    return Err(Failure::new(FailureCode::NoAnswer, "the port went away").because(error));
                }
            }
        }
    }

    async fn open_when_free(&mut self, tell: Tell<'_>) -> Result<(), Failure> {
        let until = Instant::now() + self.patience.busy;
        let mut is_told = false;
        loop {
            match self.open().await {
                Err(failure) if failure.code == FailureCode::PortBusy && Instant::now() < until => {
                    if !std::mem::replace(&mut is_told, true) {
                        tell(Note::Text("another program has its port; waiting for it to let go".into()));
                    }
                    sleep(Duration::from_millis(250)).await;
                }
                opened => return opened,
            }
        }
    }

    async fn listen_once(
        &mut self,
        manner: Manner,
        waking: &mut Waking,
        until: Instant,
        tell: Tell<'_>,
    ) -> Result<Option<Identity>, Stop> {
        let answer = match manner {
            Manner::LookOnly => self.look().await?,
            Manner::Tidy | Manner::Touch => self.ask().await?,
        };
        match answer {
            Answer::Identity(identity) => {
                self.in_dialogue = false;
                // A person did it because this run asked for it.
                self.owes_exit |= *waking != Waking::Untried;
                return Ok(Some(identity));
            }
            Answer::Silence if manner < Manner::Touch => return Err(Stop::Failed(self.not_listening())),
            Answer::Dialogue | Answer::Transfer if manner < Manner::Tidy => {
                return Err(Stop::Failed(self.in_dialogue(&answer)));
            }
            Answer::LineEnded => return Err(Stop::Failed(self.in_dialogue(&answer))),
            Answer::Dialogue => {
                tell(Note::Text("somebody left the console inside a dialogue; leaving it".into()));
                self.leave_dialogue(until).await?;
            }
            Answer::Transfer => {
                tell(Note::Text(
                    "somebody left the board waiting for a firmware transfer; ending that".into(),
                ));
                self.write(&[command::ABORT_TRANSFER]).await?;
            }
            Answer::Silence => match waking {
                // Firmware 0.4 takes this speed for the start of a firmware transfer; a device id as
                // USB serial number came with 0.6.0, so it proves that this firmware does not.
                Waking::Untried if self.found.as_ref().is_some_and(|f| f.device_id.is_some()) => {
                    *waking = Waking::BySpeed { until: until.min(Instant::now() + self.patience.wake) };
                    tell(Note::Text("not listening; putting it into listening mode".into()));
                    self.owes_exit = true;
                    self.wake_by_speed().await?;
                }
                // One whose queue held exit commands leaves listening as soon as it comes there.
                Waking::BySpeed { until } if Instant::now() < *until => self.wake_by_speed().await?,
                Waking::Untried | Waking::BySpeed { .. } => {
                    *waking = Waking::ByHand;
                    tell(Note::Action(Action::HoldSetupButton));
                    // To a board that does not come, the exit command would stay queued, and end the next
                    // listening as soon as it begins.
                    self.owes_exit = false;
                    if !self.wait_for_word(until).await? {
                        return Err(Stop::Failed(self.not_listening()));
                    }
                }
                Waking::ByHand if Instant::now() >= until => return Err(Stop::Failed(self.not_listening())),
                Waking::ByHand => {
                    self.wait_for_word(until).await?;
                }
            },
        }
        Ok(None)
    }

    async fn wake_by_speed(&mut self) -> Result<(), Stop> {
        self.set_baud(baud::LISTEN)?;
        self.wait_for_word(Instant::now() + self.patience.silence).await?;
        // The board sees a speed only when it changes.
        Ok(self.set_baud(baud::PLAIN)?)
    }

    /// Waits until the console says something that only a listening board says. The question is
    /// asked again now and then: firmware that is running may have swallowed it.
    async fn wait_for_word(&mut self, until: Instant) -> Result<bool, Stop> {
        while Instant::now() < until {
            self.write(&[command::IDENTIFY]).await?;
            let ask_again = until.min(Instant::now() + self.patience.silence);
            loop {
                match self.hear(self.patience.silence, ask_again, None).await? {
                    Heard::Said(Said::Line(line)) => debug!(line, "not an answer"),
                    Heard::Said(_) => return Ok(true),
                    Heard::Silence | Heard::Echo => break,
                }
            }
        }
        Ok(false)
    }

    fn not_listening(&self) -> Failure {
        Failure::new(
            FailureCode::NotListening,
            format!("the board at {} does not answer in listening mode", self.port().display()),
        )
    }

    fn in_dialogue(&self, answer: &Answer) -> Failure {
        let port = self.port();
        let port = port.display();
        Failure::new(
            FailureCode::InDialogue,
            match answer {
                Answer::Transfer => format!("the board at {port} was left waiting for a firmware transfer"),
                Answer::LineEnded => format!(
                    "the console of {port} was left inside a dialogue with a full line, and took that with the first byte that came"
                ),
                _ => format!("the console of {port} was left inside a dialogue"),
            },
        )
    }

    /// Refuses a board that is not the one that was asked for, or not the one of a moment ago.
    fn recognise(&mut self, identity: Identity) -> Result<Identity, Failure> {
        let expected = self.known.as_ref().or(self.found.as_ref().and_then(|f| f.device_id.as_ref()));
        if let Some(expected) = expected.filter(|id| **id != identity.id) {
            return Err(Failure::new(
                FailureCode::WrongDevice,
                format!("the board at {} is {}, not {expected}", self.port().display(), identity.id),
            ));
        }
        self.known = Some(identity.id.clone());
        Ok(identity)
    }
}

/// How far the board has been asked to listen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waking {
    Untried,
    /// By the line speed, again and again until then: that does nothing to a board that listens.
    BySpeed {
        until: Instant,
    },
    ByHand,
}

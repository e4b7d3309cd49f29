use std::{str::FromStr, time::Duration};

use crate::model::Invalid;

use super::softap::{AnswerFault, AnswerFaultKind, Command};

/// A place in the byte stream, counted in bytes from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// Every byte whose count since the start of the simulator is a multiple of this.
    Every(u64),
    /// This byte of a line typed at the claim-code prompt; 64 is what ends a whole code.
    OfCode(u8),
}

/// A place in a dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before a question.
    BeforePrompt,
    /// Between a question and its answer's echo.
    AfterPrompt,
    /// Before an answer.
    BeforeReply,
    /// After an answer.
    AfterReply,
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    DropReceived(Where),
    DoubleReceived(Where),
    DelayReceived(Where, Duration),
    DropSent(Where),
    DoubleSent(Where),
    HangUp(Where, Duration),
    Garbage,
    Log(Moment),
    LogCode,
    Answer(AnswerFault),
}

/// Something that goes wrong a number of times and then no more. Read from its text form:
///
/// | text | what happens |
/// |---|---|
/// | `drop:WHERE` | a byte to the board is lost |
/// | `double:WHERE` | a byte to the board arrives twice |
/// | `delay:WHERE:MS` | a byte to the board, and all that follow, arrive later |
/// | `drop-sent:WHERE`, `double-sent:WHERE` | a byte from the board is lost, arrives twice |
/// | `hang-up:WHERE[:MS]` | the port vanishes on that byte and comes back under another name (after 20 ms); the board keeps its power and its place in the dialogue |
/// | `garbage` | bytes of no meaning before a prompt |
/// | `log:MOMENT` | a log line of user firmware; `before-prompt`, `after-prompt`, `before-reply`, `after-reply` |
/// | `log-code` | a log line with the claim code in it, before the confirmation |
/// | `softap-reset[:COMMAND]` | SoftAP: the connection is reset in the middle of the answer |
/// | `softap-slow:MS[:COMMAND]` | SoftAP: the answer comes later, and so does everybody else's on that wire |
/// | `softap-garbage[:COMMAND]` | SoftAP: bytes of no meaning in place of the JSON |
/// | `softap-endless[:COMMAND]` | SoftAP: an answer without an end |
///
/// `WHERE` is `code@N`, the Nth byte of the next claim code (`code` alone: the 32nd), or `N`, every Nth
/// byte. `COMMAND` is `device-id`, `set` and so on: only answers to it count; without it, to any. `xTIMES`
/// at the end repeats: `drop:code@7x2` in each of two codes. Without it, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhotonFault {
    pub(super) fault: Fault,
    times: u32,
}

impl FromStr for PhotonFault {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid {
            what: "a fault of the simulated Photon",
            why: "looks like drop:code@7, hang-up:code:50, log:before-replyx3 or garbage".into(),
        };
        let (text, times) = match text.rsplit_once('x').map(|(fault, times)| (fault, times.parse())) {
            Some((fault, Ok(times))) => (fault, times),
            _ => (text, 1),
        };
        if let Some(fault) = text.strip_prefix("softap-") {
            let fault = Fault::Answer(AnswerFault::parse(fault).ok_or_else(invalid)?);
            return Ok(Self { fault, times });
        }
        let mut parts = text.split(':');
        let kind = parts.next().unwrap_or_default();
        let place = parts.next();
        let millis = parts.next().map(|ms| ms.parse().map(Duration::from_millis)).transpose();
        let millis = millis.map_err(|_| invalid())?;
        let somewhere = || place.and_then(parse_where).ok_or_else(invalid);
        let fault = match (kind, place, millis) {
            ("drop", _, None) => Fault::DropReceived(somewhere()?),
            ("double", _, None) => Fault::DoubleReceived(somewhere()?),
            ("delay", _, Some(time)) => Fault::DelayReceived(somewhere()?, time),
            ("drop-sent", _, None) => Fault::DropSent(somewhere()?),
            ("double-sent", _, None) => Fault::DoubleSent(somewhere()?),
            ("hang-up", _, time) => Fault::HangUp(somewhere()?, time.unwrap_or(Duration::from_millis(20))),
            ("garbage", None, None) => Fault::Garbage,
            ("log-code", None, None) => Fault::LogCode,
            ("log", Some(moment), None) => Fault::Log(match moment {
                "before-prompt" => Moment::BeforePrompt,
                "after-prompt" => Moment::AfterPrompt,
                "before-reply" => Moment::BeforeReply,
                "after-reply" => Moment::AfterReply,
                _ => return Err(invalid()),
            }),
            _ => return Err(invalid()),
        };
        if parts.next().is_some() {
            return Err(invalid());
        }
        Ok(Self { fault, times })
    }
}

fn parse_where(text: &str) -> Option<Where> {
    match text.strip_prefix("code") {
        Some("") => Some(Where::OfCode(32)),
        Some(at) => at.strip_prefix('@')?.parse().ok().filter(|at| (1..=64).contains(at)).map(Where::OfCode),
        None => text.parse().ok().filter(|&every| every > 0).map(Where::Every),
    }
}

/// What becomes of a received byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reception {
    pub(super) copies: usize,
    pub(super) delay: Duration,
    pub(super) hang_up: Option<Duration>,
}

/// The faults that are still to come, and the counting for them.
pub(super) struct Faults {
    left: Vec<PhotonFault>,
    received: u64,
    sent: u64,
    // Bytes received and sent since the claim-code prompt, while it waits for its line.
    of_code: Option<(u8, u8)>,
}

impl Faults {
    pub(super) fn new(faults: &[PhotonFault]) -> Self {
        Self { left: faults.to_vec(), received: 0, sent: 0, of_code: None }
    }

    /// A line at the claim-code prompt begins, or is over.
    pub(super) fn code_line(&mut self, inside: bool) {
        self.of_code = inside.then_some((0, 0));
    }

    pub(super) fn on_received(&mut self) -> Reception {
        self.received += 1;
        if let Some((received, _)) = &mut self.of_code {
            *received = received.saturating_add(1);
        }
        let (count, of_code) = (self.received, self.of_code.map(|(received, _)| received));
        let mut reception = Reception { copies: 1, delay: Duration::ZERO, hang_up: None };
        self.spend(|fault| {
            let (Fault::DropReceived(place)
            | Fault::DoubleReceived(place)
            | Fault::DelayReceived(place, _)
            | Fault::HangUp(place, _)) = fault
            else {
                return false;
            };
            if !hits(place, count, of_code) {
                return false;
            }
            match fault {
                Fault::DropReceived(_) => reception.copies = 0,
                Fault::DoubleReceived(_) => reception.copies = 2,
                Fault::DelayReceived(_, time) => reception.delay = time,
                Fault::HangUp(_, time) => reception.hang_up = Some(time),
                _ => {}
            }
            true
        });
        reception
    }

    /// How many copies of a sent byte arrive.
    pub(super) fn on_sent(&mut self) -> usize {
        self.sent += 1;
        if let Some((_, sent)) = &mut self.of_code {
            *sent = sent.saturating_add(1);
        }
        let (count, of_code) = (self.sent, self.of_code.map(|(_, sent)| sent));
        let mut copies = 1;
        self.spend(|fault| match fault {
            Fault::DropSent(place) if hits(place, count, of_code) => {
                copies = 0;
                true
            }
            Fault::DoubleSent(place) if hits(place, count, of_code) => {
                copies = 2;
                true
            }
            _ => false,
        });
        copies
    }

    /// What goes wrong with SoftAP's answer to a command.
    pub(super) fn on_answer(&mut self, command: Command) -> Vec<AnswerFaultKind> {
        let mut wrong = Vec::new();
        self.spend(|fault| match fault {
            Fault::Answer(fault) if fault.hits(command) => {
                wrong.push(fault.kind);
                true
            }
            _ => false,
        });
        wrong
    }

    /// What else is printed at this moment; `code` is the claim code, where there is one to tell.
    pub(super) fn on_moment(&mut self, moment: Moment, code: Option<&[u8]>) -> Vec<u8> {
        let mut noise = Vec::new();
        self.spend(|fault| match fault {
            Fault::Garbage if moment == Moment::BeforePrompt => {
                noise.extend(b"\x00\xff\x1b[31m~}\xc3\x28 Enter\x07\r");
                true
            }
            Fault::Log(at) if at == moment => {
                noise.extend(b"0000042137 [app] INFO: temperature 21.5 C, claim me: no\r\n");
                true
            }
            Fault::LogCode if moment == Moment::BeforeReply => {
                let Some(code) = code else { return false };
                noise.extend(b"0000042138 [system] TRACE: claim code ");
                noise.extend(code);
                noise.extend(b"\r\n");
                true
            }
            _ => false,
        });
        noise
    }

    fn spend(&mut self, mut happens: impl FnMut(Fault) -> bool) {
        for fault in &mut self.left {
            if fault.times > 0 && happens(fault.fault) {
                fault.times -= 1;
            }
        }
    }
}

fn hits(place: Where, count: u64, of_code: Option<u8>) -> bool {
    match place {
        Where::Every(every) => count.is_multiple_of(every),
        Where::OfCode(at) => of_code == Some(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_from_their_text_form() {
        let fault = |text: &str| text.parse::<PhotonFault>().map(|f| (f.fault, f.times));
        assert_eq!(fault("drop:17"), Ok((Fault::DropReceived(Where::Every(17)), 1)));
        assert_eq!(fault("double-sent:codex3"), Ok((Fault::DoubleSent(Where::OfCode(32)), 3)));
        let ms = Duration::from_millis;
        assert_eq!(fault("hang-up:code@64:5x2"), Ok((Fault::HangUp(Where::OfCode(64), ms(5)), 2)));
        assert_eq!(fault("delay:code:30"), Ok((Fault::DelayReceived(Where::OfCode(32), ms(30)), 1)));
        assert_eq!(fault("log:after-prompt"), Ok((Fault::Log(Moment::AfterPrompt), 1)));
        let answer = fault("softap-slow:20:setx2").unwrap();
        assert_eq!(answer.1, 2);
        let Fault::Answer(answer) = answer.0 else { panic!("{answer:?}") };
        assert_eq!(answer.kind, AnswerFaultKind::Slow(ms(20)));
        assert!(answer.hits(Command::Set) && !answer.hits(Command::Version));
        for good in ["softap-reset", "softap-garbage:device-idx3", "softap-endless:scan-ap"] {
            assert!(fault(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "drop",
            "drop:0",
            "drop:code@65",
            "drop:1:2",
            "delay:1",
            "garbage:1",
            "log:now",
            "x2",
            "softap-",
            "softap-fire",
            "softap-slow",
            "softap-slow:set",
            "softap-reset:5",
            "softap-reset:set:set",
        ] {
            assert!(fault(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_fault_happens_as_often_as_it_was_asked_for() {
        let mut faults = Faults::new(&["drop:2x2".parse().unwrap()]);
        let copies: Vec<_> = (0..8).map(|_| faults.on_received().copies).collect();
        assert_eq!(copies, [1, 0, 1, 0, 1, 1, 1, 1]);
    }
}

//! A Photon on a USB serial port: the console's protocol over a port.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, trace};

use super::{Manner, Note, Patience, SetupDevice, Sighting, Tell};
use crate::{
    link::{
        discovery::{self, Found, Lister, UsbTarget},
        serial::{Bytes, OpenPort, baud},
    },
    model::{
        ClaimCode, DeviceId, Failure, FailureCode, FirmwareVersion, Identity, ScannedNetwork, WifiCredentials,
    },
    protocol::{
        carry::check_for_console,
        console::{
            CLEAR_LINE, FIRST_WITH_CLAIM_CODE, LINE_END, PROBE, Prompt, Reader, Said, TAKE_BACK, WayOut,
            command,
        },
        console_wifi::{Step, WifiDialogue},
    },
};

/// How often a board that comes straight back to listening mode is told to leave.
const EXITS: usize = 3;

/// A Photon or P1 on a serial port.
pub struct UsbPhoton {
    pub(super) target: UsbTarget,
    lister: Arc<dyn Lister>,
    ports: Arc<dyn OpenPort>,
    pub(super) patience: Patience,
    pace: Option<Duration>,
    pub(super) found: Option<Found>,
    console: Option<Console>,
    /// The console may be inside a dialogue that this run opened, or has begun to lead out of.
    pub(super) in_dialogue: bool,
    /// This run brought the board into listening mode and has not let it out again.
    pub(super) owes_exit: bool,
    /// The id that answered, so that a board that was swapped is noticed.
    pub(super) known: Option<DeviceId>,
    /// Listening mode is over: credentials were saved.
    connecting: bool,
}

struct Console {
    bytes: Bytes,
    reader: Reader,
}

/// What came of listening for a while.
pub(super) enum Heard {
    Said(Said),
    /// The device echoed what was written: it is inside a dialogue.
    Echo,
    Silence,
}

/// What came of asking a console who it is.
pub(super) enum Answer {
    Identity(Identity),
    /// Somebody left it inside a dialogue.
    Dialogue,
    /// Somebody left it there with a full line, which the first byte ended.
    LineEnded,
    /// Somebody left it waiting for a firmware transfer.
    Transfer,
    /// It scans for networks, or it is not listening.
    Silence,
}

impl UsbPhoton {
    /// Nothing is opened yet. With `pace` the claim code is always written a character at a time,
    /// with that pause between characters.
    pub fn new(
        target: UsbTarget,
        lister: Arc<dyn Lister>,
        ports: Arc<dyn OpenPort>,
        patience: Patience,
        pace: Option<Duration>,
    ) -> Self {
        Self {
            target,
            lister,
            ports,
            patience,
            pace,
            found: None,
            console: None,
            in_dialogue: false,
            owes_exit: false,
            known: None,
            connecting: false,
        }
    }

    /// Looks the board up; listing ports reads files, so it is done off the runtime.
    pub(super) async fn look_up(&self, target: UsbTarget) -> Result<Found, Failure> {
        let lister = self.lister.clone();
        let found = tokio::task::spawn_blocking(move || discovery::find(&target, &*lister)).await;
        let found =
            found.map_err(|e| Failure::new(FailureCode::Unexpected, "the port list failed").because(e))?;
        Ok(found?)
    }

    /// Opens the port that was found, unless it is open.
    pub(super) async fn open(&mut self) -> Result<(), Failure> {
        if self.console.is_some() {
            return Ok(());
        }
        let port = match &self.found {
            Some(found) => found.port.clone(),
            None => {
                let found = self.look_up(self.target.clone()).await?;
                self.found.insert(found).port.clone()
            }
        };
        // Opening a serial port does not wait: both descriptors are opened non-blocking.
        let opened = self.ports.open(&port, baud::PLAIN)?;
        debug!(port = %port.display(), "opened");
        self.console = Some(Console { bytes: Bytes::new(opened), reader: Reader::default() });
        Ok(())
    }

    /// Opens the port again after it went away; it may come back under another name, which the USB
    /// serial number tells, or a link that has moved.
    pub(super) async fn reopen(&mut self, why: &io::Error, tell: Tell<'_>) -> Result<(), Failure> {
        debug!(%why, "the port went away");
        self.console = None;
        self.in_dialogue = false;
        let until = Instant::now() + self.patience.reappear;
        let target = match self.found.as_ref().and_then(|f| f.device_id.clone()) {
            Some(id) => UsbTarget::Device(id),
            None => self.target.clone(),
        };
        tell(Note::Again("the port went away; waiting for it to come back".into()));
        loop {
            let again = match self.look_up(target.clone()).await {
                Ok(found) => {
                    self.found = Some(found);
                    self.open().await
                }
                Err(failure) => Err(failure),
            };
            match again {
                Ok(()) => return Ok(()),
                Err(failure) if Instant::now() >= until => {
                    return Err(Failure::new(
                        FailureCode::NoAnswer,
                        "the port went away and did not come back",
                    )
                    .because(failure));
                }
                // Ports announce themselves nowhere without libudev, so this is a poll.
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Where the board is, for texts.
    pub(super) fn port(&self) -> PathBuf {
        self.found.as_ref().map(|f| f.port.clone()).unwrap_or_default()
    }

    fn console(&mut self) -> io::Result<&mut Console> {
        self.console.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    pub(super) fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        self.console()?.bytes.set_baud(baud)
    }

    /// Writes; a port that takes nothing for a while (its device does not read) is an error.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let patience = self.patience.reappear;
        timeout(patience, self.console()?.bytes.write(bytes)).await?
    }

    /// What the device says next, or that nothing came for `silence`, or nothing of note until the
    /// deadline. With `echo` it also tells when the device has echoed these bytes.
    pub(super) async fn hear(
        &mut self,
        silence: Duration,
        until: Instant,
        echo: Option<&[u8]>,
    ) -> io::Result<Heard> {
        let console = self.console()?;
        loop {
            let next = until.min(Instant::now() + silence);
            let Ok(byte) = timeout_at(next, console.bytes.next()).await else {
                return Ok(Heard::Silence);
            };
            if let Some(said) = console.reader.feed(byte?) {
                trace!(?said);
                return Ok(Heard::Said(said));
            }
            if echo.is_some_and(|echo| console.reader.unfinished().ends_with(echo)) {
                return Ok(Heard::Echo);
            }
        }
    }

    /// Asks the console who it is, but only once it is known to be at its idle prompt, so that no dialogue
    /// is answered.
    pub(super) async fn look(&mut self) -> io::Result<Answer> {
        self.write(&PROBE).await?;
        let until = Instant::now() + self.patience.silence * 2;
        let mut said = None;
        let answer = loop {
            match self.hear(self.patience.silence, until, None).await? {
                Heard::Said(Said::DeviceId(_)) => return self.ask().await,
                Heard::Said(Said::Line(_)) => {}
                Heard::Said(other) => said = Some(other),
                Heard::Silence | Heard::Echo => {
                    let reader = &self.console()?.reader;
                    break match said {
                        _ if reader.asks_for_transfer() => Answer::Transfer,
                        Some(Said::TransferWaiting) => Answer::Transfer,
                        Some(
                            Said::CodeSet(_)
                            | Said::CodeUnchanged
                            | Said::Saving
                            | Said::Saved
                            | Said::NotSaved,
                        ) => Answer::LineEnded,
                        Some(Said::Prompt(_)) => Answer::Dialogue,
                        // The letter, echoed, and nothing after it.
                        _ if reader.unfinished().ends_with(&PROBE[1..]) => Answer::Dialogue,
                        _ => Answer::Silence,
                    };
                }
            }
        };
        // Also from a device that is silent because it scans: it takes both bytes for the next prompt's.
        self.write(&[TAKE_BACK]).await?;
        Ok(answer)
    }

    /// Asks the console who it is, in one exchange where nothing gets lost.
    pub(super) async fn ask(&mut self) -> io::Result<Answer> {
        let found = self.found.clone();
        let platform = found.as_ref().and_then(|f| f.platform);
        let mut who = Asked { platform, ..Asked::default() };
        // The MAC comes last: every firmware answers `m`, and its reply has a known end. So what has
        // not been answered by then will not be: firmware before 0.6.0 passes over `c` in silence. But the
        // MAC may also be the answer to a question of before; so whoever seems to know no version either,
        // which firmware does since 0.4.4, is asked some more times.
        // One that falls silent in the middle has left listening mode (an exit command was waiting in its
        // queue), which tells nothing of its age.
        let mut answered = false;
        for round in 1..=4 {
            let mut letters = who.missing();
            letters.push(command::MAC);
            self.write(&letters).await?;
            // One letter alone could stand anywhere in a log line.
            let echo = (letters.len() > 2).then_some(&letters[..]);
            let until = Instant::now() + self.patience.silence * 4;
            loop {
                let said = match self.hear(self.patience.silence, until, echo).await? {
                    Heard::Said(said) => said,
                    Heard::Echo => return Ok(Answer::Dialogue),
                    Heard::Silence if self.console()?.reader.asks_for_transfer() => {
                        return Ok(Answer::Transfer);
                    }
                    Heard::Silence if who.id.is_none() => return Ok(Answer::Silence),
                    Heard::Silence => {
                        answered = false;
                        break;
                    }
                };
                match said {
                    Said::DeviceId(id) => who.id = Some(id),
                    Said::SerialNumber(serial) => who.serial_number = Some(serial),
                    Said::Version(version) => who.firmware = Some(version),
                    Said::Claimed(claimed) => who.claimed = Some(claimed),
                    Said::Modules(platform) => who.platform = Some(platform),
                    Said::Mac(mac) => {
                        who.mac = Some(mac);
                        answered = true;
                        break;
                    }
                    Said::Prompt(_) | Said::CodeSet(_) | Said::CodeUnchanged | Said::NotSaved => {
                        return Ok(Answer::Dialogue);
                    }
                    Said::TransferWaiting => return Ok(Answer::Transfer),
                    Said::Saving | Said::Saved | Said::Line(_) => {}
                }
            }
            if who.complete() || (round > 1 && who.firmware.is_some()) {
                break;
            }
        }
        if !answered && !who.complete() {
            return Ok(Answer::Silence);
        }
        Ok(who.identity().map_or(Answer::Silence, Answer::Identity))
    }

    /// Walks out of a dialogue that somebody left open, back to the idle prompt, saving nothing.
    pub(super) async fn leave_dialogue(&mut self, until: Instant) -> Result<(), Stop> {
        let mut way = WayOut::default();
        let mut silence = self.patience.silence;
        self.in_dialogue = true;
        self.write(&CLEAR_LINE).await?;
        loop {
            match self.hear(silence, until, None).await? {
                Heard::Said(Said::Prompt(prompt)) => {
                    let Some(answer) = way.answer(prompt) else {
                        // Not even to be cleared once more: that is an answer, too.
                        self.in_dialogue = false;
                        return Err(Stop::Failed(Failure::new(
                            FailureCode::ConsoleStuck,
                            format!(
                                "the console of {} was left inside a Wi-Fi dialogue, and any answer there would save something",
                                self.port().display()
                            ),
                        )));
                    };
                    silence = match prompt {
                        Prompt::Ssid | Prompt::Security => self.patience.scan,
                        _ => self.patience.silence,
                    };
                    self.write(answer).await?;
                }
                Heard::Said(Said::CodeSet(_) | Said::CodeUnchanged | Said::NotSaved | Said::Saved) => {
                    self.in_dialogue = false;
                    return Ok(());
                }
                Heard::Said(_) => {}
                // Perhaps the last words got lost: whoever called asks again.
                Heard::Silence | Heard::Echo => return Ok(()),
            }
        }
    }

    /// One try to give the device its code.
    async fn deliver(&mut self, code: &ClaimCode, pace: Option<Duration>) -> io::Result<Delivery> {
        let silence = self.patience.silence;
        let until = Instant::now() + silence * 4;
        self.in_dialogue = true;
        self.write(&[command::CLAIM_CODE]).await?;
        loop {
            match self.hear(silence, until, None).await? {
                Heard::Said(Said::Prompt(Prompt::ClaimCode)) => break,
                Heard::Silence => return Ok(Delivery::Failed("it did not ask for the code")),
                _ => {}
            }
        }
        match pace {
            None => {
                let mut line = zeroize::Zeroizing::new(Vec::with_capacity(ClaimCode::LENGTH + 1));
                line.extend_from_slice(code.expose().as_bytes());
                line.push(LINE_END);
                self.write(&line).await?;
            }
            Some(pause) => {
                for byte in code.expose().bytes() {
                    if !self.type_byte(byte, pause).await? {
                        return Ok(Delivery::Failed("it did not echo every character"));
                    }
                }
                self.write(&[LINE_END]).await?;
            }
        }
        let mut ended_again = false;
        let until = Instant::now() + silence * 8;
        loop {
            match self.hear(silence, until, None).await? {
                Heard::Said(Said::CodeSet(confirmed)) => {
                    self.in_dialogue = false;
                    return Ok(match confirmed {
                        Some(confirmed) if confirmed == *code => Delivery::Confirmed,
                        _ => Delivery::Failed("it confirmed another code"),
                    });
                }
                Heard::Said(Said::CodeUnchanged) => {
                    self.in_dialogue = false;
                    return Ok(Delivery::Failed("it says that the code is not 63 characters long"));
                }
                Heard::Said(_) | Heard::Echo => {}
                // The line end may have got lost; at the idle prompt another one means nothing.
                Heard::Silence if !ended_again => {
                    ended_again = true;
                    self.write(&[LINE_END]).await?;
                }
                Heard::Silence => return Ok(Delivery::Failed("it did not confirm the code")),
            }
        }
    }

    /// Follows the Wi-Fi dialogue, wherever the device leads.
    async fn follow_wifi(&mut self, wifi: &WifiCredentials, tell: Tell<'_>) -> Result<Step, Stop> {
        let until = Instant::now() + self.patience.scan * 3;
        let mut dialogue = WifiDialogue::new(wifi);
        self.in_dialogue = true;
        self.write(&[WifiDialogue::OPEN]).await?;
        // The device scans without a word; what is sent meanwhile would answer the next prompt.
        let mut silence = self.patience.silence;
        loop {
            let said = match self.hear(silence, until, None).await? {
                Heard::Said(said) => said,
                Heard::Silence | Heard::Echo => {
                    return Err(Stop::Failed(Failure::new(
                        FailureCode::NoAnswer,
                        "the console fell silent in the middle of the Wi-Fi dialogue",
                    )));
                }
            };
            if matches!(said, Said::Prompt(Prompt::Ssid | Prompt::Security | Prompt::OldSecurity)) {
                tell(Note::Text("the device looks for the network, which may take it a minute".into()));
            }
            match dialogue.on(&said) {
                Step::Send(answer) => {
                    silence = self.patience.scan;
                    self.write(answer.bytes()).await?;
                }
                Step::Wait => {}
                ended => {
                    self.in_dialogue = false;
                    return Ok(ended);
                }
            }
        }
    }

    /// Types one character and waits for its echo.
    async fn type_byte(&mut self, byte: u8, pause: Duration) -> io::Result<bool> {
        self.write(&[byte]).await?;
        let silence = self.patience.silence;
        let console = self.console()?;
        loop {
            let Ok(heard) = timeout(silence, console.bytes.next()).await else { return Ok(false) };
            let heard = heard?;
            console.reader.feed(heard);
            if heard == byte {
                break;
            }
        }
        // The pause is the user's wish (`--pace`), not a wait for anything.
        if !pause.is_zero() {
            sleep(pause).await;
        }
        Ok(true)
    }
}

enum Delivery {
    Confirmed,
    Failed(&'static str),
}

/// Why a walk over the console ended: the port went away (which can be mended), or for good.
pub(super) enum Stop {
    Lost(io::Error),
    Failed(Failure),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

#[derive(Default)]
struct Asked {
    id: Option<DeviceId>,
    firmware: Option<FirmwareVersion>,
    claimed: Option<bool>,
    platform: Option<crate::model::Platform>,
    mac: Option<String>,
    serial_number: Option<String>,
}

impl Asked {
    fn missing(&self) -> Vec<u8> {
        let wanted = [
            (self.id.is_none(), command::IDENTIFY),
            (self.firmware.is_none(), command::VERSION),
            (self.claimed.is_none(), command::CLAIMED),
            (self.platform.is_none(), command::MODULES),
        ];
        wanted.into_iter().filter(|(missing, _)| *missing).map(|(_, letter)| letter).collect()
    }

    /// Whether asking again could tell more.
    fn complete(&self) -> bool {
        let too_old = self.firmware.as_ref().is_some_and(|v| *v < FIRST_WITH_CLAIM_CODE);
        self.id.is_some()
            && self.firmware.is_some()
            && (self.claimed.is_some() || too_old)
            && self.mac.is_some()
    }

    fn identity(self) -> Option<Identity> {
        Some(Identity {
            id: self.id?,
            platform: self.platform,
            firmware: self.firmware,
            claimed: self.claimed,
            mac: self.mac,
            serial_number: self.serial_number,
        })
    }
}

#[async_trait]
impl SetupDevice for UsbPhoton {
    async fn find(&mut self) -> Result<Sighting, Failure> {
        let found = self.look_up(self.target.clone()).await?;
        let sighting = Sighting { device_id: found.device_id.clone(), platform: found.platform };
        self.found = Some(found);
        Ok(sighting)
    }

    async fn reach(&mut self, manner: Manner, tell: Tell<'_>) -> Result<Identity, Failure> {
        self.listen(manner, tell).await
    }

    fn takes_claim_code(&self, identity: &Identity) -> Result<(), Failure> {
        let too_old = match &identity.firmware {
            Some(version) => *version < FIRST_WITH_CLAIM_CODE,
            // `v` came with 0.4.4; whoever knows neither it nor `c` is older still.
            None => identity.claimed.is_none(),
        };
        if !too_old {
            return Ok(());
        }
        let version = identity.firmware.as_ref().map_or("an unknown version".into(), |v| v.to_string());
        Err(Failure::new(
            FailureCode::FirmwareTooOld,
            format!(
                "the board runs Device OS {version}, and claim codes over USB came with {FIRST_WITH_CLAIM_CODE}"
            ),
        ))
    }

    async fn set_claim_code(&mut self, code: &ClaimCode, tell: Tell<'_>) -> Result<(), Failure> {
        const TRIES: usize = 4;
        let mut last = "";
        for attempt in 0..TRIES {
            // The first try is one write. Once bytes were seen to get lost, a character at a time.
            let pace = self.pace.or((attempt > 0).then_some(Duration::ZERO));
            let lost = match self.deliver(code, pace).await {
                Ok(Delivery::Confirmed) => return Ok(()),
                Ok(Delivery::Failed(why)) => {
                    debug!(attempt, why, "the code did not arrive");
                    last = why;
                    tell(Note::Again(format!("{why}; trying again, a character at a time")));
                    None
                }
                Err(error) => Some(error),
            };
            if let Some(error) = lost {
                last = "the port went away";
                self.reopen(&error, tell).await?;
            }
            // Back to the idle prompt, by asking who it is; giving the same code again is harmless.
            self.listen(Manner::Touch, tell).await?;
        }
        Err(Failure::new(
            FailureCode::CodeRefused,
            format!("the device did not take the claim code in {TRIES} tries: {last}"),
        ))
    }

    fn carries(&self, wifi: &WifiCredentials, identity: Option<&Identity>) -> Result<(), Failure> {
        check_for_console(wifi, identity.and_then(|identity| identity.firmware.as_ref()))
            .map_err(|e| Failure::new(FailureCode::WifiCannotArrive, e.to_string()))
    }

    async fn scan(&mut self, _tell: Tell<'_>) -> Result<Vec<ScannedNetwork>, Failure> {
        Err(Failure::configuration(
            "the console over USB cannot list networks",
            "choose over the device's own Wi-Fi network (SoftAP), or name the network",
        ))
    }

    async fn set_wifi(&mut self, wifi: &WifiCredentials, tell: Tell<'_>) -> Result<(), Failure> {
        let refused = |detail| Err(Failure::new(FailureCode::WifiRefused, detail));
        match self.follow_wifi(wifi, tell).await {
            Ok(Step::Saved) => {
                self.connecting = true;
                self.owes_exit = false;
                Ok(())
            }
            Ok(Step::Refused { why, stuck: false }) => refused(format!("the network was not saved: {why}")),
            Ok(Step::Refused { why, stuck: true }) => Err(Failure::new(
                FailureCode::ConsoleStuck,
                format!("the network was not saved: {why}; and the dialogue has no safe way out"),
            )),
            Ok(Step::Send(_) | Step::Wait) => unreachable!("these do not end the dialogue"),
            Err(Stop::Failed(failure)) => Err(failure),
            // Whether it was saved is not known, and giving it again is harmless: but by whoever runs
            // this again, as the board may be anywhere by now.
            Err(Stop::Lost(error)) => Err(Failure::new(
                FailureCode::NoAnswer,
                "the port went away in the middle of the Wi-Fi dialogue",
            )
            .because(error)),
        }
    }

    fn may_cut_off_the_internet(&self) -> bool {
        false
    }

    async fn finish(&mut self) -> Result<(), Failure> {
        // `x` answers nothing. What is sent after it stays queued and is answered at the next
        // listening, so this `i` is answered if, and only if, the board comes back. A board that has
        // saved credentials has left by itself, and would obey the `x` at the next listening.
        let letters: &[u8] = match self.connecting {
            true => &[command::IDENTIFY],
            false => &[command::EXIT, command::IDENTIFY],
        };
        self.write(letters).await.map_err(|error| {
            Failure::new(
                FailureCode::NoAnswer,
                "the port went away before the board could be let out of listening mode",
            )
            .because(error)
        })?;
        self.owes_exit = false;
        Ok(())
    }

    async fn back(&mut self) {
        let far = Instant::now() + Duration::from_secs(24 * 3600);
        let mut exits = 1;
        loop {
            match self.hear(self.patience.scan, far, None).await {
                Ok(Heard::Said(Said::DeviceId(_))) if exits == EXITS || self.connecting => return,
                // The command may have got lost.
                Ok(Heard::Said(Said::DeviceId(_))) => match self.finish().await {
                    Ok(()) => exits += 1,
                    Err(_) => return,
                },
                Ok(_) => {}
                // A port that goes away now says nothing about the board: only the cloud can.
                Err(_) => std::future::pending().await,
            }
        }
    }

    async fn release(&mut self) {
        if self.console.is_none() {
            return;
        }
        let patience = self.patience.release;
        let tidy = async {
            if self.in_dialogue {
                let until = Instant::now() + patience;
                let _ = self.leave_dialogue(until).await;
            }
            if self.owes_exit {
                self.write(&[command::EXIT]).await?;
                self.owes_exit = false;
            }
            io::Result::Ok(())
        };
        if !matches!(timeout(patience, tidy).await, Ok(Ok(()))) {
            debug!("the board could not be left tidy");
        }
        self.console = None;
    }
}

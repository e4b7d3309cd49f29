//! What is wrong with a board, judged by what it says, what the cloud's record says, and what this
//! computer shows. Pure: facts in, findings out, the most likely cause first.

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;

use crate::{
    cloud::{CloudError, DeviceRecord, Product, RefusedSignIns},
    link::{
        discovery::{Bootloader, FindError, Found, Permissions},
        host::{Process, Rules},
    },
    model::{
        Customer, CustomerTemplate, DeviceId, Failure, FailureCode, Identity, Platform, ProductRef, clean,
    },
};

/// How long after a board was heard of its claim code may still be on the way: it shows it some seconds
/// after it has come online.
const CODE_ON_ITS_WAY: Duration = Duration::from_secs(120);

/// From how many refused sign-ins in a row on the lock-out counts as close.
const CLOSE_TO_THE_LOCK_OUT: u32 = 3;

/// What the board should be. What is not named is not compared.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The board that is meant.
    pub device_id: Option<DeviceId>,
    /// The product that it should be in.
    pub product: Option<ProductRef>,
    /// The customer, or one for each device, who should own it.
    pub customer: Option<CustomerTemplate>,
}

/// Over which wire a board was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Its console.
    Usb,
    /// Its own network.
    SoftAp,
}

/// What the board and its port show.
#[derive(Debug, Default)]
pub struct DeviceSide {
    /// The wire over which the board was to be asked; absent where only its id was named.
    pub wire: Option<Wire>,
    /// Its port; looked for on USB.
    pub found: Option<Result<Found, FindError>>,
    /// The boards that are attached in DFU mode.
    pub bootloaders: Vec<Bootloader>,
    /// Who answered; absent if nobody was asked.
    pub answer: Option<Result<Identity, Failure>>,
    /// Why it cannot take a claim code over this wire.
    pub takes_no_code: Option<Failure>,
    /// Who has the port open, looked for when it was in use.
    pub holders: Vec<Process>,
}

/// What this computer shows. Only looked at for USB.
#[derive(Debug, Clone, Default)]
pub struct HostSide {
    /// ModemManager, if it runs.
    pub modem_manager: Option<Process>,
    /// What udev's rules do for Particle's boards.
    pub rules: Rules,
}

/// What the cloud says. Each is absent if it was not asked for, or could not be.
#[derive(Debug, Default)]
pub struct CloudSide {
    /// Why the cloud was not asked at all: what is missing to sign in with.
    pub no_credentials: Option<Failure>,
    /// The product.
    pub product: Option<Result<Product, CloudError>>,
    /// The device as the product has it; `None` within if it does not, or does not show it.
    pub record: Option<Result<Option<DeviceRecord>, CloudError>>,
    /// The device as the user whose token was given has it.
    pub own_record: Option<Result<Option<DeviceRecord>, CloudError>>,
    /// The sign-ins in a row that were refused to this computer.
    pub refused: Option<RefusedSignIns>,
}

/// All that was looked at.
#[derive(Debug)]
pub struct Facts {
    /// When.
    pub now: Timestamp,
    /// What should be.
    pub wanted: Wanted,
    /// The device's side.
    pub device: DeviceSide,
    /// This computer.
    pub host: HostSide,
    /// The cloud's side.
    pub cloud: CloudSide,
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It keeps the board from its customer; a run would fail, or has to be made, with this code.
    Fault(FailureCode),
    /// Nothing is wrong yet.
    Risk,
    /// It looks wrong and is not.
    Harmless,
    /// Something could not be looked at.
    Unseen,
    /// All is as it should be.
    Well,
}

impl Weight {
    fn rank(self) -> u8 {
        match self {
            Self::Fault(_) => 0,
            Self::Risk => 1,
            Self::Harmless => 2,
            Self::Unseen => 3,
            Self::Well => 4,
        }
    }

    /// `fault`, `risk`, `harmless`, `unseen` or `well`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fault(_) => "fault",
            Self::Risk => "risk",
            Self::Harmless => "harmless",
            Self::Unseen => "unseen",
            Self::Well => "well",
        }
    }
}

/// Something that was found. Texts are clean.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    // --- whose it is ---
    /// The record shows another owner than the customer that was named.
    OwnedByOther {
        /// The owner.
        owner: String,
    },
    /// It is in another product.
    InOtherProduct {
        /// That product's number.
        product: u64,
    },
    /// It is not in the product and has been claimed by somebody: likely one outside the product, whose
    /// devices this client may not see.
    OwnedOutside,
    /// It is the developer's own, and in no product.
    InOwnAccount,
    /// The product has turned it away.
    Denied,
    /// It waits for approval to join the product.
    Quarantined,
    /// The product is for another kind of board.
    WrongPlatform {
        /// What the board is.
        board: Platform,
        /// What the product is for.
        product: Platform,
    },

    // --- the way to the cloud ---
    /// The credentials were refused.
    SignInRefused(CloudError),
    /// This program does not send these credentials again for now.
    SignInHeldBack(CloudError),
    /// The product is not there, or the client was not made inside it.
    ClientNotOfProduct(CloudError),
    /// No connection that can be trusted: a certificate was not accepted.
    CertificateRefused(CloudError),
    /// The cloud could not be reached.
    CloudUnreachable(CloudError),
    /// The cloud's limits are in force.
    LimitsHit(CloudError),
    /// The cloud refused, or was not understood.
    CloudTrouble(CloudError),

    // --- the way to the board ---
    /// A board is attached in DFU mode, where it has no port.
    BoardInDfu {
        /// The kind of board.
        platform: Platform,
    },
    /// None is attached, or not the one that was named.
    NoBoard {
        /// Which kind of nothing.
        said: String,
    },
    /// Several are attached and none was named.
    SeveralBoards {
        /// Which.
        said: String,
    },
    /// The boards' place cannot be read, or what was named is no port.
    PortUnusable {
        /// Why.
        said: String,
    },
    /// The port is there, but not for this user.
    PortForbidden {
        /// The port.
        port: PathBuf,
        /// Who may open it.
        permissions: Permissions,
        /// Whether a rule that should open it is installed.
        rule_installed: bool,
    },
    /// Another program has the port open.
    PortBusy {
        /// The port.
        port: PathBuf,
        /// Which, as far as this user may see.
        holders: Vec<Process>,
    },
    /// Another board answers than the one that was named.
    WrongBoard {
        /// What is wrong with it.
        said: String,
    },
    /// Its console was left inside a dialogue, or it waits for a firmware transfer.
    LeftInDialogue {
        /// Which of these.
        said: String,
    },
    /// It does not answer in listening mode (over SoftAP: at all).
    NotListening {
        /// The wire.
        wire: Wire,
        /// A run can bring it there without a person's hands.
        can_be_woken: bool,
    },
    /// It gave no answer that can be used.
    NoAnswer {
        /// What was seen.
        said: String,
    },
    /// Its firmware cannot take a claim code over USB.
    FirmwareTooOld {
        /// Which firmware.
        said: String,
    },

    // --- how far it has come ---
    /// It is not in the product.
    NotInProduct,
    /// It is not in the developer's account.
    NotInAccount,
    /// It is online, nobody's, and was heard of a moment ago: the code may be on its way.
    CodeNotShown,
    /// The cloud has never heard from it.
    NeverHeard,
    /// It is in the product, and nobody's.
    NotClaimed {
        /// When the cloud last heard from it.
        last_heard: Option<String>,
    },

    // --- what may come ---
    /// ModemManager runs and no rule keeps it off the boards.
    ModemManagerUnruled {
        /// Its process.
        process: Process,
    },
    /// More refused sign-ins will lock the site's address out of the cloud.
    NearLockOut(RefusedSignIns),

    // --- what looks wrong and is not ---
    /// The board's own bit says claimed, and the cloud knows no owner.
    ClaimedBitWithoutOwner,
    /// It is its customer's, but in listening mode, where it stays offline.
    StillListening,
    /// It is its customer's, but not online now.
    Offline {
        /// When the cloud last heard from it.
        last_heard: String,
    },

    // --- what could not be looked at ---
    /// Nothing to sign in with.
    NoCredentials {
        /// What is missing.
        said: String,
        /// How to give it, if that is known.
        next: Option<String>,
    },
    /// No product was named.
    NoProduct,
    /// Neither the board nor the user told which device it is.
    NoDeviceId,

    /// It is in the product, and its owner's.
    AllWell {
        /// The owner; absent for a developer's own account.
        owner: Option<String>,
        /// Whether this is the customer that was named.
        as_wanted: bool,
    },
}

impl Finding {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OwnedByOther { .. } => "owned-by-other",
            Self::InOtherProduct { .. } => "in-other-product",
            Self::OwnedOutside => "owned-outside-product",
            Self::InOwnAccount => "in-own-account",
            Self::Denied => "denied",
            Self::Quarantined => "quarantined",
            Self::WrongPlatform { .. } => "wrong-platform",
            Self::SignInRefused(_) => "sign-in-refused",
            Self::SignInHeldBack(_) => "sign-in-held-back",
            Self::ClientNotOfProduct(_) => "client-not-of-product",
            Self::CertificateRefused(_) => "certificate-refused",
            Self::CloudUnreachable(_) => "cloud-unreachable",
            Self::LimitsHit(_) => "limits-hit",
            Self::CloudTrouble(_) => "cloud-trouble",
            Self::BoardInDfu { .. } => "board-in-dfu",
            Self::NoBoard { .. } => "no-board",
            Self::SeveralBoards { .. } => "several-boards",
            Self::PortUnusable { .. } => "port-unusable",
            Self::PortForbidden { .. } => "port-forbidden",
            Self::PortBusy { .. } => "port-busy",
            Self::WrongBoard { .. } => "wrong-board",
            Self::LeftInDialogue { .. } => "left-in-dialogue",
            Self::NotListening { .. } => "not-listening",
            Self::NoAnswer { .. } => "no-answer",
            Self::FirmwareTooOld { .. } => "firmware-too-old",
            Self::NotInProduct => "not-in-product",
            Self::NotInAccount => "not-in-account",
            Self::CodeNotShown => "code-not-shown",
            Self::NeverHeard => "never-heard",
            Self::NotClaimed { .. } => "not-claimed",
            Self::ModemManagerUnruled { .. } => "modem-manager-unruled",
            Self::NearLockOut(_) => "near-lock-out",
            Self::ClaimedBitWithoutOwner => "claimed-bit-without-owner",
            Self::StillListening => "still-listening",
            Self::Offline { .. } => "offline",
            Self::NoCredentials { .. } => "no-credentials",
            Self::NoProduct => "no-product",
            Self::NoDeviceId => "no-device-id",
            Self::AllWell { .. } => "all-well",
        }
    }

    /// How much it weighs.
    pub fn weight(&self) -> Weight {
        use FailureCode as F;
        Weight::Fault(match self {
            Self::OwnedByOther { .. } | Self::OwnedOutside => F::OwnedByOther,
            Self::InOtherProduct { .. } => F::InOtherProduct,
            Self::WrongPlatform { .. } => F::WrongPlatform,
            Self::Denied | Self::Quarantined => F::CloudRefused,
            Self::SignInRefused(error)
            | Self::SignInHeldBack(error)
            | Self::ClientNotOfProduct(error)
            | Self::CertificateRefused(error)
            | Self::CloudUnreachable(error)
            | Self::LimitsHit(error)
            | Self::CloudTrouble(error) => error.code,
            Self::BoardInDfu { .. } | Self::NoBoard { .. } | Self::PortUnusable { .. } => F::NoDevice,
            Self::SeveralBoards { .. } => F::SeveralDevices,
            Self::PortForbidden { .. } => F::PortForbidden,
            Self::PortBusy { .. } => F::PortBusy,
            Self::WrongBoard { .. } => F::WrongDevice,
            Self::LeftInDialogue { .. } => F::InDialogue,
            Self::NotListening { can_be_woken: true, .. } => return Weight::Harmless,
            Self::NotListening { .. } => F::NotListening,
            Self::NoAnswer { .. } => F::NoAnswer,
            Self::FirmwareTooOld { .. } => F::FirmwareTooOld,
            Self::InOwnAccount
            | Self::NotInProduct
            | Self::NotInAccount
            | Self::CodeNotShown
            | Self::NeverHeard
            | Self::NotClaimed { .. } => F::NotVerified,
            Self::ModemManagerUnruled { .. } | Self::NearLockOut(_) => return Weight::Risk,
            Self::ClaimedBitWithoutOwner | Self::StillListening | Self::Offline { .. } => {
                return Weight::Harmless;
            }
            Self::NoCredentials { .. } | Self::NoProduct | Self::NoDeviceId => return Weight::Unseen,
            Self::AllWell { .. } => return Weight::Well,
        })
    }
}

/// The failure that the most likely cause stands for; `Configuration` if none was found, but for want of a
/// setting not everything was looked at; `None` if all is well.
pub fn verdict(findings: &[Finding]) -> Option<FailureCode> {
    match findings.first()?.weight() {
        Weight::Fault(code) => Some(code),
        _ if findings.iter().any(|finding| finding.weight() == Weight::Unseen) => {
            Some(FailureCode::Configuration)
        }
        _ => None,
    }
}

/// What the facts mean: faults first, and of them the most likely cause.
pub fn diagnose(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    whose(facts, &mut findings);
    way_to_the_cloud(facts, &mut findings);
    way_to_the_board(facts, &mut findings);
    how_far(facts, &mut findings);
    what_may_come(facts, &mut findings);
    what_is_unseen(facts, &mut findings);
    // A stable sort: within one weight the order above stays.
    findings.sort_by_key(|finding| finding.weight().rank());
    if verdict(&findings).is_some() {
        findings.retain(|finding| !matches!(finding, Finding::AllWell { .. }));
    }
    findings
}

impl Facts {
    /// The device: as it answered, as USB tells, or as it was named.
    pub fn device_id(&self) -> Option<&DeviceId> {
        self.identity()
            .map(|identity| &identity.id)
            .or(self.wanted.device_id.as_ref())
            .or_else(|| self.found()?.device_id.as_ref())
    }

    /// Who answered.
    pub fn identity(&self) -> Option<&Identity> {
        self.device.answer.as_ref()?.as_ref().ok()
    }

    /// The port.
    pub fn found(&self) -> Option<&Found> {
        self.device.found.as_ref()?.as_ref().ok()
    }

    /// The kind of board, as it says itself.
    pub fn platform(&self) -> Option<Platform> {
        self.identity().and_then(|identity| identity.platform).or_else(|| self.found()?.platform)
    }

    /// The product, if it could be read.
    pub fn product(&self) -> Option<&Product> {
        self.cloud.product.as_ref()?.as_ref().ok()
    }

    /// The cloud's record, by way of the product or else of the user's own devices.
    pub fn record(&self) -> Option<&DeviceRecord> {
        let sides = [&self.cloud.record, &self.cloud.own_record];
        sides.into_iter().find_map(|side| side.as_ref()?.as_ref().ok()?.as_ref())
    }

    /// The customer who should own it.
    pub fn customer(&self) -> Option<Customer> {
        let customer = self.wanted.customer.as_ref()?;
        customer.fixed().cloned().or_else(|| Some(customer.for_device(self.device_id()?)))
    }

    /// The product was asked, and has no such device or does not show it.
    fn product_lacks_it(&self) -> bool {
        matches!(self.cloud.record, Some(Ok(None)))
    }

    /// Only the user's own devices were asked, with no product named.
    fn is_about_a_developer(&self) -> bool {
        self.wanted.product.is_none() && self.cloud.own_record.is_some()
    }

    /// The record is as it should be, as far as was named.
    fn is_as_wanted(&self) -> bool {
        let Some(record) = self.record() else { return false };
        if self.is_about_a_developer() {
            return true;
        }
        let Some(owner) = &record.owner else { return false };
        let wanted = self.customer().is_none_or(|customer| customer.is(owner));
        let member = self.other_product(record).is_none() && matches!(self.cloud.record, Some(Ok(Some(_))));
        wanted && member && !record.denied && !record.quarantined
    }

    /// The product that it is in, if that is not the one that was named. A device that is in no product
    /// has its platform's number there.
    fn other_product(&self, record: &DeviceRecord) -> Option<u64> {
        let platform = record.platform.or(self.platform()).map(|platform| u64::from(platform.id()));
        let own = self.product()?.id;
        record.product_id.filter(|id| *id != own && Some(*id) != platform)
    }
}

fn whose(facts: &Facts, findings: &mut Vec<Finding>) {
    if let Some(record) = facts.record() {
        match (&record.owner, facts.customer()) {
            (Some(owner), Some(customer))
                if !customer.is(owner) && !facts.is_about_a_developer() && !facts.product_lacks_it() =>
            {
                findings.push(Finding::OwnedByOther { owner: clean(owner) });
            }
            _ => {}
        }
        if let Some(product) = facts.other_product(record) {
            findings.push(Finding::InOtherProduct { product });
        } else if facts.product_lacks_it() {
            findings.push(Finding::InOwnAccount);
        }
        if record.denied {
            findings.push(Finding::Denied);
        }
        if record.quarantined {
            findings.push(Finding::Quarantined);
        }
    } else if facts.product_lacks_it() && facts.identity().is_some_and(|board| board.claimed == Some(true)) {
        findings.push(Finding::OwnedOutside);
    }
    let board = facts.platform().or_else(|| facts.record()?.platform);
    if let (Some(board), Some(product)) = (board, facts.product().and_then(|product| product.platform))
        && board != product
    {
        findings.push(Finding::WrongPlatform { board, product });
    }
}

fn way_to_the_cloud(facts: &Facts, findings: &mut Vec<Finding>) {
    let cloud = &facts.cloud;
    let errors = [
        cloud.product.as_ref().and_then(|asked| asked.as_ref().err()),
        cloud.record.as_ref().and_then(|asked| asked.as_ref().err()),
        cloud.own_record.as_ref().and_then(|asked| asked.as_ref().err()),
    ];
    let mut told = Vec::new();
    for error in errors.into_iter().flatten() {
        // What is wrong with one call is likely wrong with the next.
        if told.contains(&error.code) {
            continue;
        }
        told.push(error.code);
        let error = error.clone();
        findings.push(match error.code {
            FailureCode::SignInRefused => Finding::SignInRefused(error),
            FailureCode::SignInHeldBack => Finding::SignInHeldBack(error),
            FailureCode::ProductNotVisible => Finding::ClientNotOfProduct(error),
            FailureCode::CloudUnreachable if error.said.to_lowercase().contains("certificate") => {
                Finding::CertificateRefused(error)
            }
            FailureCode::CloudUnreachable => Finding::CloudUnreachable(error),
            FailureCode::LimitsHit => Finding::LimitsHit(error),
            _ => Finding::CloudTrouble(error),
        });
    }
}

fn way_to_the_board(facts: &Facts, findings: &mut Vec<Finding>) {
    let device = &facts.device;
    let Some(wire) = device.wire else { return };
    if let Some(Err(error)) = &device.found {
        let said = clean(&error.to_string());
        match error {
            FindError::NothingAttached | FindError::NotAttached { .. } => {
                let bootloader = device.bootloaders.iter().find(|board| {
                    let wanted = facts.wanted.device_id.as_ref();
                    wanted.is_none() || board.device_id.is_none() || board.device_id.as_ref() == wanted
                });
                findings.push(match bootloader {
                    Some(board) => Finding::BoardInDfu { platform: board.platform },
                    None => Finding::NoBoard { said },
                });
            }
            FindError::NoSuchPort(_) => findings.push(Finding::NoBoard { said }),
            FindError::Several(_) => findings.push(Finding::SeveralBoards { said: error.to_string() }),
            FindError::Forbidden { port, permissions } => findings.push(Finding::PortForbidden {
                port: port.clone(),
                permissions: permissions.clone(),
                rule_installed: facts.host.rules.opens_ports,
            }),
            _ => findings.push(Finding::PortUnusable { said }),
        }
    }
    let answer = match &device.answer {
        Some(Ok(identity)) => {
            if let Some(wanted) = facts.wanted.device_id.as_ref().filter(|wanted| **wanted != identity.id) {
                let said = format!("the board that answers is {}, not {wanted}", identity.id);
                // Whatever else is wrong is wrong with a board that nobody asked about.
                findings.insert(0, Finding::WrongBoard { said });
            }
            if let Some(failure) = &device.takes_no_code {
                findings.push(Finding::FirmwareTooOld { said: failure.to_string() });
            }
            return;
        }
        Some(Err(failure)) => failure,
        None => return,
    };
    let said = answer.to_string();
    let can_be_woken = facts.found().is_some_and(|found| found.device_id.is_some());
    match answer.code {
        // A board at work does not listen.
        FailureCode::NotListening if facts.is_as_wanted() && wire == Wire::Usb => {}
        FailureCode::NotListening => findings.push(Finding::NotListening { wire, can_be_woken }),
        FailureCode::InDialogue => findings.push(Finding::LeftInDialogue { said }),
        FailureCode::WrongDevice => findings.push(Finding::WrongBoard { said }),
        FailureCode::PortBusy => {
            let port = facts.found().map(|found| found.port.clone()).unwrap_or_default();
            findings.push(Finding::PortBusy { port, holders: device.holders.clone() });
        }
        FailureCode::NoDevice | FailureCode::PortForbidden => findings.push(Finding::PortUnusable { said }),
        _ => findings.push(Finding::NoAnswer { said }),
    }
}

fn how_far(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(record) = facts.record().filter(|_| !facts.product_lacks_it()) else {
        if facts.product_lacks_it() && facts.record().is_none() {
            findings.push(Finding::NotInProduct);
        } else if facts.is_about_a_developer() && matches!(facts.cloud.own_record, Some(Ok(None))) {
            findings.push(Finding::NotInAccount);
        }
        return;
    };
    let online = record.online == Some(true);
    let last_heard = record.last_heard.as_deref().map(clean);
    if facts.is_as_wanted() {
        let owner = record.owner.as_deref().map(clean).filter(|_| !facts.is_about_a_developer());
        findings.push(Finding::AllWell { owner, as_wanted: facts.wanted.customer.is_some() });
        match last_heard {
            _ if online => {}
            // In listening mode there is no cloud to be heard in.
            _ if facts.identity().is_some() => findings.push(Finding::StillListening),
            Some(last_heard) => findings.push(Finding::Offline { last_heard }),
            None => findings.push(Finding::NeverHeard),
        }
        return;
    }
    if record.owner.is_some() {
        return;
    }
    if facts.identity().is_some_and(|board| board.claimed == Some(true)) {
        findings.push(Finding::ClaimedBitWithoutOwner);
    }
    findings.push(match last_heard {
        Some(_) if online && heard_a_moment_ago(record, facts.now) => Finding::CodeNotShown,
        None if !online => Finding::NeverHeard,
        last_heard => Finding::NotClaimed { last_heard },
    });
}

fn heard_a_moment_ago(record: &DeviceRecord, now: Timestamp) -> bool {
    let heard = record.last_heard.as_ref().and_then(|at| at.parse::<Timestamp>().ok());
    // Either clock may be ahead.
    heard.is_some_and(|at| now.duration_since(at).unsigned_abs() <= CODE_ON_ITS_WAY)
}

fn what_may_come(facts: &Facts, findings: &mut Vec<Finding>) {
    let host = &facts.host;
    if let Some(process) = host.modem_manager.clone().filter(|_| !host.rules.keeps_modem_manager_off) {
        findings.push(Finding::ModemManagerUnruled { process });
    }
    if let Some(refused) = facts.cloud.refused.filter(|refused| refused.in_a_row >= CLOSE_TO_THE_LOCK_OUT) {
        findings.push(Finding::NearLockOut(refused));
    }
}

fn what_is_unseen(facts: &Facts, findings: &mut Vec<Finding>) {
    if let Some(failure) = &facts.cloud.no_credentials {
        findings.push(Finding::NoCredentials { said: failure.to_string(), next: failure.next.clone() });
    }
    if facts.wanted.product.is_none() && !facts.is_about_a_developer() {
        findings.push(Finding::NoProduct);
    }
    if facts.device_id().is_none() {
        findings.push(Finding::NoDeviceId);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::link::discovery::AttachedBoard;
    use crate::model::FirmwareVersion;

    pub(crate) const ID: &str = "3b0021001747353236343033";

    /// A fresh board in listening mode, not in the product yet, on a computer where nothing is in the way.
    pub(crate) fn fresh() -> Facts {
        let identity = Identity {
            id: DeviceId::parse(ID).unwrap(),
            platform: Some(Platform::Photon),
            firmware: Some(FirmwareVersion::new(2, 3, 1)),
            claimed: Some(false),
            mac: None,
            serial_number: None,
        };
        Facts {
            now: "2026-11-24T19:00:00Z".parse().unwrap(),
            wanted: Wanted {
                device_id: None,
                product: ProductRef::parse("1319").ok(),
                customer: CustomerTemplate::parse("ann@x.example").ok(),
            },
            device: DeviceSide {
                wire: Some(Wire::Usb),
                found: Some(Ok(Found { port: "/dev/ttyACM0".into(), device_id: None, platform: None })),
                answer: Some(Ok(identity)),
                ..DeviceSide::default()
            },
            host: HostSide {
                modem_manager: None,
                rules: Rules { opens_ports: true, keeps_modem_manager_off: true },
            },
            cloud: CloudSide {
                product: Some(Ok(Product {
                    id: 1319,
                    slug: "lamp".into(),
                    name: "Lamp".into(),
                    platform: Some(Platform::Photon),
                    organization: None,
                })),
                record: Some(Ok(None)),
                ..CloudSide::default()
            },
        }
    }

    /// A member of the product, nobody's, never heard from.
    pub(crate) fn record() -> DeviceRecord {
        DeviceRecord {
            id: DeviceId::parse(ID).unwrap(),
            name: None,
            owner: None,
            product_id: Some(1319),
            platform: Some(Platform::Photon),
            online: Some(false),
            last_heard: None,
            quarantined: false,
            denied: false,
            development: false,
            notes: None,
            firmware: None,
            serial_number: None,
            variables: Vec::new(),
            functions: Vec::new(),
        }
    }

    pub(crate) fn shown(record: DeviceRecord) -> Facts {
        let mut facts = fresh();
        facts.cloud.record = Some(Ok(Some(record)));
        facts
    }

    /// Its customer's, at work.
    fn at_work() -> Facts {
        let online = Some(true);
        let heard = Some("2026-11-24T18:59:00Z".into());
        let mut facts = shown(DeviceRecord {
            owner: Some("Ann@x.example".into()),
            online,
            last_heard: heard,
            ..record()
        });
        facts.device.answer = Some(Err(Failure::new(FailureCode::NotListening, "")));
        facts.wanted.device_id = DeviceId::parse(ID).ok();
        facts
    }

    pub(crate) fn error(code: FailureCode, said: &str) -> CloudError {
        CloudError { code, call: "GET /v1/products/1319".into(), status: None, said: said.into() }
    }

    #[track_caller]
    fn finds(facts: &Facts, codes: &[&str]) {
        let findings = diagnose(facts);
        let found: Vec<_> = findings.iter().map(Finding::code).collect();
        assert_eq!(found, codes, "{findings:?}");
    }

    fn with_answer(code: FailureCode) -> Facts {
        let mut facts = fresh();
        facts.device.answer = Some(Err(Failure::new(code, "so it was")));
        facts.wanted.device_id = DeviceId::parse(ID).ok();
        facts
    }

    fn not_found(error: FindError) -> Facts {
        let mut facts = fresh();
        facts.device.found = Some(Err(error));
        facts.device.answer = None;
        facts.wanted.device_id = DeviceId::parse(ID).ok();
        facts
    }

    #[test]
    fn a_fresh_board_is_merely_not_in_the_product() {
        let findings = diagnose(&fresh());
        assert_eq!(findings, [Finding::NotInProduct]);
        assert_eq!(verdict(&findings), Some(FailureCode::NotVerified));
    }

    #[test]
    fn a_board_at_work_is_well_and_need_not_listen() {
        let mut facts = at_work();
        let well = Finding::AllWell { owner: Some("Ann@x.example".into()), as_wanted: true };
        assert_eq!(diagnose(&facts), [well]);
        assert_eq!(verdict(&diagnose(&facts)), None);
        facts.wanted.customer = None;
        assert!(matches!(diagnose(&facts)[..], [Finding::AllWell { as_wanted: false, .. }]));
        // The customer who is named by the device's own id.
        facts.wanted.customer = CustomerTemplate::parse("{device_id}@x.example").ok();
        facts.wanted.device_id = DeviceId::parse(ID).ok();
        finds(&facts, &["owned-by-other", "not-listening"]);
    }

    #[test]
    fn a_board_that_is_well_but_not_there_is_told_as_such() {
        let mut facts = at_work();
        let record = DeviceRecord { online: Some(false), ..facts.record().unwrap().clone() };
        facts.cloud.record = Some(Ok(Some(record.clone())));
        finds(&facts, &["offline", "all-well"]);
        facts.device.answer = fresh().device.answer;
        finds(&facts, &["still-listening", "all-well"]);
        facts.device = DeviceSide::default();
        facts.cloud.record = Some(Ok(Some(DeviceRecord { last_heard: None, ..record })));
        facts.wanted.device_id = DeviceId::parse(ID).ok();
        finds(&facts, &["never-heard"]);
    }

    #[test]
    fn owners_are_told_apart() {
        let mut facts = shown(DeviceRecord { owner: Some("bob@x.example".into()), ..record() });
        let findings = diagnose(&facts);
        assert_eq!(findings, [Finding::OwnedByOther { owner: "bob@x.example".into() }]);
        assert_eq!(verdict(&findings), Some(FailureCode::OwnedByOther));
        // With a board that cannot be asked it is the same.
        facts.wanted.device_id = DeviceId::parse(ID).ok();
        facts.device.answer = Some(Err(Failure::new(FailureCode::NotListening, "")));
        finds(&facts, &["owned-by-other", "not-listening"]);
    }

    #[test]
    fn a_claimed_bit_means_another_owner_only_where_the_product_does_not_have_it() {
        let claimed = |mut facts: Facts| {
            if let Some(Ok(identity)) = &mut facts.device.answer {
                identity.claimed = Some(true);
            }
            facts
        };
        finds(&claimed(fresh()), &["owned-outside-product", "not-in-product"]);
        let facts = claimed(shown(record()));
        finds(&facts, &["never-heard", "claimed-bit-without-owner"]);
        finds(&claimed(at_work()), &["all-well"]);
    }

    #[test]
    fn products_are_told_apart() {
        let other = DeviceRecord { product_id: Some(7), owner: None, ..record() };
        finds(&shown(other), &["in-other-product", "never-heard"]);
        // In no product it has its platform's number there.
        let none = DeviceRecord { product_id: Some(6), ..record() };
        let mut facts = fresh();
        facts.cloud.own_record = Some(Ok(Some(none.clone())));
        finds(&facts, &["in-own-account"]);
        facts.cloud.own_record = Some(Ok(Some(DeviceRecord { product_id: Some(7), ..none })));
        finds(&facts, &["in-other-product"]);
    }

    #[test]
    fn what_the_product_thinks_of_it() {
        finds(&shown(DeviceRecord { denied: true, ..record() }), &["denied", "never-heard"]);
        finds(&shown(DeviceRecord { quarantined: true, ..record() }), &["quarantined", "never-heard"]);
        let mut facts = at_work();
        if let Some(Ok(Some(record))) = &mut facts.cloud.record {
            record.denied = true;
        }
        finds(&facts, &["denied", "not-listening"]);
    }

    #[test]
    fn kinds_of_boards_are_compared_wherever_they_are_told() {
        let for_p1 = |mut facts: Facts| {
            if let Some(Ok(product)) = &mut facts.cloud.product {
                product.platform = Some(Platform::P1);
            }
            facts
        };
        let wrong = Finding::WrongPlatform { board: Platform::Photon, product: Platform::P1 };
        assert_eq!(diagnose(&for_p1(fresh())), [wrong.clone(), Finding::NotInProduct]);
        let mut facts = for_p1(shown(record()));
        facts.device = DeviceSide::default();
        facts.wanted.device_id = DeviceId::parse(ID).ok();
        assert_eq!(diagnose(&facts)[0], wrong);
    }

    #[test]
    fn the_ways_to_the_cloud_that_are_closed() {
        use FailureCode as F;
        for (code, said, finding) in [
            (F::SignInRefused, "", "sign-in-refused"),
            (F::SignInHeldBack, "", "sign-in-held-back"),
            (F::ProductNotVisible, "", "client-not-of-product"),
            (F::CloudUnreachable, "connection refused", "cloud-unreachable"),
            (F::CloudUnreachable, "invalid peer Certificate: Expired", "certificate-refused"),
            (F::LimitsHit, "", "limits-hit"),
            (F::CloudRefused, "", "cloud-trouble"),
            (F::CloudGarbled, "", "cloud-trouble"),
        ] {
            let mut facts = fresh();
            (facts.cloud.product, facts.cloud.record) = (Some(Err(error(code, said))), None);
            finds(&facts, &[finding]);
            assert_eq!(verdict(&diagnose(&facts)), Some(code));
            // Told once, however many calls it closed.
            facts.cloud.own_record = Some(Err(error(code, said)));
            finds(&facts, &[finding]);
        }
        let mut facts = fresh();
        facts.cloud.record = Some(Err(error(F::CloudGarbled, "")));
        finds(&facts, &["cloud-trouble"]);
    }

    #[test]
    fn the_ways_to_the_board_that_are_closed() {
        use FailureCode as F;
        for (code, finding) in [
            (F::NotListening, "not-listening"),
            (F::InDialogue, "left-in-dialogue"),
            (F::NoAnswer, "no-answer"),
            (F::Unexpected, "no-answer"),
            (F::WrongDevice, "wrong-board"),
            (F::PortBusy, "port-busy"),
        ] {
            finds(&with_answer(code), &[finding, "not-in-product"]);
        }
        // Where USB tells an id, the firmware can be woken, and that is nothing to hold against it.
        let mut facts = with_answer(F::NotListening);
        if let Some(Ok(found)) = &mut facts.device.found {
            found.device_id = DeviceId::parse(ID).ok();
        }
        finds(&facts, &["not-in-product", "not-listening"]);
        let mut facts = with_answer(F::NotListening);
        (facts.device.wire, facts.device.found) = (Some(Wire::SoftAp), None);
        finds(&facts, &["not-listening", "not-in-product"]);
        // A board that is its customer's and at work does not answer on its own network either.
        let mut facts = at_work();
        (facts.device.wire, facts.device.found) = (Some(Wire::SoftAp), None);
        facts.wanted.device_id = DeviceId::parse(ID).ok();
        finds(&facts, &["not-listening"]);
    }

    #[test]
    fn ports_that_cannot_be_used() {
        let permissions = Permissions { owner: "root".into(), group: "dialout".into(), mode: 0o660 };
        let (id, port) = (DeviceId::parse(ID).unwrap(), PathBuf::from("/dev/ttyACM0"));
        for (error, finding) in [
            (FindError::NothingAttached, "no-board"),
            (FindError::NotAttached { id, others: vec![] }, "no-board"),
            (FindError::NoSuchPort(port.clone()), "no-board"),
            (FindError::Several(Vec::<AttachedBoard>::new()), "several-boards"),
            (FindError::NotASerialPort(port.clone()), "port-unusable"),
            (FindError::Forbidden { port, permissions }, "port-forbidden"),
        ] {
            finds(&not_found(error), &[finding, "not-in-product"]);
        }
    }

    #[test]
    fn a_board_in_dfu_mode_is_why_there_is_no_port() {
        let mut facts = not_found(FindError::NothingAttached);
        let bootloader =
            |id: &str| Bootloader { platform: Platform::P1, device_id: DeviceId::parse(id).ok() };
        facts.device.bootloaders = vec![bootloader("111111111111111111111111")];
        finds(&facts, &["no-board", "not-in-product"]);
        facts.device.bootloaders.push(bootloader(ID));
        finds(&facts, &["board-in-dfu", "not-in-product"]);
        facts.wanted.device_id = None;
        finds(&facts, &["board-in-dfu", "not-in-product", "no-device-id"]);
    }

    #[test]
    fn another_board_and_old_firmware() {
        let mut facts = fresh();
        facts.wanted.device_id = DeviceId::parse("111111111111111111111111").ok();
        facts.device.takes_no_code = Some(Failure::new(FailureCode::FirmwareTooOld, "too old"));
        finds(&facts, &["wrong-board", "firmware-too-old", "not-in-product"]);
    }

    #[test]
    fn a_code_is_on_its_way_only_for_a_while() {
        let online = |last_heard: Option<&str>| {
            let last_heard = last_heard.map(str::to_owned);
            shown(DeviceRecord { online: Some(true), last_heard, ..record() })
        };
        finds(&online(Some("2026-11-24T18:58:30Z")), &["code-not-shown"]);
        finds(&online(Some("2026-11-24T19:00:30.5Z")), &["code-not-shown"]);
        finds(&online(Some("2026-11-24T18:50:00Z")), &["not-claimed"]);
        finds(&online(Some("yesterday")), &["not-claimed"]);
        finds(&online(None), &["not-claimed"]);
        let heard = Some("2026-11-24T18:59:59Z".into());
        finds(&shown(DeviceRecord { last_heard: heard, ..record() }), &["not-claimed"]);
        finds(&shown(record()), &["never-heard"]);
    }

    #[test]
    fn what_may_come_is_no_fault() {
        let mut facts = at_work();
        facts.host.modem_manager = Some(Process { pid: 6, name: "ModemManager".into() });
        finds(&facts, &["all-well"]);
        facts.host.rules.keeps_modem_manager_off = false;
        finds(&facts, &["modem-manager-unruled", "all-well"]);
        assert_eq!(verdict(&diagnose(&facts)), None);
        let refused = |in_a_row| RefusedSignIns { in_a_row, stops_at: 5, locked_out_at: 10 };
        facts.host.modem_manager = None;
        facts.cloud.refused = Some(refused(2));
        finds(&facts, &["all-well"]);
        facts.cloud.refused = Some(refused(3));
        finds(&facts, &["near-lock-out", "all-well"]);
    }

    fn nobody() -> CloudSide {
        let missing = Failure::configuration("the client id is missing", "give --client-id");
        CloudSide { no_credentials: Some(missing), ..CloudSide::default() }
    }

    #[test]
    fn what_could_not_be_looked_at_comes_last() {
        let mut facts = fresh();
        facts.cloud = nobody();
        facts.wanted = Wanted::default();
        finds(&facts, &["no-credentials", "no-product"]);
        facts.device = DeviceSide::default();
        finds(&facts, &["no-credentials", "no-product", "no-device-id"]);
    }

    #[test]
    fn what_could_not_be_looked_at_is_not_well() {
        let mut facts = fresh();
        facts.cloud = nobody();
        assert_eq!(verdict(&diagnose(&facts)), Some(FailureCode::Configuration));
        facts.host.modem_manager = Some(Process { pid: 6, name: "ModemManager".into() });
        facts.host.rules.keeps_modem_manager_off = false;
        finds(&facts, &["modem-manager-unruled", "no-credentials"]);
        assert_eq!(verdict(&diagnose(&facts)), Some(FailureCode::Configuration));
        facts.device.answer = Some(Err(Failure::new(FailureCode::NoAnswer, "")));
        facts.wanted.device_id = DeviceId::parse(ID).ok();
        assert_eq!(verdict(&diagnose(&facts)), Some(FailureCode::NoAnswer));
    }

    #[test]
    fn a_developers_own_board_needs_no_product() {
        let mut facts = fresh();
        facts.wanted.product = None;
        facts.cloud = CloudSide { own_record: Some(Ok(None)), ..CloudSide::default() };
        finds(&facts, &["not-in-account"]);
        let own = DeviceRecord { product_id: Some(6), online: Some(true), ..record() };
        facts.cloud.own_record = Some(Ok(Some(own)));
        assert_eq!(diagnose(&facts), [Finding::AllWell { owner: None, as_wanted: true }]);
    }

    #[test]
    fn the_likeliest_cause_comes_first_when_everything_is_wrong() {
        let owner = Some("bob@x.example".to_owned());
        let mut facts =
            shown(DeviceRecord { owner, denied: true, quarantined: true, product_id: Some(7), ..record() });
        facts.device.answer = Some(Err(Failure::new(FailureCode::PortBusy, "")));
        facts.wanted.device_id = DeviceId::parse(ID).ok();
        facts.host = HostSide {
            modem_manager: Some(Process { pid: 6, name: "ModemManager".into() }),
            rules: Rules::default(),
        };
        facts.cloud.own_record = Some(Err(error(FailureCode::SignInRefused, "")));
        facts.cloud.refused = Some(RefusedSignIns { in_a_row: 4, stops_at: 5, locked_out_at: 10 });
        if let Some(Ok(product)) = &mut facts.cloud.product {
            product.platform = Some(Platform::P1);
        }
        finds(
            &facts,
            &[
                "owned-by-other",
                "in-other-product",
                "denied",
                "quarantined",
                "wrong-platform",
                "sign-in-refused",
                "port-busy",
                "modem-manager-unruled",
                "near-lock-out",
            ],
        );
    }

    #[test]
    fn texts_from_outside_cannot_write_on_the_terminal() {
        let mut facts = shown(DeviceRecord { owner: Some("b\u{1b}[2J".into()), ..record() });
        facts.wanted.customer = CustomerTemplate::parse("ann").ok();
        assert_eq!(diagnose(&facts)[0], Finding::OwnedByOther { owner: "b\\u{1b}[2J".into() });
    }
}

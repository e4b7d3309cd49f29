//! What each step makes true.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::{
    sync::{Mutex, SetOnce},
    time::{Instant, sleep, timeout_at},
};

use super::{
    Job, Journal, Owner,
    heard::Heard,
    track::{InStep, Track},
};
use crate::{
    cloud::{Cloud, CloudError, CustomerWas, DeviceRecord, Fleet, Import, Product, Sign},
    device::{Manner, Note, SetupDevice},
    model::{
        Action, ClaimCode, Customer, CustomerTemplate, Deadline, DeviceId, Failure, FailureCode,
        FirmwareVersion, Identity, Outcome, Part, Platform, ProductRef, Step, Summary, clean,
    },
};

/// A board as far as it is known.
#[derive(Debug, Clone)]
pub struct Board {
    pub id: DeviceId,
    pub platform: Option<Platform>,
}

/// Why a run ends before its last step.
#[derive(Debug)]
pub enum Ended {
    /// All was so already.
    Already(Box<Summary>),
    /// It failed.
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<CloudError> for Ended {
    fn from(error: CloudError) -> Self {
        Self::Failed(error.into())
    }
}

impl InStep for Ended {
    fn in_step(self, step: Step) -> Self {
        match self {
            Self::Failed(failure) => Self::Failed(failure.in_step(step)),
            already => already,
        }
    }
}

/// Whether the record, which was asked for by way of the product, shows a full member: a device that
/// waits in quarantine or was turned away is taken in by an import.
fn is_member(record: &DeviceRecord, product: &Product) -> bool {
    record.product_id.is_none_or(|id| id == product.id) && !record.quarantined && !record.denied
}

/// Refuses a board of another kind than the product's. Either may be unknown.
fn fits(product: &Product, board: Option<Platform>) -> Result<(), Failure> {
    match (product.platform, board) {
        (Some(wanted), Some(is)) if wanted != is => Err(Failure::new(
            FailureCode::WrongPlatform,
            format!("product {} is for the {wanted}, and this board is a {is}", product.id),
        )
        .in_step(Step::CheckDevice)),
        _ => Ok(()),
    }
}

/// The record of a device in the developer's own account, if it is there.
async fn own_record(
    cloud: &Cloud,
    board: &Board,
    deadline: Deadline,
) -> Result<Option<DeviceRecord>, CloudError> {
    Ok(cloud.user_devices(deadline).await?.into_iter().find(|device| device.id == board.id))
}

const UPDATING: &str = "a firmware update is under way (magenta): do not unplug the board";

/// What is heard next of the board, if that is before this moment.
async fn sign_before(moment: Instant, heard: Option<&mut Heard>) -> Option<Sign> {
    let next = async {
        match heard {
            Some(heard) => heard.next().await,
            None => std::future::pending().await,
        }
    };
    timeout_at(moment, next).await.ok()
}

fn not_settled(board: &Board, heard: &Heard, deadline: Deadline) -> Failure {
    let what = if !heard.listening {
        "it was not known whether a firmware update is under way, as the cloud's event stream cannot be had"
    } else if heard.updating {
        "its firmware update was still under way"
    } else if heard.away {
        "it was offline and had not come back"
    } else {
        "it was not known for long enough that no firmware update is under way"
    };
    let detail = format!("after {} s of settling of device {}, {what}", deadline.allowed.as_secs(), board.id);
    Failure::new(FailureCode::NotSettled, detail)
}

/// The steps of one run.
pub struct Steps<'a> {
    pub job: &'a Job,
    pub cloud: &'a Cloud,
    pub journal: &'a dyn Journal,
    pub track: Track,
    /// The board, once its id is known.
    pub known: &'a SetOnce<Board>,
    /// The product, once it was read.
    pub product: &'a SetOnce<Product>,
    /// Whether this computer may have to change between the Photon's network and one with internet.
    pub by_turns: bool,
    /// Whether it had to, since the device answered last.
    pub was_away: &'a AtomicBool,
    /// Whether the device was seen to be in the product, or put there.
    pub member: &'a AtomicBool,
    /// What is heard of the board, from before it got its code on.
    pub heard: &'a Mutex<Option<Heard>>,
    /// Whether no firmware update is under way any more.
    pub settled: &'a AtomicBool,
}

impl Steps<'_> {
    /// Asks the cloud, within its deadline. Where this computer may be on the Photon's network, a cloud
    /// that is out of reach is waited for: a person has to bring the computer back.
    async fn ask<T>(
        &self,
        step: Step,
        what: &'static str,
        work: impl AsyncFn(&Cloud, Deadline) -> Result<T, CloudError>,
    ) -> Result<T, CloudError> {
        let cloud = self.cloud(step);
        let policy = &self.job.policy;
        if !self.by_turns {
            return work(&cloud, Deadline::after(policy.cloud, what)).await;
        }
        let give_up = Deadline::after(policy.by_turns, what);
        loop {
            let failure = match work(&cloud, Deadline::after(policy.out_of_reach, what)).await {
                Err(error) if error.code == FailureCode::CloudUnreachable => error,
                other => return other,
            };
            if give_up.left().is_zero() {
                return Err(failure);
            }
            // Steps that run at once need the same thing, so it is asked for once.
            if !self.was_away.swap(true, Ordering::Relaxed) {
                self.track.note(step, Note::Action(Action::GoOnline));
            }
            // An answer that fails at once (no route, no name) must not become a busy loop.
            sleep(policy.first_look.max(policy.out_of_reach / 10)).await;
        }
    }

    /// The cloud, telling what it tries again as notes to this step.
    fn cloud(&self, step: Step) -> Cloud {
        let track = self.track.clone();
        self.cloud.with_listener(move |notice| {
            let (call, why) = (&notice.call, &notice.why);
            let Some(wait) = notice.wait.map(|wait| wait.as_secs_f64()) else {
                return track.note(step, Note::Text("the cloud answers again".into()));
            };
            track.note(step, Note::Again(format!("{why}; trying again in {wait:.1} s: {call}")));
        })
    }

    /// Set once a run: from USB, or else from the console. Nothing is done to a board that another run
    /// is at work on.
    async fn learn(&self, board: Board) -> Result<(), Failure> {
        self.track.known(&board.id);
        let tell = |note| self.track.note(Step::KnowDevice, note);
        self.journal.take(&board.id, &tell).await.map_err(|f| f.in_step(Step::KnowDevice))?;
        let _ = self.known.set(board);
        Ok(())
    }

    /// Takes the id that the device must have for known: who answers is compared with it.
    pub async fn assume(&self) -> Result<bool, Failure> {
        match self.job.device_id.clone() {
            Some(id) => self.learn(Board { id, platform: None }).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Who answers on its own network right now, if anybody does.
    pub async fn glance(&self, device: &mut dyn SetupDevice) -> Result<Option<Identity>, Ended> {
        match device.reach(Manner::LookOnly, &|_| {}).await {
            Ok(identity) => {
                self.expect(&identity.id)?;
                if self.known.get().is_none() {
                    self.learn(Board { id: identity.id.clone(), platform: identity.platform }).await?;
                }
                Ok(Some(identity))
            }
            Err(failure) if failure.code == FailureCode::WrongDevice => {
                Err(failure.in_step(Step::KnowDevice).into())
            }
            Err(_) => Ok(None),
        }
    }

    /// Takes an answer of a moment ago for the device's side: the steps are told, nothing is asked again.
    pub async fn greet(&self, device: &mut dyn SetupDevice, identity: Identity) -> Result<Identity, Ended> {
        self.journal.met(&identity);
        let work = async {
            device.takes_claim_code(&identity)?;
            self.job.wifi.as_ref().map_or(Ok(()), |wifi| device.carries(wifi, Some(&identity)))?;
            let note = identity.id.to_string();
            Ok::<_, Ended>((identity, Outcome::AlreadySo, note))
        };
        self.track.step(Step::KnowDevice, work).await
    }

    /// Whether the device was seen to be in the product, or put there.
    pub fn is_member(&self) -> bool {
        self.member.load(Ordering::Relaxed)
    }

    /// Says what it means that the id is not known before the code is made.
    pub fn warn_of_late_import(&self) {
        let note = "its id is not known yet, so it may show its code before it is imported; the cloud may then \
                    refuse the board, or not claim it, and the code is lost. --device-id avoids that";
        self.track.note(Step::Import, Note::Text(note.into()));
    }

    fn expect(&self, id: &DeviceId) -> Result<(), Failure> {
        match &self.job.device_id {
            Some(expected) if expected != id => {
                Err(Failure::new(FailureCode::WrongDevice, format!("the board is {id}, not {expected}")))
            }
            _ => Ok(()),
        }
    }

    /// What a run came to, for the board that is known by now.
    pub fn summary(&self, part: Part, firmware: Option<FirmwareVersion>, already: bool) -> Summary {
        let board = self.known.get();
        let id = board.map(|board| board.id.clone());
        let (customer, product) = match &self.job.owner {
            Owner::Customer { product, customer } => {
                let customer = match &id {
                    Some(id) => Some(customer.for_device(id)),
                    None => customer.fixed().cloned(),
                };
                (customer, Some(product.clone()))
            }
            Owner::Developer => (None, None),
        };
        let platform = board.and_then(|board| board.platform);
        Summary {
            part,
            device_id: id,
            platform,
            firmware,
            customer,
            product,
            already,
            settled: self.settled.load(Ordering::Relaxed),
            dry_run: self.job.dry_run,
        }
    }

    fn already(&self) -> Ended {
        Ended::Already(Box::new(self.summary(Part::Whole, None, true)))
    }

    // --- this computer's side ---

    /// This computer is on the device's own network, if it was to join it.
    pub async fn join(&self, device: &mut dyn SetupDevice) -> Result<(), Ended> {
        let Some(joiner) = device.joiner() else { return Ok(()) };
        let work = async {
            joiner.join().await?;
            Ok::<_, Ended>(((), Outcome::Done, joiner.network().to_string()))
        };
        self.track.step(Step::Join, work).await
    }

    /// This computer is on the network of before, if it had left it. What was done is done, so a network
    /// that it cannot go back to does not undo it: a person is told.
    pub async fn go_back(&self, device: &mut dyn SetupDevice) {
        let Some(joiner) = device.joiner().filter(|joiner| joiner.is_away()) else { return };
        let work = async { Ok::<_, Failure>(((), Outcome::Done, joiner.go_back().await?)) };
        if let Err(failure) = self.track.step(Step::GoBack, work).await {
            self.track.note(Step::GoBack, Note::Text(format!("{failure}; choose a network yourself")));
        }
    }

    // --- the device's side ---

    /// Knows the device if USB tells its id; does not disturb it.
    pub async fn know_from_usb(&self, device: &mut dyn SetupDevice) -> Result<Option<DeviceId>, Ended> {
        let sighting = device.find().await.map_err(|f| f.in_step(Step::KnowDevice))?;
        let Some(id) = sighting.device_id else { return Ok(None) };
        let work = async {
            self.expect(&id)?;
            self.learn(Board { id: id.clone(), platform: sighting.platform }).await?;
            Ok::<_, Ended>(((), Outcome::AlreadySo, format!("{id}, from USB")))
        };
        self.track.step(Step::KnowDevice, work).await?;
        Ok(Some(id))
    }

    /// Knows the device by asking its console, which has to listen for that.
    pub async fn know_from_console(&self, device: &mut dyn SetupDevice) -> Result<Identity, Ended> {
        let work = async {
            let identity = self.listening(device).await?;
            let note = identity.id.to_string();
            Ok::<_, Ended>((identity, Outcome::AlreadySo, note))
        };
        self.track.step(Step::KnowDevice, work).await
    }

    /// The board answers in listening mode, is the one that is meant, and can take a code.
    pub async fn listening(&self, device: &mut dyn SetupDevice) -> Result<Identity, Ended> {
        let step = Step::Listening;
        let work = async {
            let tell = |note| self.track.note(step, note);
            let manner = if self.job.dry_run { Manner::LookOnly } else { Manner::Touch };
            let identity = match device.reach(manner, &tell).await {
                // A dry run that knows the id can go on without the board.
                Err(failure)
                    if self.job.dry_run
                        && matches!(failure.code, FailureCode::NotListening | FailureCode::InDialogue) =>
                {
                    let Some(board) = self.known.get() else { return Err(failure.into()) };
                    let identity = Identity {
                        id: board.id.clone(),
                        platform: board.platform,
                        firmware: None,
                        claimed: None,
                        mac: None,
                        serial_number: None,
                    };
                    let would = match failure.code {
                        FailureCode::InDialogue => "would lead its console out of a dialogue",
                        _ => "would put it into listening mode",
                    };
                    return Ok((identity, Outcome::WouldDo, would.into()));
                }
                other => other?,
            };
            self.expect(&identity.id)?;
            self.journal.met(&identity);
            if self.known.get().is_none() {
                self.learn(Board { id: identity.id.clone(), platform: identity.platform }).await?;
            }
            device.takes_claim_code(&identity)?;
            self.job.wifi.as_ref().map_or(Ok(()), |wifi| device.carries(wifi, Some(&identity)))?;
            // A link on the hub tells an id but no kind of board, so this may be the first to tell.
            self.product.get().map_or(Ok(()), |product| fits(product, identity.platform))?;
            let note = identity.firmware.as_ref().map(|v| format!("Device OS {v}")).unwrap_or_default();
            Ok::<_, Ended>((identity, Outcome::Done, note))
        };
        self.track.step(step, work).await
    }

    /// The device has confirmed the code.
    pub async fn deliver(&self, device: &mut dyn SetupDevice, code: &ClaimCode) -> Result<(), Ended> {
        let step = Step::Deliver;
        let work = async {
            self.journal.intend(step).await?;
            device.set_claim_code(code, &|note| self.track.note(step, note)).await?;
            Ok::<_, Ended>(((), Outcome::Done, "confirmed by the device".into()))
        };
        self.track.step(step, work).await
    }

    /// The device has saved the network it shall join, if one was given. After the claim code: over USB
    /// this ends listening mode.
    pub async fn wifi(&self, device: &mut dyn SetupDevice) -> Result<(), Ended> {
        let Some(wifi) = &self.job.wifi else { return Ok(()) };
        let work = async {
            self.journal.intend(Step::Wifi).await?;
            device.set_wifi(wifi, &|note| self.track.note(Step::Wifi, note)).await?;
            Ok::<_, Ended>(((), Outcome::Done, format!("{} saved", wifi.ssid())))
        };
        self.track.step(Step::Wifi, work).await
    }

    /// The device has left listening mode. That it comes back is seen while verifying.
    pub async fn finish(&self, device: &mut dyn SetupDevice) -> Result<(), Ended> {
        let work = async {
            device.finish().await?;
            Ok::<_, Ended>(((), Outcome::Done, "let out of listening mode".into()))
        };
        self.track.step(Step::Finish, work).await
    }

    /// What a dry run says instead of touching the board.
    pub async fn would_deliver(&self) -> Result<(), Ended> {
        let wifi = self.job.wifi.as_ref().map(|_| Step::Wifi);
        for step in [Some(Step::Deliver), wifi, Some(Step::Finish), Some(Step::Verify)].into_iter().flatten()
        {
            let work = async { Ok::<_, Ended>(((), Outcome::WouldDo, String::new())) };
            self.track.step(step, work).await?;
        }
        Ok(())
    }

    // --- the cloud's side, for a product ---

    /// A bearer token is at hand.
    pub async fn sign_in(&self) -> Result<(), Ended> {
        let work = async {
            let token = self
                .ask(Step::SignIn, "signing in", async |cloud, until| cloud.product_token(until).await)
                .await?;
            let (outcome, note) = match token.was_kept() {
                true => (Outcome::AlreadySo, "with the token of before"),
                false => (Outcome::Done, ""),
            };
            Ok::<_, Ended>(((), outcome, note.into()))
        };
        self.track.step(Step::SignIn, work).await
    }

    /// The product is there; the check of the device goes on with it.
    pub async fn check_product(&self, product: &ProductRef) -> Result<(), Ended> {
        let work = async {
            let product = self
                .ask(Step::CheckProduct, "reading the product", async |cloud, until| {
                    cloud.product_once(product, until).await
                })
                .await?;
            let note = clean(&product.name);
            let _ = self.product.set(product);
            Ok::<_, Ended>(((), Outcome::AlreadySo, note))
        };
        self.track.step(Step::CheckProduct, work).await
    }

    /// The device is not somebody else's, as far as the token may see. Gives the device's record if
    /// it is a member of the product already.
    pub async fn check_device(
        &self,
        product: &ProductRef,
        customer: &CustomerTemplate,
    ) -> Result<Option<DeviceRecord>, Ended> {
        let board = self.known.wait().await.clone();
        let work = async {
            let ask = async |cloud: &Cloud, until| cloud.device(product, &board.id, until).await;
            let record = self.ask(Step::CheckDevice, "reading the device", ask).await?;
            let of = self.product.wait().await;
            fits(of, board.platform)?;
            let Some(record) = record else {
                return Ok((None, Outcome::AlreadySo, "not in the product yet".into()));
            };
            // A device that is in no product has its platform's number there.
            let platform = board.platform.or(record.platform).map(|p| u64::from(p.id()));
            let elsewhere = |id: &u64| *id != of.id && Some(*id) != platform;
            if let Some(other) = record.product_id.filter(elsewhere) {
                let detail = format!("device {} is in product {other}, not in {}", board.id, of.id);
                return Err(Failure::new(FailureCode::InOtherProduct, detail).into());
            }
            let customer = customer.for_device(&board.id);
            match &record.owner {
                Some(owner) if customer.is(owner) && is_member(&record, of) => {
                    if self.job.naming.also_if_done {
                        self.name(Some(&record)).await?;
                    }
                    Err(self.already())
                }
                Some(owner) if customer.is(owner) => {
                    let note = "the customer's, but not in the product".into();
                    Ok((Some(record), Outcome::AlreadySo, note))
                }
                Some(owner) if self.job.reclaim => {
                    let note = format!("taken off {}", clean(owner));
                    if self.job.dry_run {
                        return Ok((Some(record), Outcome::WouldDo, note));
                    }
                    self.journal.intend(Step::CheckDevice).await?;
                    let ask = async |cloud: &Cloud, until| cloud.unclaim(product, &board.id, until).await;
                    self.ask(Step::CheckDevice, "taking the owner off", ask).await?;
                    Ok((Some(record), Outcome::Done, note))
                }
                Some(owner) => {
                    let detail = format!("device {} belongs to {}", board.id, clean(owner));
                    Err(Failure::new(FailureCode::OwnedByOther, detail).into())
                }
                None => Ok((Some(record), Outcome::AlreadySo, "owned by nobody".into())),
            }
        };
        self.track.step(Step::CheckDevice, work).await
    }

    /// The device is in the product.
    pub async fn import(&self, product: &ProductRef, record: Option<DeviceRecord>) -> Result<(), Ended> {
        let board = self.known.wait().await;
        self.import_step(product, board, record).await?;
        self.member.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn import_step(
        &self,
        product: &ProductRef,
        board: &Board,
        record: Option<DeviceRecord>,
    ) -> Result<(), Ended> {
        let work = async {
            let product_read = self.product.wait().await;
            if record.is_some_and(|record| is_member(&record, product_read)) {
                return Ok(((), Outcome::AlreadySo, "in the product".into()));
            }
            if self.job.dry_run {
                return Ok(((), Outcome::WouldDo, String::new()));
            }
            let refused = |code, why: &str| {
                Ended::from(Failure::new(code, format!("the cloud does not take device {}: {why}", board.id)))
            };
            self.journal.intend(Step::Import).await?;
            let ask = async |cloud: &Cloud, until| cloud.import(product, &board.id, until).await;
            match self.ask(Step::Import, "importing the device", ask).await? {
                Import::Added => Ok(((), Outcome::Done, "imported".into())),
                Import::AlreadyMember => Ok(((), Outcome::AlreadySo, "in the product".into())),
                Import::OwnedByOther => Err(refused(
                    FailureCode::OwnedByOther,
                    "it belongs to somebody else, or to another product",
                )),
                Import::Invalid => {
                    Err(refused(FailureCode::ImportRefused, "not an id of this product's kind of board"))
                }
            }
        };
        self.track.step(Step::Import, work).await
    }

    /// The customer exists, and a token for it is at hand. Needs the client's secret, not the bearer
    /// token, so it waits for nothing but the customer's name.
    pub async fn customer(
        &self,
        product: &ProductRef,
        template: &CustomerTemplate,
    ) -> Result<Customer, Ended> {
        let customer = match template.fixed() {
            Some(customer) => customer.clone(),
            None => template.for_device(&self.known.wait().await.id),
        };
        let work = async {
            if self.job.dry_run {
                return Ok(((), Outcome::WouldDo, format!("{customer}, unless it exists")));
            }
            self.journal.intend(Step::Customer).await?;
            let ask = async |cloud: &Cloud, until| cloud.customer_token(product, &customer, until).await;
            let (_, was) = self.ask(Step::Customer, "creating the customer", ask).await?;
            let outcome = match was {
                CustomerWas::Created => Outcome::Done,
                CustomerWas::Cached | CustomerWas::Existing => Outcome::AlreadySo,
            };
            Ok::<_, Ended>(((), outcome, customer.to_string()))
        };
        self.track.step(Step::Customer, work).await?;
        Ok(customer)
    }

    /// A fresh claim code is at hand; `None` in a dry run.
    pub async fn claim_code(
        &self,
        product: &ProductRef,
        customer: &Customer,
    ) -> Result<Option<ClaimCode>, Ended> {
        let work = async {
            if self.job.dry_run {
                return Ok((None, Outcome::WouldDo, String::new()));
            }
            let ask = async |cloud: &Cloud, until| cloud.customer_claim_code(product, customer, until).await;
            let code = self.ask(Step::ClaimCode, "making a claim code", ask).await?;
            Ok::<_, Ended>((Some(code), Outcome::Done, String::new()))
        };
        self.track.step(Step::ClaimCode, work).await
    }

    // --- the cloud's side, for a developer's own account ---

    /// The user's token was given; whether it is good shows with the first call.
    pub async fn have_user_token(&self) -> Result<(), Ended> {
        let work = async { Ok::<_, Ended>(((), Outcome::AlreadySo, "with the token that was given".into())) };
        self.track.step(Step::SignIn, work).await
    }

    /// The account's own list is what the token may see.
    pub async fn check_own_device(&self) -> Result<(), Ended> {
        let board = self.known.wait().await.clone();
        let work = async {
            let ask = async |cloud: &Cloud, until| own_record(cloud, &board, until).await;
            match self.ask(Step::CheckDevice, "reading the account's devices", ask).await? {
                Some(_) => Err(self.already()),
                None => Ok(((), Outcome::AlreadySo, "not in the account yet".into())),
            }
        };
        self.track.step(Step::CheckDevice, work).await
    }

    /// A fresh claim code for the developer's account; `None` in a dry run.
    pub async fn own_claim_code(&self) -> Result<Option<ClaimCode>, Ended> {
        let work = async {
            if self.job.dry_run {
                return Ok((None, Outcome::WouldDo, String::new()));
            }
            let ask = async |cloud: &Cloud, until| cloud.user_claim_code(until).await;
            let code = self.ask(Step::ClaimCode, "making a claim code", ask).await?;
            Ok::<_, Ended>((Some(code), Outcome::Done, String::new()))
        };
        self.track.step(Step::ClaimCode, work).await
    }

    // --- the end ---

    /// Listens from now on to what the board does, without waiting for it. Not where the internet is going
    /// to be away, nor where nothing is going to happen.
    pub fn watch(&self) {
        if !self.by_turns && !self.job.dry_run {
            self.watch_now();
        }
    }

    fn watch_now(&self) {
        // Whoever has it has begun to verify.
        let (Ok(mut heard), Some(board)) = (self.heard.try_lock(), self.known.get()) else { return };
        if heard.is_some() {
            return;
        }
        let stream = match &self.job.owner {
            Owner::Customer { product, .. } => self.cloud.product_events(product),
            // It tells of a device only once that is the developer's, so it is of no use before.
            Owner::Developer if self.job.policy.settle.is_some() => self.cloud.own_events(),
            Owner::Developer => return,
        };
        *heard = Some(Heard::new(stream.device(&board.id)));
    }

    /// The cloud says that it is ours. A board that comes back to listening is not waited for.
    pub async fn verify(&self, device: Option<&mut dyn SetupDevice>) -> Result<(), Ended> {
        let board = self.known.wait().await;
        let work = async {
            if self.by_turns {
                // The time to verify begins when the cloud can be asked again.
                let ask = async |cloud: &Cloud, until| self.look(cloud, board, until).await;
                if let (_, Some(note)) = self.ask(Step::Verify, "the cloud's record", ask).await? {
                    return Ok(((), Outcome::Done, note));
                }
            }
            self.watch_now();
            let deadline = Deadline::after(self.job.policy.verify, "the cloud's record");
            let back = async {
                match device {
                    Some(device) => device.back().await,
                    None => std::future::pending().await,
                }
            };
            let note = tokio::select! {
                note = self.record_turns_right(board, deadline) => note?,
                // It may have been online in between, so the record has the last word.
                () = back => self.look(&self.cloud(Step::Verify), board, self.look_until(deadline)).await?.1.ok_or_else(|| {
                    Failure::new(
                        FailureCode::BackToListening,
                        "the board took the claim code, but it is back in listening mode: it knows no Wi-Fi, or cannot join it",
                    )
                    .in_step(Step::Finish)
                })?,
            };
            Ok::<_, Ended>(((), Outcome::Done, note))
        };
        self.track.step(Step::Verify, work).await
    }

    /// Looks at the record when the board is heard to be online, and again while that does not show yet:
    /// the owner follows. While nothing is heard it looks from time to time, and where nothing can be heard
    /// more often.
    async fn record_turns_right(&self, board: &Board, mut deadline: Deadline) -> Result<String, Ended> {
        let policy = &self.job.policy;
        let cloud = self.cloud(Step::Verify);
        let mut heard = self.heard.lock().await;
        // A developer's stream does not tell of the device before it is the developer's.
        let mut heard = heard.as_mut().filter(|_| matches!(self.job.owner, Owner::Customer { .. }));
        heard.iter_mut().for_each(|heard| heard.catch_up());
        let mut pause = policy.first_look;
        // The last looks come as close together as the first ones.
        let beside =
            |deadline: &Deadline| policy.beside.min(deadline.left().saturating_sub(policy.longest_look));
        let mut next = Instant::now();
        match &heard {
            Some(heard) if heard.online => next += policy.claim_lag,
            Some(heard) if heard.listening => next += beside(&deadline),
            _ => {}
        }
        loop {
            while let Some(sign) = sign_before(next, heard.as_deref_mut()).await {
                let now = Instant::now();
                match sign {
                    // What was missed meanwhile shows in the record.
                    Sign::Listening => next = now,
                    Sign::Deaf => next = next.min(now + pause),
                    Sign::Online => (next, pause) = (now + policy.claim_lag, policy.first_look),
                    _ => {}
                }
            }
            let begun = Instant::now();
            let (record, ours) = self.look(&cloud, board, self.look_until(deadline)).await?;
            if let Some(note) = ours {
                return Ok(note);
            }
            if policy.patient {
                deadline.at += begun.elapsed();
            }
            if deadline.left() <= pause {
                return Err(self.not_verified(board, record, deadline).into());
            }
            next = Instant::now() + pause;
            match &heard {
                Some(heard) if heard.listening && !heard.online => {
                    next = next.max(Instant::now() + beside(&deadline))
                }
                _ => pause = (pause * 2).min(policy.longest_look),
            }
        }
    }

    /// Until when a look at the record is waited for that is made before this deadline, or at its end: the
    /// last one, too, has the time that an answer takes.
    fn look_until(&self, deadline: Deadline) -> Deadline {
        let policy = &self.job.policy;
        let allowed = if policy.patient { policy.cloud } else { deadline.left().max(policy.out_of_reach) };
        Deadline::after(allowed, deadline.name)
    }

    /// The cloud calls the device what it shall be called; its record tells whether it does already.
    pub async fn name(&self, record: Option<&DeviceRecord>) -> Result<(), Ended> {
        let (naming, Owner::Customer { product, .. }) = (&self.job.naming, &self.job.owner) else {
            return Ok(());
        };
        if naming.is_so(record) {
            return Ok(());
        }
        let board = self.known.wait().await;
        let fleet = Fleet::Product(product.clone());
        let work = async {
            let said = naming.name.clone().unwrap_or_default();
            if self.job.dry_run {
                return Ok(((), Outcome::WouldDo, said));
            }
            if let Some(name) = &naming.name {
                let ask =
                    async |cloud: &Cloud, until| cloud.rename_device(&fleet, &board.id, name, until).await;
                self.ask(Step::Name, "naming the device", ask).await?;
            }
            if let Some(note) = &naming.note {
                let ask =
                    async |cloud: &Cloud, until| cloud.note_device(&fleet, &board.id, note, until).await;
                self.ask(Step::Name, "noting something about the device", ask).await?;
            }
            Ok::<_, Ended>(((), Outcome::Done, said))
        };
        self.track.step(Step::Name, work).await
    }

    /// The firmware update that the first connection may start is over, or none has begun for a while. A
    /// board that is unplugged in the middle of one may not start again.
    pub async fn settle(&self) -> Result<(), Ended> {
        let Some(allowed) = self.job.policy.settle.filter(|_| !self.job.dry_run) else { return Ok(()) };
        let board = self.known.wait().await;
        self.watch_now();
        let work = async {
            let mut deadline = Deadline::after(allowed, "its firmware update");
            let cloud = self.cloud(Step::Settle);
            let mut heard = self.heard.lock().await;
            let Some(heard) = heard.as_mut() else { return Ok(((), Outcome::AlreadySo, String::new())) };
            // An update that had begun before anybody listened takes longer than one takes to begin.
            heard.gaps |= !heard.listening;
            heard.catch_up();
            let tell = |note: &str| self.track.note(Step::Settle, Note::Text(note.into()));
            if heard.updating {
                tell(UPDATING);
            }
            loop {
                let quiet = self.job.policy.quiet * if heard.gaps { 6 } else { 1 };
                let at_rest = heard.listening && !heard.updating && !heard.away;
                let next = if at_rest { heard.since + quiet } else { deadline.at };
                match sign_before(next.min(deadline.at), Some(&mut *heard)).await {
                    // The record knows whether it has come back meanwhile; and it is as long in coming as
                    // the cloud is down.
                    Some(Sign::Listening | Sign::Deaf) => {
                        let begun = Instant::now();
                        if let Ok((Some(record), _)) =
                            self.look(&cloud, board, self.look_until(deadline)).await
                        {
                            heard.away = record.online == Some(false);
                        }
                        if self.job.policy.patient {
                            deadline.at += begun.elapsed();
                        }
                    }
                    Some(Sign::UpdateStarted) => tell(UPDATING),
                    Some(Sign::UpdateEnded { well: true }) => tell("updated; it starts anew"),
                    Some(_) => {}
                    None if at_rest && next <= deadline.at => break,
                    None => return Err(not_settled(board, heard, deadline).into()),
                }
            }
            self.settled.store(true, Ordering::Relaxed);
            Ok::<_, Ended>(match heard.updated {
                Some(true) => ((), Outcome::Done, "its firmware was updated".into()),
                Some(false) => ((), Outcome::Done, "a firmware update failed; it keeps what it has".into()),
                None => ((), Outcome::AlreadySo, "no firmware update has begun".into()),
            })
        };
        self.track.step(Step::Settle, work).await
    }

    /// The cloud's record, and whose it is if that is right.
    async fn look(
        &self,
        cloud: &Cloud,
        board: &Board,
        deadline: Deadline,
    ) -> Result<(Option<DeviceRecord>, Option<String>), CloudError> {
        let (record, ours) = match &self.job.owner {
            Owner::Customer { product, customer } => {
                let record = cloud.device(product, &board.id, deadline).await?;
                let customer = customer.for_device(&board.id);
                let number = self.product.get().map(|p| p.id);
                let ours = record.as_ref().is_some_and(|record| {
                    // The question names the product in its path; some answers leave it out.
                    let product = record.product_id.is_none() || record.product_id == number;
                    product && record.owner.as_ref().is_some_and(|owner| customer.is(owner))
                });
                (record, ours.then(|| format!("owned by {customer}")))
            }
            Owner::Developer => {
                let record = own_record(cloud, board, deadline).await?;
                let ours = record.is_some();
                (record, ours.then(|| "in the developer's account".into()))
            }
        };
        Ok((record, ours))
    }

    fn not_verified(&self, board: &Board, record: Option<DeviceRecord>, deadline: Deadline) -> Failure {
        let seconds = deadline.passed().as_secs_f64().round();
        let Some(record) = record else {
            let detail = format!("after {seconds} s the cloud still does not show device {}", board.id);
            return Failure::new(FailureCode::NotVerified, detail);
        };
        let online = match record.online {
            Some(true) => "online",
            Some(false) => "offline",
            None => "not known to be online",
        };
        let heard =
            record.last_heard.as_deref().map_or("never heard from".into(), |at| format!("last heard {at}"));
        let (code, owner) = match &record.owner {
            Some(owner) => (FailureCode::OwnedByOther, format!("owned by {}", clean(owner))),
            None => (FailureCode::NotVerified, "owned by nobody".into()),
        };
        let detail =
            format!("after {seconds} s the cloud shows device {}: {owner}, {online}, {heard}", board.id);
        Failure::new(code, detail)
    }
}

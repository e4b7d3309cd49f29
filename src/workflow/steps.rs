//! What each step makes true.

use tokio::{sync::SetOnce, time::sleep};

use super::{
    Job, Owner,
    track::{InStep, Track},
};
use crate::{
    cloud::{Cloud, CloudError, CustomerWas, DeviceRecord, Import, Product},
    device::{Manner, Note, SetupDevice},
    model::{
        ClaimCode, Customer, CustomerTemplate, Deadline, DeviceId, Failure, FailureCode, FirmwareVersion,
        Identity, Outcome, Platform, ProductRef, Step, Summary, clean,
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

/// The steps of one run.
pub struct Steps<'a> {
    pub job: &'a Job,
    pub cloud: &'a Cloud,
    pub track: Track,
    /// The board, once its id is known.
    pub known: &'a SetOnce<Board>,
    /// The product, once it was read.
    pub product: &'a SetOnce<Product>,
}

impl Steps<'_> {
    /// The cloud as one step asks it: what is tried again is told as a note of that step.
    fn cloud(&self, step: Step) -> Cloud {
        let track = self.track.clone();
        self.cloud.with_listener(move |notice| {
            let (call, why, wait) = (&notice.call, &notice.why, notice.wait.as_secs_f64());
            track.note(step, Note::Text(format!("{call}: {why}; trying again in {wait:.1} s")));
        })
    }

    fn deadline(&self, name: &'static str) -> Deadline {
        Deadline::after(self.job.policy.cloud, name)
    }

    fn learn(&self, board: Board) {
        self.track.known(&board.id);
        // Set once a run: from USB, or else from the console.
        let _ = self.known.set(board);
    }

    fn expect(&self, id: &DeviceId) -> Result<(), Failure> {
        match &self.job.device_id {
            Some(expected) if expected != id => {
                Err(Failure::new(FailureCode::WrongDevice, format!("the board is {id}, not {expected}")))
            }
            _ => Ok(()),
        }
    }

    pub fn summary(&self, board: &Board, firmware: Option<FirmwareVersion>, already: bool) -> Summary {
        let (customer, product) = match &self.job.owner {
            Owner::Customer { product, customer } => {
                (Some(customer.for_device(&board.id)), Some(product.clone()))
            }
            Owner::Developer => (None, None),
        };
        Summary {
            device_id: board.id.clone(),
            platform: board.platform,
            firmware,
            customer,
            product,
            already,
            dry_run: self.job.dry_run,
        }
    }

    fn already(&self, board: &Board) -> Ended {
        Ended::Already(Box::new(self.summary(board, None, true)))
    }

    // --- the device's side ---

    /// Knows the device if USB tells its id; does not disturb it.
    pub async fn know_from_usb(&self, device: &mut dyn SetupDevice) -> Result<Option<DeviceId>, Ended> {
        let sighting = device.find().await.map_err(|f| f.in_step(Step::KnowDevice))?;
        let Some(id) = sighting.device_id else { return Ok(None) };
        let work = async {
            self.expect(&id)?;
            self.learn(Board { id: id.clone(), platform: sighting.platform });
            Ok::<_, Ended>(((), Outcome::AlreadySo, format!("{id}, from USB")))
        };
        self.track.step(Step::KnowDevice, work).await?;
        Ok(Some(id))
    }

    /// Knows the device by asking its console, which has to listen for that.
    pub async fn know_from_console(&self, device: &mut dyn SetupDevice) -> Result<Identity, Ended> {
        let work = async {
            let identity = self.listening(device).await?;
            self.learn(Board { id: identity.id.clone(), platform: identity.platform });
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
                Err(failure) if self.job.dry_run && failure.code == FailureCode::NotListening => {
                    let Some(board) = self.known.get() else { return Err(failure.into()) };
                    let identity = Identity {
                        id: board.id.clone(),
                        platform: board.platform,
                        firmware: None,
                        claimed: None,
                        mac: None,
                        serial_number: None,
                    };
                    return Ok((identity, Outcome::WouldDo, "would put it into listening mode".into()));
                }
                other => other?,
            };
            self.expect(&identity.id)?;
            device.takes_claim_code(&identity)?;
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
            device.set_claim_code(code, &|note| self.track.note(step, note)).await?;
            Ok::<_, Ended>(((), Outcome::Done, "confirmed by the device".into()))
        };
        self.track.step(step, work).await
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
        for step in [Step::Deliver, Step::Finish, Step::Verify] {
            let work = async { Ok::<_, Ended>(((), Outcome::WouldDo, String::new())) };
            self.track.step(step, work).await?;
        }
        Ok(())
    }

    // --- the cloud's side, for a product ---

    /// A bearer token is at hand.
    pub async fn sign_in(&self) -> Result<(), Ended> {
        let work = async {
            let token = self.cloud(Step::SignIn).product_token(self.deadline("signing in")).await?;
            let outcome = if token.was_kept() { Outcome::AlreadySo } else { Outcome::Done };
            Ok::<_, Ended>(((), outcome, String::new()))
        };
        self.track.step(Step::SignIn, work).await
    }

    /// The product is there; the check of the device goes on with it.
    pub async fn check_product(&self, product: &ProductRef) -> Result<(), Ended> {
        let work = async {
            let product =
                self.cloud(Step::CheckProduct).product(product, self.deadline("reading the product")).await?;
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
            let deadline = self.deadline("reading the device");
            let record = self.cloud(Step::CheckDevice).device(product, &board.id, deadline).await?;
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
                Some(owner) if customer.is(owner) && is_member(&record, of) => Err(self.already(&board)),
                Some(owner) if customer.is(owner) => {
                    let note = "the customer's, but not in the product".into();
                    Ok((Some(record), Outcome::AlreadySo, note))
                }
                Some(owner) if self.job.reclaim => {
                    let note = format!("taken off {}", clean(owner));
                    if self.job.dry_run {
                        return Ok((Some(record), Outcome::WouldDo, note));
                    }
                    let deadline = self.deadline("taking the owner off");
                    self.cloud(Step::CheckDevice).unclaim(product, &board.id, deadline).await?;
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
            match self
                .cloud(Step::Import)
                .import(product, &board.id, self.deadline("importing the device"))
                .await?
            {
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
            let deadline = self.deadline("creating the customer");
            let (_, was) = self.cloud(Step::Customer).customer_token(product, &customer, deadline).await?;
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
            let deadline = self.deadline("making a claim code");
            let code = self.cloud(Step::ClaimCode).customer_claim_code(product, customer, deadline).await?;
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
            match self
                .own_record(Step::CheckDevice, &board, self.deadline("reading the account's devices"))
                .await?
            {
                Some(_) => Err(self.already(&board)),
                None => Ok(((), Outcome::AlreadySo, "not in the account yet".into())),
            }
        };
        self.track.step(Step::CheckDevice, work).await
    }

    async fn own_record(
        &self,
        step: Step,
        board: &Board,
        deadline: Deadline,
    ) -> Result<Option<DeviceRecord>, CloudError> {
        Ok(self.cloud(step).user_devices(deadline).await?.into_iter().find(|d| d.id == board.id))
    }

    /// A fresh claim code for the developer's account; `None` in a dry run.
    pub async fn own_claim_code(&self) -> Result<Option<ClaimCode>, Ended> {
        let work = async {
            if self.job.dry_run {
                return Ok((None, Outcome::WouldDo, String::new()));
            }
            let code =
                self.cloud(Step::ClaimCode).user_claim_code(self.deadline("making a claim code")).await?;
            Ok::<_, Ended>((Some(code), Outcome::Done, String::new()))
        };
        self.track.step(Step::ClaimCode, work).await
    }

    // --- the end ---

    /// The cloud says that it is ours. A board that comes back to listening meanwhile is let out
    /// again, as the command may have got lost; one that keeps coming back is not waited for.
    pub async fn verify(&self, device: &mut dyn SetupDevice, board: &Board) -> Result<(), Ended> {
        let deadline = Deadline::after(self.job.policy.verify, "the cloud's record");
        let work = async {
            let returned = async {
                for exits in 1.. {
                    device.back().await;
                    if exits == self.job.policy.exits || device.finish().await.is_err() {
                        break;
                    }
                }
            };
            let note = tokio::select! {
                note = self.record_turns_right(board, deadline) => note?,
                // It may have been online in between, so the record has the last word.
                () = returned => self.look(board, deadline).await?.1.ok_or_else(|| Failure::new(
                    FailureCode::BackToListening,
                    "the board took the claim code, but it is back in listening mode: it knows no Wi-Fi, or cannot join it",
                ).in_step(Step::Finish))?,
            };
            Ok::<_, Ended>(((), Outcome::Done, note))
        };
        self.track.step(Step::Verify, work).await
    }

    async fn record_turns_right(&self, board: &Board, deadline: Deadline) -> Result<String, Ended> {
        let policy = &self.job.policy;
        let mut pause = policy.first_look;
        loop {
            let (record, ours) = self.look(board, deadline).await?;
            if let Some(note) = ours {
                return Ok(note);
            }
            if deadline.left() <= pause {
                return Err(self.not_verified(board, record, deadline).into());
            }
            sleep(pause).await;
            pause = (pause * 2).min(policy.longest_look);
        }
    }

    /// The cloud's record, and whose it is if that is right.
    async fn look(
        &self,
        board: &Board,
        deadline: Deadline,
    ) -> Result<(Option<DeviceRecord>, Option<String>), Ended> {
        let (record, ours) = match &self.job.owner {
            Owner::Customer { product, customer } => {
                let record = self.cloud(Step::Verify).device(product, &board.id, deadline).await?;
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
                let record = self.own_record(Step::Verify, board, deadline).await?;
                let ours = record.is_some();
                (record, ours.then(|| "in the developer's account".into()))
            }
        };
        Ok((record, ours))
    }

    fn not_verified(&self, board: &Board, record: Option<DeviceRecord>, deadline: Deadline) -> Failure {
        let seconds = deadline.allowed.as_secs();
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

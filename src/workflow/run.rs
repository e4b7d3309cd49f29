//! The main job, read top to bottom.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::sync::{Mutex, SetOnce};

use super::{
    Journal, Policy,
    steps::{Board, Ended, Steps},
    track::Track,
};
use crate::{
    cloud::{Cloud, DeviceRecord},
    device::SetupDevice,
    model::{
        ClaimCode, CustomerTemplate, DeviceId, EventKind, Events, Failure, FailureCode, Identity, Part,
        ProductRef, Summary, WifiCredentials,
    },
};

/// What to do about a board that came into the product only after it had its code, and is not claimed.
const SHOWN_TOO_EARLY: &str = "look at the status LED. Breathing cyan: it is online, and has likely shown its claim code before it was imported, in vain: give it another one, with its id named from the start (--device-id). Anything else: it is not online yet; run this again when it is";

/// Whose the device shall be.
#[derive(Debug, Clone)]
pub enum Owner {
    /// A customer of a product.
    Customer {
        /// The product.
        product: ProductRef,
        /// The customer, or one for each device.
        customer: CustomerTemplate,
    },
    /// The developer who is signed in, with no product.
    Developer,
}

/// What a run shall make true.
#[derive(Debug, Clone)]
pub struct Job {
    /// Whose the device shall be.
    pub owner: Owner,
    /// The network that it shall join; without one it keeps what it knows.
    pub wifi: Option<WifiCredentials>,
    /// The board that is meant; another one is refused.
    pub device_id: Option<DeviceId>,
    /// What it shall be called; a name that nobody wants is left as it is.
    pub naming: Naming,
    /// Take the device off an owner who is somebody else.
    pub reclaim: bool,
    /// Look, change nothing, never switch modes.
    pub dry_run: bool,
    /// Deadlines.
    pub policy: Policy,
}

/// What a product's device shall be called in the cloud.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// Its name.
    pub name: Option<String>,
    /// What the product's team notes about it.
    pub note: Option<String>,
    /// A device that is its owner's already is called so, too.
    pub also_if_done: bool,
}

impl Naming {
    /// Whether the device, whose record may not be known, is called so.
    pub(super) fn is_so(&self, record: Option<&DeviceRecord>) -> bool {
        let is = |wanted: &Option<String>, is: Option<&String>| wanted.is_none() || wanted.as_ref() == is;
        is(&self.name, record.and_then(|record| record.name.as_ref()))
            && is(&self.note, record.and_then(|record| record.notes.as_ref()))
    }
}

/// Takes one device to its owner. Ends early, and leaves the device tidy, when `stop` ends first.
///
/// # Errors
/// The failure of the step that could not be made true; `Interrupted` after `stop`. Every code of
/// [`FailureCode`] can come out. The last event is sent before this returns, and after the journal has
/// kept how it ended: what it could not keep does not pass.
pub async fn run(
    job: &Job,
    cloud: &Cloud,
    device: &mut dyn SetupDevice,
    events: &Events,
    journal: &dyn Journal,
    stop: impl Future<Output = ()>,
) -> Result<Summary, Arc<Failure>> {
    let by_turns = device.may_cut_off_the_internet();
    let desk = Desk { part: Part::Whole, job, cloud, by_turns, events, journal };
    conduct(desk, stop, Some(device), provision).await
}

/// What a run, or a part of one, works with.
pub(super) struct Desk<'a> {
    pub part: Part,
    pub job: &'a Job,
    pub cloud: &'a Cloud,
    pub by_turns: bool,
    pub events: &'a Events,
    pub journal: &'a dyn Journal,
}

/// Tells how a run, or a part of one, goes and how it ended; lets it be stopped; leaves the device tidy.
pub(super) async fn conduct<'d>(
    Desk { part, job, cloud, by_turns, events, journal }: Desk<'_>,
    stop: impl Future<Output = ()>,
    mut device: Option<&mut (dyn SetupDevice + 'd)>,
    work: impl AsyncFnOnce(&Steps<'_>, Option<&mut (dyn SetupDevice + 'd)>) -> Result<Summary, Ended>,
) -> Result<Summary, Arc<Failure>> {
    let begun = Instant::now();
    let (known, product) = (SetOnce::new(), SetOnce::new());
    let (was_away, member) = (AtomicBool::new(false), AtomicBool::new(false));
    let (heard, settled) = (Mutex::new(None), AtomicBool::new(false));
    let steps = Steps {
        job,
        cloud,
        journal,
        track: Track::new(events.clone()),
        known: &known,
        product: &product,
        by_turns,
        was_away: &was_away,
        member: &member,
        heard: &heard,
        settled: &settled,
    };
    // In a box, as are its parts below: a run's state is too big for the stacks of threads.
    let work = Box::pin(async {
        journal.begin(job, part).await?;
        work(&steps, device.as_deref_mut()).await
    });
    let result = tokio::select! {
        result = work => match result {
            Ok(summary) => Ok(summary),
            Err(Ended::Already(summary)) => Ok(*summary),
            Err(Ended::Failed(failure)) => Err(failure),
        },
        () = stop => Err(Failure::new(FailureCode::Interrupted, "interrupted")),
    };
    if let Some(device) = device {
        device.release().await;
        steps.go_back(device).await;
    }
    let result = journal.end(result).await.map_err(Arc::new);
    let device_id = known.get().map(|board: &Board| board.id.clone());
    events.send(EventKind::RunEnded { result: result.clone(), device_id, took: begun.elapsed() });
    result
}

/// Prepare (cloud), deliver (device), verify (cloud).
async fn provision<'d>(
    steps: &Steps<'_>,
    device: Option<&mut (dyn SetupDevice + 'd)>,
) -> Result<Summary, Ended> {
    let device = present(device)?;
    if let Some(wifi) = &steps.job.wifi {
        // As far as can be told before the board has said who it is.
        device.carries(wifi, None)?;
    }
    let (identity, code) = match steps.by_turns {
        true => Box::pin(by_turns(steps, device)).await?,
        false => Box::pin(at_once(steps, device)).await?,
    };
    let Some(code) = code else {
        steps.would_deliver().await?;
        return Ok(steps.summary(Part::Whole, identity.firmware, false));
    };
    Box::pin(hand_over(steps, device, &code)).await?;
    if steps.by_turns {
        // The device was reached, so the computer may have to go back again.
        steps.was_away.store(false, Ordering::Relaxed);
        // What could not be done before the id was known. Otherwise it is so already.
        let late = Box::pin(late_membership(steps)).await?;
        Box::pin(verify(steps, Some(device), late)).await?;
    } else {
        Box::pin(steps.verify(Some(device))).await?;
    }
    steps.name(None).await?;
    steps.settle().await?;
    Ok(steps.summary(Part::Whole, identity.firmware, false))
}

pub(super) fn present<T>(device: Option<T>) -> Result<T, Failure> {
    device.ok_or_else(|| Failure::new(FailureCode::Unexpected, "this part of the job needs a device"))
}

/// Code first, Wi-Fi second, leave last: writing Wi-Fi over the console ends listening mode.
pub(super) async fn hand_over(
    steps: &Steps<'_>,
    device: &mut dyn SetupDevice,
    code: &ClaimCode,
) -> Result<(), Ended> {
    steps.deliver(device, code).await?;
    steps.wifi(device).await?;
    steps.finish(device).await?;
    steps.go_back(device).await;
    Ok(())
}

/// The device's side and the cloud's at the same time.
async fn at_once(
    steps: &Steps<'_>,
    device: &mut dyn SetupDevice,
) -> Result<(Identity, Option<ClaimCode>), Ended> {
    let cleared = SetOnce::new();
    tokio::try_join!(reach(steps, device, &cleared), prepare(steps, &cleared))
}

/// The device's side: who it is, and that it listens. Where USB tells the id, the board is not
/// disturbed before the cloud has cleared it.
pub(super) async fn reach(
    steps: &Steps<'_>,
    device: &mut dyn SetupDevice,
    cleared: &SetOnce<()>,
) -> Result<Identity, Ended> {
    match steps.know_from_usb(device).await? {
        Some(_) => {
            cleared.wait().await;
            steps.listening(device).await
        }
        None => steps.know_from_console(device).await,
    }
}

/// The cloud's side: everything up to a claim code. `None` in a dry run.
pub(super) async fn prepare(steps: &Steps<'_>, cleared: &SetOnce<()>) -> Result<Option<ClaimCode>, Ended> {
    match &steps.job.owner {
        Owner::Customer { product, customer } => {
            let membership = async {
                steps.sign_in().await?;
                let ((), record) =
                    tokio::try_join!(steps.check_product(product), steps.check_device(product, customer),)?;
                let _ = cleared.set(());
                steps.watch();
                steps.import(product, record).await
            };
            let code = async {
                let customer = steps.customer(product, customer).await?;
                cleared.wait().await;
                steps.claim_code(product, &customer).await
            };
            let ((), code) = tokio::try_join!(membership, code)?;
            Ok(code)
        }
        Owner::Developer => {
            steps.have_user_token().await?;
            steps.check_own_device().await?;
            let _ = cleared.set(());
            steps.own_claim_code().await
        }
    }
}

/// One side after the other, for a computer whose only radio joins the Photon's network. One that stays
/// online throughout is never asked for anything: what is out of reach is found by trying. Where the program
/// itself joins the device's network, it does so after the cloud's part.
async fn by_turns(
    steps: &Steps<'_>,
    device: &mut dyn SetupDevice,
) -> Result<(Identity, Option<ClaimCode>), Ended> {
    steps.assume().await?;
    let seen = steps.glance(device).await?;
    steps.was_away.store(false, Ordering::Relaxed);
    let code = if steps.known.get().is_some() {
        prepare(steps, &SetOnce::new()).await?
    } else {
        prepare_for_anybody(steps).await?
    };
    match seen {
        Some(identity) if !steps.was_away.load(Ordering::Relaxed) => {
            Ok((steps.greet(device, identity).await?, code))
        }
        _ => {
            steps.join(device).await?;
            Ok((steps.know_from_console(device).await?, code))
        }
    }
}

/// What of the cloud's side needs no device id. `None` in a dry run.
pub(super) async fn prepare_for_anybody(steps: &Steps<'_>) -> Result<Option<ClaimCode>, Ended> {
    match &steps.job.owner {
        Owner::Customer { product, customer } => {
            let Some(_) = customer.fixed() else {
                return Err(Failure::configuration(
                    "a customer for each device needs the device's id",
                    "join the Photon's network first, or name the device",
                )
                .into());
            };
            steps.warn_of_late_import();
            let membership = async {
                steps.sign_in().await?;
                steps.check_product(product).await
            };
            let ((), customer) = tokio::try_join!(membership, steps.customer(product, customer))?;
            steps.claim_code(product, &customer).await
        }
        Owner::Developer => {
            steps.have_user_token().await?;
            steps.own_claim_code().await
        }
    }
}

/// The device's place in the product, for a device whose id became known only while it got its code. Says
/// whether it was not there before.
pub(super) async fn late_membership(steps: &Steps<'_>) -> Result<bool, Ended> {
    match &steps.job.owner {
        Owner::Customer { product, customer } if !steps.is_member() => {
            match steps.check_device(product, customer).await {
                Ok(record) => steps.import(product, record).await.map(|()| true),
                // It was quicker than we.
                Err(Ended::Already(_)) => Ok(false),
                Err(failed) => Err(failed),
            }
        }
        _ => Ok(false),
    }
}

/// Waits for the owner in the cloud's record, of a board that may have been imported late.
pub(super) async fn verify(
    steps: &Steps<'_>,
    device: Option<&mut dyn SetupDevice>,
    late: bool,
) -> Result<(), Ended> {
    let verified = steps.verify(device).await;
    verified.map_err(|ended| match ended {
        Ended::Failed(failure) if late && failure.code == FailureCode::NotVerified => {
            Ended::Failed(Failure { next: Some(SHOWN_TOO_EARLY.into()), ..failure })
        }
        ended => ended,
    })
}

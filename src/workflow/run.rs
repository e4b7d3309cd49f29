//! The main job, read top to bottom.

use std::{sync::Arc, time::Instant};

use tokio::sync::SetOnce;

use super::{
    Policy,
    steps::{Board, Ended, Steps},
    track::Track,
};
use crate::{
    cloud::Cloud,
    device::SetupDevice,
    model::{
        ClaimCode, CustomerTemplate, DeviceId, EventKind, Events, Failure, FailureCode, Identity, ProductRef,
        Summary,
    },
};

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
    /// The board that is meant; another one is refused.
    pub device_id: Option<DeviceId>,
    /// Take the device off an owner who is somebody else.
    pub reclaim: bool,
    /// Look, change nothing, never switch modes.
    pub dry_run: bool,
    /// Deadlines.
    pub policy: Policy,
}

/// Takes one device to its owner. Ends early, and leaves the device tidy, when `stop` ends first.
///
/// # Errors
/// The failure of the step that could not be made true; `Interrupted` after `stop`. Every code of
/// [`FailureCode`] can come out. The last event is sent before this returns.
pub async fn run(
    job: &Job,
    cloud: &Cloud,
    device: &mut dyn SetupDevice,
    events: &Events,
    stop: impl Future<Output = ()>,
) -> Result<Summary, Arc<Failure>> {
    let begun = Instant::now();
    let known = SetOnce::new();
    let product = SetOnce::new();
    let steps = Steps { job, cloud, track: Track::new(events.clone()), known: &known, product: &product };
    let result = tokio::select! {
        result = provision(&steps, device) => match result {
            Ok(summary) => Ok(summary),
            Err(Ended::Already(summary)) => Ok(*summary),
            Err(Ended::Failed(failure)) => Err(failure),
        },
        () = stop => Err(Failure::new(FailureCode::Interrupted, "interrupted")),
    };
    device.release().await;
    let result = result.map_err(Arc::new);
    let device_id = known.get().map(|board: &Board| board.id.clone());
    events.send(EventKind::RunEnded { result: result.clone(), device_id, took: begun.elapsed() });
    result
}

/// Prepare (cloud) and reach (device) run side by side; then deliver, finish, verify.
async fn provision(steps: &Steps<'_>, device: &mut dyn SetupDevice) -> Result<Summary, Ended> {
    let cleared = SetOnce::new();
    let (identity, code) = tokio::try_join!(reach(steps, device, &cleared), prepare(steps, &cleared))?;
    let board = Board { id: identity.id.clone(), platform: identity.platform };
    if let Some(code) = code {
        steps.deliver(device, &code).await?;
        steps.finish(device).await?;
        steps.verify(device, &board).await?;
    } else {
        steps.would_deliver().await?;
    }
    Ok(steps.summary(&board, identity.firmware, false))
}

/// The device's side: who it is, and that it listens. Where USB tells the id, the board is not
/// disturbed before the cloud has cleared it.
async fn reach(
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
async fn prepare(steps: &Steps<'_>, cleared: &SetOnce<()>) -> Result<Option<ClaimCode>, Ended> {
    match &steps.job.owner {
        Owner::Customer { product, customer } => {
            let membership = async {
                steps.sign_in().await?;
                let ((), record) =
                    tokio::try_join!(steps.check_product(product), steps.check_device(product, customer),)?;
                let _ = cleared.set(());
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

//! The job's parts, each able to run apart from the others: on a computer that is online or on the
//! Photon's network, but not both. What passes between them is a ticket.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::{sync::SetOnce, time::timeout};

use super::{
    Job, Journal, Naming, Owner, Policy,
    run::{
        Desk, conduct, hand_over, late_membership, prepare as prepare_code, prepare_for_anybody, present,
        reach, verify as verify_owner,
    },
    steps::Ended,
};
use crate::{
    cloud::Cloud,
    device::SetupDevice,
    model::{Events, Failure, FailureCode, Part, Step, Summary, Ticket},
};

/// The cloud's part: everything up to a claim code. With the device's id the device is imported too.
///
/// # Errors
/// As [`super::run()`]. A device that is its owner's already needs no ticket, and gives none.
pub async fn prepare(
    job: &Job,
    cloud: &Cloud,
    events: &Events,
    journal: &dyn Journal,
    stop: impl Future<Output = ()>,
) -> Result<(Summary, Option<Ticket>), Arc<Failure>> {
    let made = Mutex::new(None);
    let desk = Desk { part: Part::Prepared, job, cloud, by_turns: false, events, journal };
    let work = conduct(desk, stop, None, async |steps, _| {
        let code = if steps.assume().await? {
            prepare_code(steps, &SetOnce::new()).await?
        } else {
            prepare_for_anybody(steps).await?
        };
        let summary = steps.summary(Part::Prepared, None, false);
        let ticket = code.map(|claim_code| Ticket {
            api_url: cloud.api_url().to_string(),
            owner: summary.product.clone().zip(summary.customer.clone()),
            device_id: summary.device_id.clone(),
            imported: steps.is_member(),
            claim_code,
            wifi: job.wifi.clone(),
            expires_at: Timestamp::now() + Ticket::LIFETIME,
        });
        *made.lock().unwrap_or_else(PoisonError::into_inner) = ticket;
        Ok(summary)
    });
    let summary = work.await?;
    Ok((summary, made.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// The device's part: the ticket's code, and its network, to the device. Needs no internet; the cloud is
/// not asked for anything. Gives the id of the device that has them now.
///
/// # Errors
/// As [`super::run()`]; `Configuration` for a ticket that has expired.
pub async fn deliver(
    ticket: &Ticket,
    cloud: &Cloud,
    device: &mut dyn SetupDevice,
    events: &Events,
    journal: &dyn Journal,
    stop: impl Future<Output = ()>,
) -> Result<Summary, Arc<Failure>> {
    let job = &job_of(ticket, Policy::default());
    let desk = Desk { part: Part::Delivered, job, cloud, by_turns: false, events, journal };
    conduct(desk, stop, Some(device), async |steps, device| {
        let device = present(device)?;
        if ticket.has_expired(Timestamp::now()) {
            let detail = format!("the ticket expired at {}", ticket.expires_at);
            return Err(Failure::configuration(detail, "prepare another").into());
        }
        if let Some(wifi) = &ticket.wifi {
            device.carries(wifi, None)?;
        }
        steps.join(device).await?;
        let identity = reach(steps, device, &SetOnce::new_with(Some(()))).await?;
        hand_over(steps, device, &ticket.claim_code).await?;
        Ok(steps.summary(Part::Delivered, identity.firmware, false))
    })
    .await
}

/// The cloud's last part: imports the device if that is still to do, and waits until it is its owner's.
///
/// # Errors
/// As [`super::run()`]; `Configuration` for a ticket that was not delivered to any known device.
pub async fn verify(
    ticket: &Ticket,
    cloud: &Cloud,
    policy: Policy,
    events: &Events,
    journal: &dyn Journal,
    stop: impl Future<Output = ()>,
) -> Result<Summary, Arc<Failure>> {
    let job = &job_of(ticket, policy);
    let desk = Desk { part: Part::Whole, job, cloud, by_turns: false, events, journal };
    conduct(desk, stop, None, async |steps, _| {
        if !steps.assume().await? {
            return Err(
                Failure::configuration("the ticket does not name a device", "deliver it first").into()
            );
        }
        let mut late = false;
        if let Owner::Customer { product, .. } = &job.owner {
            steps.sign_in().await?;
            steps.check_product(product).await?;
            late = !ticket.imported && late_membership(steps).await?;
        } else {
            steps.have_user_token().await?;
        }
        verify_owner(steps, None, late).await?;
        steps.settle().await?;
        Ok(steps.summary(Part::Whole, None, false))
    })
    .await
}

/// Wi-Fi credentials only, nothing claimed. "Saved" is not "connected": a board that comes back to setup
/// mode within `watch` could not join.
///
/// # Errors
/// As [`super::run()`].
pub async fn give_wifi(
    job: &Job,
    cloud: &Cloud,
    device: &mut dyn SetupDevice,
    watch: std::time::Duration,
    events: &Events,
    journal: &dyn Journal,
    stop: impl Future<Output = ()>,
) -> Result<Summary, Arc<Failure>> {
    let desk = Desk { part: Part::Wifi, job, cloud, by_turns: false, events, journal };
    conduct(desk, stop, Some(device), async |steps, device| {
        let device = present(device)?;
        if let Some(wifi) = &job.wifi {
            device.carries(wifi, None)?;
        }
        steps.join(device).await?;
        let identity = reach(steps, device, &SetOnce::new_with(Some(()))).await?;
        steps.wifi(device).await?;
        steps.finish(device).await?;
        steps.go_back(device).await;
        if timeout(watch, device.back()).await.is_ok() {
            return Err(Ended::from(
                Failure::new(
                    FailureCode::BackToListening,
                    "the board saved the network, but it is back in listening mode: it cannot join it",
                )
                .in_step(Step::Finish),
            ));
        }
        let mut summary = steps.summary(Part::Wifi, identity.firmware, false);
        (summary.customer, summary.product) = (None, None);
        Ok(summary)
    })
    .await
}

fn job_of(ticket: &Ticket, policy: Policy) -> Job {
    let owner = match (&ticket.owner, ticket.customer()) {
        (Some((product, _)), Some(customer)) => Owner::Customer { product: product.clone(), customer },
        _ => Owner::Developer,
    };
    Job {
        owner,
        wifi: ticket.wifi.clone(),
        device_id: ticket.device_id.clone(),
        naming: Naming::default(),
        reclaim: false,
        dry_run: false,
        policy,
    }
}

//! Looks at a board, at the cloud's record of it, and at this computer. Changes nothing on any of them:
//! the console is asked in [`Manner::LookOnly`], and the cloud is sent nothing but GETs, and a sign-in
//! where no token is at hand. Whatever cannot be looked at leaves the rest to be looked at even so.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::task::spawn_blocking;

use super::diagnosis::{CloudSide, DeviceSide, Facts, HostSide, Wanted, Wire};
use crate::{
    cloud::Cloud,
    device::{Manner, SetupDevice},
    link::{
        discovery::{self, Lister, UsbTarget},
        host::Host,
    },
    model::{Deadline, Failure, FailureCode},
};

/// Where the board is looked for.
pub enum Board<'a> {
    /// On USB; its console is asked.
    Usb {
        /// Which board.
        target: UsbTarget,
        /// The same, to be asked.
        device: &'a mut dyn SetupDevice,
    },
    /// On its own network.
    SoftAp(&'a mut dyn SetupDevice),
    /// It is not asked; whether it is attached is seen without opening a port.
    NotAsked,
}

/// What is used to look.
pub struct Means<'a> {
    /// The board.
    pub board: Board<'a>,
    /// Who knows what is attached.
    pub lister: Arc<dyn Lister>,
    /// This computer.
    pub host: Host,
    /// The cloud, or what is missing to sign in there.
    pub cloud: Result<&'a Cloud, Failure>,
    /// The cloud has a user's own token, whose devices are looked at, too.
    pub has_user_token: bool,
    /// How long each call to the cloud may take, its retries included.
    pub cloud_within: Duration,
}

/// Looks at everything.
pub async fn examine(wanted: Wanted, means: Means<'_>) -> Facts {
    let Means { board, lister, host, cloud, has_user_token, cloud_within } = means;
    let within = |what| Deadline::after(cloud_within, what);
    // The board takes the longest where it does not answer, so the product is asked for meanwhile.
    let product = async {
        match (&cloud, &wanted.product) {
            (Ok(cloud), Some(product)) => Some(cloud.product(product, within("the product")).await),
            _ => None,
        }
    };
    let cut_off = matches!(board, Board::SoftAp(_));
    let board = look_at_board(board, &wanted, lister, host);
    let ((device, host), product) = match cut_off {
        // On the Photon's network there may be no way to the cloud.
        true => (board.await, product.await),
        false => tokio::join!(board, product),
    };
    let mut facts = Facts {
        now: Timestamp::now(),
        wanted,
        device,
        host,
        cloud: CloudSide { product, ..CloudSide::default() },
    };
    let cloud = match cloud {
        Ok(cloud) => cloud,
        Err(failure) => {
            facts.cloud.no_credentials = Some(failure);
            return facts;
        }
    };
    if let Some(id) = facts.device_id().cloned() {
        if let (Some(product), Some(Ok(_))) = (&facts.wanted.product, &facts.cloud.product) {
            facts.cloud.record = Some(cloud.device(product, &id, within("the device's record")).await);
        }
        if has_user_token && facts.record().is_none() {
            facts.cloud.own_record = Some(cloud.user_device(&id, within("the user's device")).await);
        }
    }
    facts.cloud.refused = Some(cloud.refused_sign_ins().await);
    facts
}

async fn look_at_board(
    board: Board<'_>,
    wanted: &Wanted,
    lister: Arc<dyn Lister>,
    host: Host,
) -> (DeviceSide, HostSide) {
    let (target, device) = match board {
        Board::SoftAp(device) => {
            let mut side = DeviceSide { wire: Some(Wire::SoftAp), ..DeviceSide::default() };
            ask(&mut side, device).await;
            return (side, HostSide::default());
        }
        Board::Usb { target, device } => (target, Some(device)),
        Board::NotAsked => match &wanted.device_id {
            Some(id) => (UsbTarget::Device(id.clone()), None),
            None => return <_>::default(),
        },
    };
    let mut side =
        DeviceSide { wire: device.is_some().then_some(Wire::Usb), ..look_up(target, lister).await };
    let there = matches!(side.found, Some(Ok(_)));
    if let Some(device) = device.filter(|_| there) {
        ask(&mut side, device).await;
    }
    let busy = matches!(&side.answer, Some(Err(failure)) if failure.code == FailureCode::PortBusy);
    let port = side.found.as_ref().and_then(|found| found.as_ref().ok()).filter(|_| busy);
    let port = port.map(|found| found.port.clone());
    let seen = spawn_blocking(move || {
        let holders = port.map(|port| host.holders(&port)).unwrap_or_default();
        (holders, HostSide { modem_manager: host.modem_manager(), rules: host.rules() })
    });
    // Fails only while the runtime shuts down.
    let (holders, host) = seen.await.unwrap_or_default();
    side.holders = holders;
    let matters = side.wire.is_some();
    (side, if matters { host } else { HostSide::default() })
}

/// What can be told without opening a port.
async fn look_up(target: UsbTarget, lister: Arc<dyn Lister>) -> DeviceSide {
    let looked = spawn_blocking(move || (discovery::find(&target, &*lister), lister.bootloaders()));
    let (found, bootloaders) = match looked.await {
        Ok((found, bootloaders)) => (Some(found), bootloaders),
        Err(_) => (None, Vec::new()),
    };
    DeviceSide { found, bootloaders, ..DeviceSide::default() }
}

/// Asks the board who it is, on its network if that is to be joined, and lets go of it.
async fn ask(side: &mut DeviceSide, device: &mut dyn SetupDevice) {
    let answer = async {
        if let Some(joiner) = device.joiner() {
            joiner.join().await?;
        }
        device.find().await?;
        device.reach(Manner::LookOnly, &|_| {}).await
    };
    let answer = answer.await;
    if let Ok(identity) = &answer {
        side.takes_no_code = device.takes_claim_code(identity).err();
    }
    side.answer = Some(answer);
    device.release().await;
    if let Some(joiner) = device.joiner().filter(|joiner| joiner.is_away())
        && let Err(failure) = joiner.go_back().await
    {
        tracing::warn!("{failure}; choose a network yourself");
    }
}

//! The simulators, on a thread of their own: the tests wait for the binary, and nobody waits for them.

use std::{process::Command, thread::JoinHandle};

use provision::{
    model::DeviceId,
    sim::{
        cloud::{CloudConfig, CloudInfo, SimCloud},
        photon::{PhotonConfig, SimPhoton},
    },
};
use tokio::{runtime::Handle, sync::oneshot};

pub const ID: &str = "3b0021001747353236343033";

/// What drives them, until it is dropped.
pub struct Power {
    handle: Handle,
    off: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Power {
    pub fn on() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let (off, until) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let _ = runtime.block_on(until);
        });
        Self { handle, off: Some(off), thread: Some(thread) }
    }

    /// A Photon that is plugged in.
    pub fn photon(&self, config: PhotonConfig) -> SimPhoton {
        let _on = self.handle.enter();
        SimPhoton::start(config).unwrap()
    }

    pub fn cloud(&self) -> SimCloud {
        self.cloud_with(CloudConfig::default())
    }

    pub fn cloud_with(&self, config: CloudConfig) -> SimCloud {
        let cloud = self.handle.spawn(SimCloud::start(config));
        self.handle.block_on(cloud).unwrap().unwrap()
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        drop(self.off.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// A listening Photon with firmware 2.3.1.
pub fn listening() -> PhotonConfig {
    PhotonConfig::new(DeviceId::parse(ID).unwrap())
}

/// Puts the cloud's address and client into the command's environment.
pub fn signed_in(command: &mut Command, cloud: &CloudInfo) {
    command
        .env("PARTICLE_API_URL", &cloud.api_url)
        .env("PARTICLE_CLIENT_ID", &cloud.client_id)
        .env("PARTICLE_CLIENT_SECRET", &cloud.client_secret);
}

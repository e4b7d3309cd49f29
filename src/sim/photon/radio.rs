use std::{sync::OnceLock, time::Duration};

use serde_json::json;
use url::Url;

use super::{PhotonConfig, board::Ending, state::Device};

/// How long a board waits before it tries again to reach a cloud that did not answer.
const RETRY: Duration = Duration::from_millis(250);

/// The board's way to the simulated cloud. What the real board says in its own encrypted protocol, this
/// one says over the simulated cloud's `/simulator/devices/ID/` endpoints.
pub(super) struct CloudLink {
    base: Option<Url>,
    /// For a cloud with TLS; one without shares a client with all boards of the process.
    own_client: Option<reqwest::Client>,
    connect_delay: Duration,
    claim_delay: Duration,
    relisten_delay: Duration,
}

impl CloudLink {
    pub(super) fn new(config: &PhotonConfig) -> Self {
        Self {
            base: config.cloud_url.clone(),
            own_client: config.cloud_roots.as_ref().and_then(|roots| build(roots.to_vec())),
            connect_delay: config.connect_delay,
            claim_delay: config.claim_delay,
            relisten_delay: config.relisten_delay,
        }
    }

    /// Life outside listening mode: joins a network, opens a session, presents the claim code, takes a
    /// firmware update, after which it starts anew. A board that cannot connect goes back to listening,
    /// which ends this from outside.
    pub(super) async fn live(&self, device: &Device) -> Ending {
        let state = device.state();
        if state.saved.is_empty() {
            tokio::time::sleep(self.relisten_delay).await;
            device.listen();
        } else {
            tokio::time::sleep(self.connect_delay).await;
            if device.can_join() {
                return self.session(device).await;
            } else if state.credentials_changed {
                tokio::time::sleep(self.relisten_delay).await;
                device.listen();
            }
            // Else it keeps trying to join, for good: green.
        }
        std::future::pending().await
    }

    async fn session(&self, device: &Device) -> Ending {
        let hello = json!({ "platform_id": device.platform.id(), "firmware": device.firmware });
        self.tell(device, "session", &hello).await;
        device.change(|state| state.online = true);
        self.present_code(device).await;
        if self.update(device).await {
            self.tell(device, "offline", &json!({})).await;
            device.change(|state| state.online = false);
            return Ending::Restart { listening: false };
        }
        loop {
            // A code may also come over another wire while the session stands. The sender lives as long as
            // the device, so waiting cannot fail.
            let _ = device.watch().wait_for(|state| state.claim_code.is_some()).await;
            self.present_code(device).await;
        }
    }

    async fn present_code(&self, device: &Device) {
        let Some(code) = device.state().claim_code else { return };
        tokio::time::sleep(self.claim_delay).await;
        let code: String = code.0.iter().map(|&byte| char::from(byte)).collect();
        self.tell(device, "claim", &json!({ "claim_code": code })).await;
        device.claim_code_was_presented();
    }

    /// Takes the update that there is, if there is one. Says whether the board has new firmware.
    async fn update(&self, device: &Device) -> bool {
        let Some(update) = device.state().update else { return false };
        self.tell(device, "update", &json!({ "status": "started" })).await;
        device.change(|state| state.updating = true);
        tokio::time::sleep(update.takes).await;
        let status = if update.fails { "failed" } else { "success" };
        self.tell(device, "update", &json!({ "status": status })).await;
        device.change(|state| (state.updating, state.update) = (false, None));
        !update.fails
    }

    /// Says goodbye to the cloud in the background, when a session was open.
    pub(super) fn go_offline(&self, device: &Device) {
        if !device.state().online {
            return;
        }
        device.change(|state| (state.online, state.updating) = (false, false));
        if let Some((client, url)) = self.endpoint(device, "offline") {
            tokio::spawn(async move { client.post(url).json(&json!({})).send().await });
        }
    }

    /// Posts until the cloud has taken it. Without a cloud, at once.
    async fn tell(&self, device: &Device, what: &str, body: &serde_json::Value) {
        while let Some((client, url)) = self.endpoint(device, what) {
            match client.post(url).json(body).send().await.and_then(|answer| answer.error_for_status()) {
                Ok(_) => return,
                Err(error) => {
                    tracing::debug!(device = %device.id, %error, "the simulated Photon cannot reach the cloud");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    fn endpoint(&self, device: &Device, what: &str) -> Option<(reqwest::Client, Url)> {
        let mut url = self.base.clone()?;
        url.path_segments_mut().ok()?.pop_if_empty().extend([
            "simulator",
            "devices",
            device.id.as_str(),
            what,
        ]);
        Some((self.own_client.clone().or_else(client)?, url))
    }
}

/// One client for all devices of the process, built when the first one needs it.
fn client() -> Option<reqwest::Client> {
    static CLIENT: OnceLock<Option<reqwest::Client>> = OnceLock::new();
    CLIENT.get_or_init(|| build(Vec::new())).clone()
}

fn build(roots: Vec<reqwest::Certificate>) -> Option<reqwest::Client> {
    // Somebody else may have installed it before: as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Connections are not kept: they would belong to the runtime that first used them.
    let builder = reqwest::Client::builder().tls_certs_only(roots).no_proxy().pool_max_idle_per_host(0);
    let built = builder.build();
    built.inspect_err(|error| tracing::error!(%error, "the simulated Photon has no HTTP client")).ok()
}

//! Which network this computer joins for the board's sake.

use std::io::{self, IsTerminal, Write};

use super::{
    ask::choose,
    wifi::{bars, ssid},
};
use crate::{
    device::{
        Joiner,
        join::{NetworkManager, OpenNetwork, open_networks},
    },
    model::{Failure, FailureCode, Ssid},
};

/// The Photon's own network, to be joined.
#[derive(Debug, Clone, clap::Args)]
pub struct JoinArgs {
    /// Join the Photon's network, and go back when all is done, or has failed (Linux, NetworkManager);
    /// without NAME, on a terminal: choose from what this computer sees
    #[arg(long, value_name = "NAME", num_args = 0..=1, value_parser = ssid(), requires = "softap", conflicts_with = "usb")]
    join: Option<Option<Ssid>>,
    /// The Wi-Fi interface to join it with, where not the one that sees it
    #[arg(long, value_name = "NAME", requires = "join", hide_short_help = true)]
    join_interface: Option<String>,
}

impl JoinArgs {
    /// What joins the network that is meant, if one is; nothing is joined yet. May ask a person which, so
    /// it has to be called outside the runtime.
    pub fn joiner(&self) -> Result<Option<Box<dyn Joiner>>, Failure> {
        let network = match &self.join {
            None => return Ok(None),
            Some(Some(network)) => network.clone(),
            Some(None) => self.choose()?,
        };
        Ok(Some(Box::new(NetworkManager::new(network, self.join_interface.clone()))))
    }

    /// A person says which it is, even if there is only one: the access point proves nothing about itself.
    fn choose(&self) -> Result<Ssid, Failure> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Failure::configuration(
                "--join without a name lets a person choose, on a terminal, and there is none",
                "name the network: --join 'Photon-ABCD'",
            ));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Failure::new(FailureCode::Unexpected, "no runtime").because(e))?;
        let seen = runtime.block_on(open_networks(self.join_interface.as_deref()))?;
        pick(&photons_first(seen))
    }
}

/// Photons are called so unless their product's firmware says otherwise.
fn photons_first(mut seen: Vec<OpenNetwork>) -> Vec<OpenNetwork> {
    seen.sort_by_key(|network| !network.ssid.as_bytes().starts_with(b"Photon-"));
    seen
}

fn pick(seen: &[OpenNetwork]) -> Result<Ssid, Failure> {
    if seen.is_empty() {
        return Err(Failure::new(
            FailureCode::NetworkNotSeen,
            "this computer sees no network without a password",
        ));
    }
    let row = |network: &OpenNetwork| format!("{} {}", bars(network.strength), network.ssid);
    let _ = writeln!(io::stderr(), "Networks without a password that this computer sees:");
    let chosen = choose("Which one is the Photon's?", seen.iter().map(row))?;
    Ok(seen[chosen].ssid.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_like_a_photon_stands_first_and_the_strong_before_the_weak() {
        let network = |name, strength| OpenNetwork { ssid: Ssid::new(name).unwrap(), strength };
        let seen = vec![
            network("Café", 90),
            network("Photon-1", 70),
            network("a\u{1b}[2J", 60),
            network("Photon-2", 20),
        ];
        let names: Vec<_> = photons_first(seen).iter().map(|network| network.ssid.to_string()).collect();
        assert_eq!(names, ["Photon-1", "Photon-2", "Café", "a\\u{1b}[2J"]);
    }
}

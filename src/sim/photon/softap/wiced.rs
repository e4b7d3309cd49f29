//! WICED's numbers for how a network is secured (`wiced_security_t`).

use crate::sim::photon::{Cipher, Security};

const WEP: i32 = 0x0001;
const TKIP: i32 = 0x0002;
const AES: i32 = 0x0004;
const WPA: i32 = 0x0020_0000;
const WPA2: i32 = 0x0040_0000;
const ENTERPRISE: i32 = 0x0200_0000;

/// What a scan tells of a network.
pub(super) fn number(security: Security, cipher: Option<Cipher>) -> i32 {
    let security = match security {
        Security::Open => return 0,
        Security::Wep => return WEP,
        Security::Wpa => WPA,
        Security::Wpa2 => WPA2,
        Security::WpaEnt => WPA | ENTERPRISE,
        Security::Wpa2Ent => WPA2 | ENTERPRISE,
    };
    security
        | match cipher {
            None => 0,
            Some(Cipher::Aes) => AES,
            Some(Cipher::Tkip) => TKIP,
            Some(Cipher::AesTkip) => AES | TKIP,
        }
}

/// `toSecurityType` of `wlan_hal.cpp`; `None` for what it does not know.
pub(super) fn security(number: i32) -> Option<Security> {
    let has = |bits: i32| number & bits == bits;
    Some(match number {
        0 => Security::Open,
        _ if has(WEP) => Security::Wep,
        _ if has(WPA2 | ENTERPRISE) => Security::Wpa2Ent,
        _ if has(WPA | ENTERPRISE) => Security::WpaEnt,
        _ if has(WPA) => Security::Wpa,
        _ if has(WPA2) => Security::Wpa2,
        _ => return None,
    })
}

/// The cipher that such a number names.
pub(super) fn cipher(number: i32) -> Option<Cipher> {
    match number & (AES | TKIP) {
        AES => Some(Cipher::Aes),
        TKIP => Some(Cipher::Tkip),
        0 => None,
        _ => Some(Cipher::AesTkip),
    }
}

/// The firmware's own number of a kind of security, 255 for none that it knows (`WLanSecurityType`).
pub(super) fn hal_number(security: Option<Security>) -> i32 {
    match security {
        Some(Security::Open) => 0,
        Some(Security::Wep) => 1,
        Some(Security::Wpa) => 2,
        Some(Security::Wpa2) => 3,
        Some(Security::WpaEnt) => 4,
        Some(Security::Wpa2Ent) => 5,
        None => 255,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_real_networks() {
        for (given, network, kind) in [
            (0, Security::Open, None),
            (1, Security::Wep, None),
            (0x0020_0002, Security::Wpa, Some(Cipher::Tkip)),
            (4_194_308, Security::Wpa2, Some(Cipher::Aes)),
            (0x0040_0006, Security::Wpa2, Some(Cipher::AesTkip)),
            (0x0220_0004, Security::WpaEnt, Some(Cipher::Aes)),
            (0x0240_0004, Security::Wpa2Ent, Some(Cipher::Aes)),
        ] {
            assert_eq!(number(network, kind), given);
            assert_eq!((security(given), cipher(given)), (Some(network), kind));
        }
        assert_eq!(security(0x8001), Some(Security::Wep));
        assert_eq!(security(8), None);
    }
}

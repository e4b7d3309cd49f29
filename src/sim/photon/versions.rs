use crate::model::FirmwareVersion;

/// What differs between releases, as far as their sources tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quirks {
    /// `C` and `c` exist (`system_setup.cpp`, from 0.6.0).
    pub(super) claim_commands: bool,
    /// `d` exists (from 0.8.0).
    pub(super) diagnostics: bool,
    /// `L` exists (from 0.5.0).
    pub(super) safe_mode_command: bool,
    /// A byte 01 or 02 at the idle prompt starts a firmware transfer (from 0.5.0: `handle_peek`).
    pub(super) transfer_by_first_byte: bool,
    /// `i` tells a factory serial number (from 1.1.0: `HAL_OTA_Add_System_Info`).
    pub(super) tells_serial_number: bool,
    /// 28800 baud means listening mode (from 0.5.0) and not a firmware transfer (`system_update.cpp`).
    pub(super) listens_at_28800: bool,
    /// Each printed character takes a millisecond (up to 0.6.4: `SystemSetupConsole::print`).
    pub(super) prints_slowly: bool,
    /// `w` scans, knows enterprise networks and checks lengths (from 0.7.0).
    pub(super) modern_wifi: bool,
    /// The farewell has a blank after "your device" (from 1.5.0).
    pub(super) farewell_has_blank: bool,
}

const OLDEST: FirmwareVersion = FirmwareVersion::new(0, 4, 9);
const NEWEST: FirmwareVersion = FirmwareVersion::new(3, 3, 1);

impl Quirks {
    /// `None` for firmware of which nothing is known: before 0.4.9, after 3.3.1, pre-releases.
    pub(super) fn of(version: &FirmwareVersion) -> Option<Self> {
        if !(OLDEST..=NEWEST).contains(version) || version.to_string().contains('-') {
            return None;
        }
        let since = |major, minor| *version >= FirmwareVersion::new(major, minor, 0);
        Some(Self {
            claim_commands: since(0, 6),
            diagnostics: since(0, 8),
            safe_mode_command: since(0, 5),
            transfer_by_first_byte: since(0, 5),
            tells_serial_number: since(1, 1),
            listens_at_28800: since(0, 5),
            prints_slowly: !since(0, 7),
            modern_wifi: since(0, 7),
            farewell_has_blank: since(1, 5),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_of_which_nothing_is_known_is_refused() {
        let known = |t: &str| Quirks::of(&FirmwareVersion::parse(t).unwrap()).is_some();
        assert!(known("0.4.9") && known("2.3.1") && known("3.3.1"));
        for unknown in ["0.4.8", "3.3.2", "4.0.0", "2.0.0-rc.1", "0.4.9-rc.1"] {
            assert!(!known(unknown), "{unknown}");
        }
    }
}

use std::{collections::BTreeMap, path::Path};

use crate::{link::discovery::AttachedBoard, model::Invalid};

/// What the sockets are called at this bench.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotMap(BTreeMap<String, String>);

impl SlotMap {
    /// The longest label, in characters: it is a column of the screen.
    const LONGEST: usize = 12;
    /// Instead of a slot that is not known.
    pub(super) const UNKNOWN: &str = "-";

    /// Reads lines of the form `1-1.4.3 = A1`; quotes around either side, empty lines and what follows
    /// a `#` are passed over.
    ///
    /// # Errors
    ///
    /// A line of another form, a socket or a label that comes twice, a label that is too long.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut map = BTreeMap::<String, String>::new();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let wrong =
                |why: &str| Invalid { what: "a slot map", why: format!("{why} (line {})", number + 1) };
            let (socket, label) =
                line.split_once('=').ok_or_else(|| wrong("has lines such as `1-1.4.3 = A1`"))?;
            let [socket, label] = [socket, label].map(|side| side.trim().trim_matches('"').trim());
            if socket.is_empty() || label.is_empty() || label.chars().any(char::is_control) {
                return Err(wrong("has lines such as `1-1.4.3 = A1`"));
            }
            if label.chars().count() > Self::LONGEST {
                return Err(wrong("has labels of 12 characters at most"));
            }
            if map.values().any(|other| other == label) {
                return Err(wrong("has each label once"));
            }
            if map.insert(socket.into(), label.into()).is_some() {
                return Err(wrong("has each socket once"));
            }
        }
        Ok(Self(map))
    }

    /// What people call the place of this board: its socket's label, else the socket, else its port.
    pub fn slot(&self, board: &AttachedBoard) -> String {
        match &board.hub_path {
            Some(socket) => self.0.get(socket).unwrap_or(socket).clone(),
            // A link that is named by the board says nothing about the place.
            None if board.device_id.is_some() && is_named_by_its_board(board) => Self::UNKNOWN.into(),
            None => name(&board.port),
        }
    }
}

fn name(port: &Path) -> String {
    port.file_name().unwrap_or(port.as_os_str()).to_string_lossy().into_owned()
}

fn is_named_by_its_board(board: &AttachedBoard) -> bool {
    board.usb_serial.as_deref() == Some(&name(&board.port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::discovery::Access;

    fn board(socket: Option<&str>) -> AttachedBoard {
        AttachedBoard {
            port: "/dev/ttyACM3".into(),
            usb_serial: None,
            device_id: None,
            platform: None,
            access: Access::Granted,
            hub_path: socket.map(str::to_owned),
        }
    }

    #[test]
    fn a_socket_has_its_label_or_is_called_by_its_path() {
        let map = SlotMap::parse("# the left hub\n1-1.4.3 = A1\r\n\"1-1.4.4\" = \"A2\" # \n").unwrap();
        let slot = |socket| map.slot(&board(socket));
        assert_eq!(
            [slot(Some("1-1.4.3")), slot(Some("1-1.4.4")), slot(Some("1-2")), slot(None)],
            ["A1", "A2", "1-2", "ttyACM3"]
        );
    }

    #[test]
    fn lines_that_cannot_be_meant_are_named() {
        for (text, why) in [
            ("1-1 A1", "(line 1)"),
            ("1-1 = A1\n1-1 = A2", "each socket once (line 2)"),
            ("1-1 = A1\n\n1-2 = A1", "each label once (line 3)"),
            ("1-1 = a label of thirteen", "12 characters"),
            ("= A1", "(line 1)"),
        ] {
            let said = SlotMap::parse(text).unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}

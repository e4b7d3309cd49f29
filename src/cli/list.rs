//! `provision list`: the attached boards.

use std::io::Write;

use super::settings::UsbDirArgs;
use crate::{
    link::discovery::{Access, AttachedBoard, Lister},
    model::{DeviceId, Failure, FailureCode, clean},
};

/// List the attached Photons and P1s
///
/// Each with its port, its device id where USB tells it, and whether you may open it. None attached is
/// exit code 10.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which USB to look at.
    #[command(flatten)]
    pub directory: UsbDirArgs,
}

/// Writes the attached boards. None is a failure, for which nothing is written but JSON's `[]`.
pub fn run(as_json: bool, lister: &dyn Lister, out: &mut dyn Write) -> Result<(), Failure> {
    let boards = lister.boards()?;
    let text = if as_json { json(&boards) } else { table(&boards) };
    out.write_all(text.as_bytes())
        .map_err(|e| Failure::new(FailureCode::Unexpected, "cannot write the output").because(e))?;
    if boards.is_empty() {
        return Err(Failure::new(FailureCode::NoDevice, "no Photon or P1 is attached over USB"));
    }
    Ok(())
}

fn table(boards: &[AttachedBoard]) -> String {
    if boards.is_empty() {
        return String::new();
    }
    let mut rows = vec![["PORT", "DEVICE ID", "KIND", "ACCESS"].map(str::to_owned)];
    rows.extend(boards.iter().map(|board| {
        let id = board.device_id.as_ref().map(DeviceId::to_string);
        [
            clean(&board.port.to_string_lossy()),
            id.unwrap_or_else(|| "unknown until asked".into()),
            board.platform.map_or_else(|| "unknown".into(), |platform| platform.to_string()),
            board.access.to_string(),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [port, id, kind] = [0, 1, 2].map(width);
    rows.iter().map(|[a, b, c, d]| format!("{a:port$}  {b:id$}  {c:kind$}  {d}\n")).collect()
}

/// A board as programs read it; what USB does not tell is absent.
#[derive(serde::Serialize)]
struct Row<'a> {
    port: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    usb_serial: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a DeviceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform_id: Option<u16>,
    access: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Owners<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hub_path: Option<&'a str>,
}

#[derive(serde::Serialize)]
struct Owners<'a> {
    owner: &'a str,
    group: &'a str,
    mode: String,
}

impl<'a> Row<'a> {
    fn of(board: &'a AttachedBoard) -> Self {
        let (access, permissions) = match &board.access {
            Access::Granted => ("granted", None),
            Access::Forbidden(who) => {
                let mode = format!("{:04o}", who.mode);
                ("forbidden", Some(Owners { owner: &who.owner, group: &who.group, mode }))
            }
            Access::Missing => ("missing", None),
            Access::NotAPort => ("not-a-port", None),
        };
        Self {
            port: board.port.to_string_lossy().into_owned(),
            usb_serial: board.usb_serial.as_deref(),
            device_id: board.device_id.as_ref(),
            platform: board.platform.map(|platform| platform.to_string()),
            platform_id: board.platform.map(|platform| platform.id()),
            access,
            permissions,
            hub_path: board.hub_path.as_deref(),
        }
    }
}

fn json(boards: &[AttachedBoard]) -> String {
    let rows: Vec<_> = boards.iter().map(Row::of).collect();
    // Texts and numbers alone: there is nothing here that JSON could not hold.
    let mut text = serde_json::to_string_pretty(&rows).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        link::discovery::{ListError, Permissions},
        model::Platform,
    };

    struct These(Vec<AttachedBoard>);

    impl Lister for These {
        fn boards(&self) -> Result<Vec<AttachedBoard>, ListError> {
            Ok(self.0.clone())
        }

        fn access(&self, _: &Path) -> Access {
            unreachable!("listing asks for boards only")
        }
    }

    fn two_boards() -> These {
        let serial = "3b0021001747353236343033";
        These(vec![
            AttachedBoard {
                port: "/dev/ttyACM0".into(),
                usb_serial: Some(serial.into()),
                device_id: DeviceId::parse(serial).ok(),
                platform: Some(Platform::Photon),
                access: Access::Granted,
                hub_path: Some("1-1.4".into()),
            },
            AttachedBoard {
                port: "/dev/ttyACM10".into(),
                usb_serial: Some("00000000050C".into()),
                device_id: None,
                platform: Some(Platform::P1),
                access: Access::Forbidden(Permissions {
                    owner: "root".into(),
                    group: "dialout".into(),
                    mode: 0o660,
                }),
                hub_path: None,
            },
        ])
    }

    fn list(as_json: bool, boards: &These) -> (Result<(), Failure>, String) {
        let mut out = Vec::new();
        let result = run(as_json, boards, &mut out);
        (result, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_table_tells_port_id_kind_and_access() {
        let (result, text) = list(false, &two_boards());
        result.unwrap();
        assert_eq!(
            text,
            "PORT           DEVICE ID                 KIND    ACCESS\n\
             /dev/ttyACM0   3b0021001747353236343033  Photon  may be opened\n\
             /dev/ttyACM10  unknown until asked       P1      may not be opened: owner root, group dialout, mode 0660\n"
        );
    }

    #[test]
    fn json_leaves_out_what_usb_does_not_tell() {
        let (result, text) = list(true, &two_boards());
        result.unwrap();
        let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            rows,
            serde_json::json!([
                {
                    "port": "/dev/ttyACM0", "usb_serial": "3b0021001747353236343033",
                    "device_id": "3b0021001747353236343033", "platform": "Photon", "platform_id": 6,
                    "access": "granted", "hub_path": "1-1.4",
                },
                {
                    "port": "/dev/ttyACM10", "usb_serial": "00000000050C", "platform": "P1", "platform_id": 8,
                    "access": "forbidden",
                    "permissions": {"owner": "root", "group": "dialout", "mode": "0660"},
                },
            ])
        );
    }

    #[test]
    fn nothing_attached_is_a_failure_with_an_empty_list() {
        for (as_json, expected) in [(false, ""), (true, "[]\n")] {
            let (result, text) = list(as_json, &These(Vec::new()));
            let failure = result.unwrap_err();
            assert_eq!(failure.code, FailureCode::NoDevice);
            assert_eq!(text, expected);
        }
    }
}

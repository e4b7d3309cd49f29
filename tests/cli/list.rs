use std::{fs, os::unix::fs::symlink};

use serde_json::json;

use crate::{
    program::Home,
    simulators::{ID, Power, listening},
};

#[test]
fn attached_boards_are_a_table_for_people_and_an_array_for_programs() {
    let (home, power) = (Home::new(), Power::on());
    let photon = power.photon(listening());
    let usb = home.path().join("usb");
    fs::create_dir(&usb).unwrap();
    symlink(photon.usb(), usb.join(ID)).unwrap();
    let directory = usb.to_str().unwrap();

    let port = usb.join(ID).display().to_string();
    let table = home.provision(&["list", "--usb-dir", directory]).with_code(0).stdout;
    let width = port.len();
    assert_eq!(
        table,
        format!(
            "{:width$}  DEVICE ID                 KIND     ACCESS\n{port}  {ID}  unknown  may be opened\n",
            "PORT"
        )
    );

    // A link tells no platform. The variable does as well as the flag.
    let listed = crate::program::Ended::of(
        home.command().args(["list", "--output", "json"]).env("PROVISION_USB_DIR", directory),
    );
    let listed = listed.with_code(0).stdout;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&listed).unwrap(),
        json!([{
            "port": port, "usb_serial": ID, "device_id": ID, "access": "granted",
        }])
    );
}

#[test]
fn nothing_attached_is_exit_code_10_and_says_what_to_do() {
    let home = Home::new();
    fs::create_dir(home.path().join("usb")).unwrap();
    let ended = home.provision(&["list", "--usb-dir", "usb"]).with_code(10);
    let ended = ended.saying("error: no Photon or P1 is attached over USB\n  next: plug the board in");
    assert_eq!(ended.stdout, "");

    let ended = home.provision(&["list", "--usb-dir", "usb", "--output", "json"]).with_code(10);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("[]\n", ""));
}

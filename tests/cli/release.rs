//! The two ways back: release, and transfer to another customer.

use std::{os::unix::fs::symlink, process::Command};

use provision::sim::{
    cloud::{DeviceSeed, SimCloud},
    photon::{Mode, PhotonConfig, SimPhoton},
};
use serde_json::{Value, json};

use crate::{
    program::{Ended, Home},
    simulators::{ID, Power, listening, signed_in},
};

const ANN: &str = "ann+1@example.com";
const SOMEBODY: &str = "somebody@else.example";

struct Office {
    home: Home,
    power: Power,
    cloud: SimCloud,
}

impl Office {
    /// With a member of the product that somebody owns.
    fn new() -> Self {
        let (home, power) = (Home::new(), Power::on());
        let cloud = power.cloud();
        let office = Self { home, power, cloud };
        office.seed(DeviceSeed {
            owner: Some(SOMEBODY.into()),
            product_id: Some(1319),
            ..DeviceSeed::default()
        });
        office
    }

    fn seed(&self, seed: DeviceSeed) {
        assert!(self.cloud.add_device(DeviceSeed { id: ID.into(), ..seed }));
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command();
        signed_in(&mut command, &self.cloud.info());
        command.env("PARTICLE_PRODUCT", "1319").args(args);
        command
    }

    fn provision(&self, args: &[&str]) -> Ended {
        Ended::of(&mut self.command(args))
    }

    fn record(&self) -> (Value, Value) {
        let device = self.cloud.device(ID).unwrap();
        (device["owner"].clone(), device["product_id"].clone())
    }

    /// The requests that change something, but for those that sign in.
    fn changes(&self) -> Vec<String> {
        let requests = self.cloud.requests().into_iter();
        let changes = requests.filter(|r| r.method != "GET" && r.path != "/oauth/token");
        changes.map(|r| format!("{} {}", r.method, r.path)).collect()
    }

    fn board(&self, config: PhotonConfig) -> SimPhoton {
        let cloud_url = Some(self.cloud.info().api_url.parse().unwrap());
        self.power.photon(PhotonConfig { cloud_url, wifi_known: true, ..config })
    }
}

#[test]
fn a_device_is_released_owner_first_and_a_second_time_finds_it_done() {
    let office = Office::new();
    let ended = office.provision(&["release", ID, "--yes"]).with_code(0);
    assert_eq!(ended.stdout, format!("RELEASED  {ID}  taken off {SOMEBODY}, removed from product 1319\n"));
    assert_eq!(office.record(), (Value::Null, Value::Null));
    let device = format!("DELETE /v1/products/1319/devices/{ID}");
    assert_eq!(office.changes(), [format!("{device}/owner"), device]);
    // With nothing to take away there is nothing to ask.
    let ended = office.provision(&["release", ID]).with_code(0);
    assert_eq!(ended.stdout, format!("ALREADY SO  {ID}  is not in product 1319\n"));
    assert_eq!(office.changes().len(), 2);
}

#[test]
fn an_id_that_the_cloud_does_not_know_is_no_release() {
    let office = Office::new();
    let mistyped = "111111111111111111111111";
    let ended = office.provision(&["release", mistyped, "--yes"]).with_code(21);
    let ended = ended.saying(&format!("product 1319 does not have {mistyped}")).saying("check the device id");
    assert_eq!(ended.stdout, "");
    let mut own = office.command(&["release", mistyped, "--yes", "--owner", "developer"]);
    own.env("PARTICLE_ACCESS_TOKEN", office.cloud.info().user_token);
    Ended::of(&mut own).with_code(21).saying("the cloud knows no device");
    assert_eq!(office.changes(), [""; 0]);
}

#[test]
fn nothing_is_taken_away_without_a_yes() {
    let office = Office::new();
    let before = office.record();
    for args in [&["release", ID][..], &["transfer", ID, "--to", ANN]] {
        let ended = office.provision(args).with_code(2).saying("--yes").saying(SOMEBODY);
        assert_eq!(ended.stdout, "");
    }
    assert_eq!((office.record(), office.changes()), (before, vec![]));
}

#[test]
fn an_interrupted_release_says_how_far_it_came_and_is_run_again() {
    let office = Office::new();
    office.cloud.add_fault("DELETE /v1/products/*/devices/*=403x1".parse().unwrap());
    let ended = office.provision(&["release", ID, "--yes"]).with_code(21);
    ended.saying(&format!("{SOMEBODY} was taken off, but then: DELETE"));
    assert_eq!(office.record(), (Value::Null, json!(1319)));
    let ended = office.provision(&["release", ID, "--yes"]).with_code(0);
    assert_eq!(ended.stdout, format!("RELEASED  {ID}  removed from product 1319\n"));
    assert_eq!(office.record(), (Value::Null, Value::Null));
}

#[test]
fn a_product_that_cannot_be_seen_is_no_release() {
    let office = Office::new();
    office.provision(&["release", ID, "--product", "7", "--yes"]).with_code(21).saying("inside the product");
    office.provision(&["transfer", ID, "--to", ANN, "--product", "7", "--yes"]).with_code(21);
    assert_eq!(office.changes(), [""; 0]);
}

#[test]
fn a_developers_own_device_is_given_up() {
    let office = Office::new();
    let info = office.cloud.info();
    office.seed(DeviceSeed { owner: Some(info.user.clone()), ..DeviceSeed::default() });
    let release = |args: &[&str]| {
        let mut command = office.command(&["release", ID, "--yes"]);
        Ended::of(command.args(args).env("PARTICLE_ACCESS_TOKEN", &info.user_token)).with_code(0)
    };
    let ended = release(&["--owner", "developer"]);
    assert_eq!(ended.stdout, format!("RELEASED  {ID}  removed from the developer's account\n"));
    assert_eq!(office.changes(), [format!("DELETE /v1/devices/{ID}")]);
    let told = release(&["--owner", "developer", "--output", "json"]).lines().remove(0);
    assert_eq!(told, json!({"schema": 1, "ok": true, "device_id": ID, "removed": false, "already": true}));
}

#[test]
fn a_device_is_transferred_by_its_id_without_being_online() {
    let office = Office::new();
    let ended = office.provision(&["transfer", ID, "--to", ANN, "--yes"]).with_code(0);
    assert_eq!(ended.stdout, format!("TRANSFERRED  {ID}  taken off {SOMEBODY}, owned by {ANN}\n"));
    assert_eq!(office.record(), (json!(ANN), json!(1319)));
    let changes = office.changes();
    let ended = office.provision(&["transfer", ID, "--to", &ANN.to_uppercase(), "--output", "json"]);
    let told = ended.with_code(0).lines().remove(0);
    assert_eq!(told["already"], true);
    assert_eq!(office.changes(), changes);
}

#[test]
fn a_transfer_that_fails_half_way_is_run_again() {
    let office = Office::new();
    office.cloud.add_fault("POST /v1/devices=400x1".parse().unwrap());
    let ended = office.provision(&["transfer", ID, "--to", ANN, "--yes"]).with_code(21);
    ended.saying(&format!("{SOMEBODY} was taken off, but then: POST /v1/devices"));
    assert_eq!(office.record(), (Value::Null, json!(1319)));
    // Nobody loses it now, so nobody is asked.
    let ended = office.provision(&["transfer", ID, "--to", ANN]).with_code(0);
    assert_eq!(ended.stdout, format!("TRANSFERRED  {ID}  owned by {ANN}\n"));
}

#[test]
fn a_customer_whom_the_cloud_refuses_costs_nobody_the_device() {
    let office = Office::new();
    office.cloud.add_fault("POST /v1/products/*/customers=400".parse().unwrap());
    office.provision(&["transfer", ID, "--to", ANN, "--yes"]).with_code(21);
    assert_eq!(office.record(), (json!(SOMEBODY), json!(1319)));
}

#[test]
fn what_no_customer_could_own_is_not_taken_off_its_owner() {
    let office = Office::new();
    let transfer = || office.provision(&["transfer", ID, "--to", ANN, "--yes"]);
    let owner = Some(SOMEBODY.to_owned());
    let member = || DeviceSeed { owner: owner.clone(), product_id: Some(1319), ..DeviceSeed::default() };
    office.seed(DeviceSeed { denied: true, ..member() });
    transfer().with_code(21).saying("has been denied");
    office.seed(DeviceSeed { quarantined: true, ..member() });
    transfer().with_code(21).saying("in quarantine");
    office.seed(DeviceSeed { product_id: None, ..member() });
    transfer().with_code(40).saying("is not in product 1319");
    assert_eq!(office.changes(), [""; 0]);
    assert_eq!(office.record().0, SOMEBODY);
}

#[test]
fn a_board_on_the_desk_gets_a_new_code() {
    let office = Office::new();
    let board = office.board(listening());
    // Named by its id, so that a board at work need not be asked.
    let link = office.home.path().join(ID);
    symlink(board.usb(), &link).unwrap();
    let port = link.display().to_string();
    let transfer = ["transfer", ID, "--to", ANN, "--usb", &port, "--output", "json"];
    office.provision(&transfer).with_code(2);
    assert_eq!((board.effects(), office.record().0), (vec![], json!(SOMEBODY)));
    let ended = office.provision(&[&transfer[..], &["--yes"]].concat()).with_code(0);
    assert_eq!(ended.result()["customer"], ANN);
    assert_eq!(office.record(), (json!(ANN), json!(1319)));
    assert_eq!(board.state().mode, Mode::Running);
    let ended = office.provision(&transfer).with_code(0);
    assert_eq!(ended.result()["already"], true);
}

#[test]
fn another_board_on_the_desk_is_refused() {
    let office = Office::new();
    let board = office.board(listening());
    let port = board.usb().display().to_string();
    let other = "111111111111111111111111";
    let ended = office.provision(&["transfer", other, "--to", ANN, "--yes", "--usb", &port]);
    ended.with_code(10).saying("not 111111111111111111111111");
    office.provision(&["transfer", other, "--to", ANN, "--device-id", ID]).with_code(2);
    assert_eq!((board.effects(), office.record().0), (vec![], json!(SOMEBODY)));
}

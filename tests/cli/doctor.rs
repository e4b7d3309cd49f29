//! What doctor finds, through the whole program; and, each time, that it changed nothing.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::symlink,
    process::Command,
};

use provision::{
    model::FirmwareVersion,
    sim::{
        cloud::{CloudConfig, DeviceSeed, SimCloud},
        photon::{PhotonConfig, SimPhoton},
    },
};
use serde_json::{Value, json};

use crate::{
    program::{Ended, Home},
    simulators::{ID, Power, listening, signed_in},
};

const CUSTOMER: &str = "customer5@example.com";
const SOMEBODY: &str = "somebody@else.example";

struct Desk {
    home: Home,
    power: Power,
    cloud: SimCloud,
}

impl Desk {
    fn new() -> Self {
        Self::with(CloudConfig::default())
    }

    fn with(config: CloudConfig) -> Self {
        let (home, power) = (Home::new(), Power::on());
        let cloud = power.cloud_with(config);
        fs::create_dir(home.path().join("usb")).unwrap();
        Self { home, power, cloud }
    }

    /// A board at a port that tells nothing about it.
    fn board(&self, config: PhotonConfig) -> SimPhoton {
        self.power.photon(config)
    }

    /// A board whose id USB tells.
    fn board_on_the_hub(&self, config: PhotonConfig) -> SimPhoton {
        let board = self.board(config);
        symlink(board.usb(), self.home.path().join("usb").join(ID)).unwrap();
        board
    }

    fn seed(&self, seed: DeviceSeed) {
        assert!(self.cloud.add_device(DeviceSeed { id: ID.into(), ..seed }));
    }

    fn member(&self) -> DeviceSeed {
        DeviceSeed { product_id: Some(1319), ..DeviceSeed::default() }
    }

    /// The command, signed in, for the product and the customer, told as JSON.
    fn doctor(&self) -> Command {
        let mut command = self.for_people();
        command.args(["--output", "json"]);
        command
    }

    fn for_people(&self) -> Command {
        let mut command = self.home.command();
        command.args(["doctor", "--usb-dir", "usb"]);
        command.env("PARTICLE_PRODUCT", "1319").env("PROVISION_CUSTOMER", CUSTOMER);
        signed_in(&mut command, &self.cloud.info());
        command
    }

    fn of(&self, board: &SimPhoton) -> Command {
        let mut command = self.doctor();
        command.arg("--usb").arg(board.usb());
        command
    }

    /// All that the cloud knows, but for what passes with time and sign-ins.
    fn state(&self) -> Value {
        let mut state = self.cloud.snapshot();
        for passing in ["now", "valid_tokens"] {
            state.as_object_mut().unwrap().remove(passing);
        }
        state
    }

    /// Looks; nothing has changed, in the cloud or on the board, and nothing was asked that could.
    #[track_caller]
    fn look(&self, board: Option<&SimPhoton>, command: &mut Command) -> Looked {
        let (state, asked) = (self.state(), self.cloud.requests().len());
        let before = board.map(|board| board.state());
        let ended = Ended::of(command);
        assert_eq!(self.state(), state, "{ended:?}");
        for request in &self.cloud.requests()[asked..] {
            let signs_in = (request.method.as_str(), request.path.as_str()) == ("POST", "/oauth/token");
            assert!(request.method == "GET" || signs_in, "{request:?}");
        }
        if let (Some(board), Some(before)) = (board, before) {
            let after = board.state();
            assert_eq!(board.effects(), []);
            assert_eq!(
                (after.mode, after.boots, after.claimed, after.claim_code.is_some(), after.online),
                (before.mode, before.boots, before.claimed, before.claim_code.is_some(), before.online)
            );
        }
        Looked::of(ended)
    }
}

struct Looked {
    ended: Ended,
    said: Value,
}

impl Looked {
    #[track_caller]
    fn of(ended: Ended) -> Self {
        let said: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:?}"));
        assert_eq!((&said["schema"], ended.stdout.lines().count()), (&json!(1), 1));
        assert_eq!(said["exit_code"], json!(ended.code), "{ended:?}");
        assert_eq!(said["ok"], ended.code == Some(0), "{ended:?}");
        for finding in said["findings"].as_array().unwrap() {
            for text in ["code", "weight", "what", "next"] {
                assert!(finding[text].as_str().is_some_and(|text| !text.is_empty()), "{finding}");
            }
        }
        Self { ended, said }
    }

    #[track_caller]
    fn finds(self, exit_code: i32, codes: &[&str]) -> Self {
        let findings = self.said["findings"].as_array().unwrap();
        let found: Vec<_> = findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect();
        assert_eq!((self.ended.code, &found[..]), (Some(exit_code), codes), "{:?}", self.ended);
        self
    }

    fn first(&self, field: &str) -> &str {
        self.said["findings"][0][field].as_str().unwrap()
    }
}

#[test]
fn whose_it_is() {
    let desk = Desk::new();
    let board = desk.board(listening());
    desk.look(Some(&board), &mut desk.of(&board)).finds(30, &["not-in-product"]);
    desk.seed(DeviceSeed { owner: Some(SOMEBODY.into()), ..desk.member() });
    let looked = desk.look(Some(&board), &mut desk.of(&board)).finds(40, &["owned-by-other"]);
    assert!(looked.first("what").contains(SOMEBODY));
    let transfer = format!("`provision transfer {ID} --to {CUSTOMER} --product 1319`");
    assert!(looked.first("next").contains(&transfer), "{}", looked.first("next"));
    assert_eq!(looked.said["device"]["firmware"], "2.3.1");
    assert_eq!(looked.said["cloud"]["device"]["owner"], SOMEBODY);
    desk.seed(DeviceSeed { denied: true, ..desk.member() });
    desk.look(Some(&board), &mut desk.of(&board)).finds(21, &["denied", "never-heard"]);
    desk.seed(DeviceSeed { quarantined: true, ..desk.member() });
    desk.look(Some(&board), &mut desk.of(&board)).finds(21, &["quarantined", "never-heard"]);
}

#[test]
fn somebody_outside_the_product_and_a_bit_that_means_nothing() {
    let desk = Desk::new();
    let board = desk.board(PhotonConfig { claimed: true, ..listening() });
    desk.seed(DeviceSeed { owner: Some(SOMEBODY.into()), ..DeviceSeed::default() });
    let codes = ["owned-outside-product", "not-in-product"];
    desk.look(Some(&board), &mut desk.of(&board)).finds(40, &codes);
    desk.seed(desk.member());
    let codes = ["never-heard", "claimed-bit-without-owner"];
    desk.look(Some(&board), &mut desk.of(&board)).finds(30, &codes);
}

#[test]
fn another_product_and_the_developers_own_account() {
    let desk = Desk::new();
    desk.cloud.add_foreign_product(7, 6);
    let board = desk.board(listening());
    let info = desk.cloud.info();
    let mut with_token = desk.of(&board);
    with_token.env("PARTICLE_ACCESS_TOKEN", &info.user_token);
    let owner = Some(desk.cloud.info().user);
    desk.seed(DeviceSeed { owner: owner.clone(), product_id: Some(7), ..DeviceSeed::default() });
    let looked = desk.look(Some(&board), &mut with_token).finds(40, &["in-other-product"]);
    assert!(looked.first("next").contains("--product 7"));
    desk.seed(DeviceSeed { owner, ..DeviceSeed::default() });
    desk.look(Some(&board), &mut with_token).finds(30, &["in-own-account"]);
    with_token.env_remove("PARTICLE_PRODUCT").env_remove("PARTICLE_CLIENT_ID");
    desk.look(Some(&board), &mut with_token).finds(0, &["still-listening", "all-well"]);
}

#[test]
fn a_product_for_other_boards() {
    let desk = Desk::with(CloudConfig { platform_id: 8, ..CloudConfig::default() });
    let board = desk.board(listening());
    let looked =
        desk.look(Some(&board), &mut desk.of(&board)).finds(21, &["wrong-platform", "not-in-product"]);
    assert!(looked.first("what").contains("is for the P1, and this board is a Photon"));
}

#[test]
fn credentials_that_do_not_do() {
    let desk = Desk::new();
    desk.cloud.add_foreign_product(7, 6);
    let board = desk.board(listening());
    for of in [None, Some(7)] {
        let (id, secret) = desk.cloud.add_client(of);
        let mut command = desk.of(&board);
        command.env("PARTICLE_CLIENT_ID", id).env("PARTICLE_CLIENT_SECRET", secret);
        let looked = desk.look(Some(&board), &mut command).finds(21, &["client-not-of-product"]);
        assert_eq!(looked.said["device"]["device_id"], ID);
    }
    let mut wrong = desk.of(&board);
    wrong.env("PARTICLE_CLIENT_SECRET", "wrong-secret");
    for count in 1..=5 {
        let near: &[&str] = if count < 3 { &[] } else { &["near-lock-out"] };
        desk.look(Some(&board), &mut wrong).finds(20, &[&["sign-in-refused"], near].concat());
    }
    let asked = desk.cloud.requests().len();
    let looked = desk.look(Some(&board), &mut wrong).finds(20, &["sign-in-held-back", "near-lock-out"]);
    assert_eq!(desk.cloud.requests().len(), asked);
    assert!(!looked.ended.stdout.contains("wrong-secret"));
    // The right one wipes the count.
    desk.look(Some(&board), &mut desk.of(&board)).finds(30, &["not-in-product"]);
}

#[test]
fn either_side_is_looked_at_without_the_other() {
    let desk = Desk::new();
    let board = desk.board(PhotonConfig { claimed: true, ..listening() });
    let mut unreachable = desk.of(&board);
    unreachable.env("PARTICLE_API_URL", "http://127.0.0.1:1").args(["--timeout", "1s"]);
    let looked = desk.look(Some(&board), &mut unreachable).finds(22, &["cloud-unreachable"]);
    assert_eq!(looked.said["device"]["claimed"], true);

    let mut nobody = desk.of(&board);
    nobody.env_remove("PARTICLE_CLIENT_ID").env_remove("PARTICLE_PRODUCT");
    let looked = desk.look(Some(&board), &mut nobody).finds(2, &["no-credentials", "no-product"]);
    assert_eq!(
        (&looked.said["device"]["firmware"], &looked.said["cloud"]["asked"]),
        (&json!("2.3.1"), &json!(false))
    );

    desk.seed(DeviceSeed { owner: Some(SOMEBODY.into()), ..desk.member() });
    // By its id alone no port is opened: it is held here, for this process alone.
    let board = desk.board_on_the_hub(listening());
    let _held = hold(&board);
    let looked =
        desk.look(Some(&board), desk.doctor().args(["--device-id", ID])).finds(40, &["owned-by-other"]);
    assert_eq!(looked.said["device"]["state"], "not asked");
    assert_eq!(looked.said["device"]["device_id"], ID);
}

#[test]
fn consoles_that_do_not_answer() {
    let desk = Desk::new();
    let nearly_full = format!("C:{}", "a".repeat(62));
    for place in ["C:abc", &nearly_full, "w:ssid", "w:cipher-open", "w:password:half", "ymodem"] {
        let board = desk.board(PhotonConfig { left_in: Some(place.parse().unwrap()), ..listening() });
        let looked = desk.look(Some(&board), &mut desk.of(&board));
        let looked = looked.finds(11, &["left-in-dialogue", "no-device-id"]);
        assert!(looked.first("next").contains("`provision identify --usb"), "{place}");
    }
    let board = desk.board(PhotonConfig { listening: false, ..listening() });
    desk.look(Some(&board), &mut desk.of(&board)).finds(11, &["not-listening", "no-device-id"]);
    // Where USB tells the id, a run can wake it.
    let board = desk.board_on_the_hub(PhotonConfig { listening: false, ..listening() });
    desk.look(Some(&board), &mut desk.doctor()).finds(30, &["not-in-product", "not-listening"]);
}

#[test]
fn a_board_at_work_is_well() {
    let desk = Desk::new();
    desk.seed(DeviceSeed { owner: Some(CUSTOMER.into()), online: true, ..desk.member() });
    let board = desk.board_on_the_hub(PhotonConfig { listening: false, ..listening() });
    let looked = desk.look(Some(&board), &mut desk.doctor()).finds(0, &["all-well"]);
    assert!(looked.first("what").contains("already customer5@example.com's"));
}

#[test]
fn a_board_that_has_just_come_online_may_show_its_code_yet() {
    let desk = Desk::new();
    desk.seed(desk.member());
    let url = desk.cloud.info().api_url;
    let address = url.strip_prefix("http://").unwrap();
    let body = r#"{"platform_id":6,"firmware":"2.3.1"}"#;
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /simulator/devices/{ID}/session HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    desk.look(None, desk.doctor().args(["--device-id", ID])).finds(30, &["code-not-shown"]);
}

#[test]
fn firmware_that_is_too_old_is_sent_to_the_other_wire() {
    let desk = Desk::new();
    let board = desk.board(PhotonConfig { firmware: FirmwareVersion::new(0, 5, 3), ..listening() });
    let looked =
        desk.look(Some(&board), &mut desk.of(&board)).finds(12, &["firmware-too-old", "not-in-product"]);
    assert!(looked.first("next").contains(&format!("`provision --softap --device-id {ID} --product 1319")));
}

/// Opens a port for this process alone.
fn hold(board: &SimPhoton) -> serialport::TTYPort {
    serialport::new(board.usb().to_str().unwrap(), 9600).open_native().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_port_that_another_program_holds_is_told_with_its_name() {
    let desk = Desk::new();
    let board = desk.board_on_the_hub(listening());
    let _held = hold(&board);
    let looked = desk.look(Some(&board), &mut desk.doctor()).finds(10, &["port-busy", "not-in-product"]);
    let holders = looked.said["computer"]["holders"].as_array().unwrap();
    assert!(holders.iter().any(|holder| holder["pid"] == std::process::id()), "{holders:?}");
    assert!(looked.first("what").contains(&format!("(process {})", std::process::id())));
}

#[test]
fn no_board_several_boards_and_another_board() {
    let desk = Desk::new();
    desk.look(None, &mut desk.doctor()).finds(10, &["no-board", "no-device-id"]);
    desk.look(None, desk.doctor().args(["--usb", "/dev/ttyACM987"])).finds(10, &["no-board", "no-device-id"]);
    desk.look(None, desk.doctor().args(["--usb", "/dev/null"])).finds(10, &["port-unusable", "no-device-id"]);
    let board = desk.board_on_the_hub(listening());
    let other = "111111111111111111111111";
    let mut wrong = desk.of(&board);
    wrong.args(["--device-id", other]);
    desk.look(Some(&board), &mut wrong).finds(10, &["wrong-board", "not-in-product"]);
    symlink(board.usb(), desk.home.path().join("usb").join(other)).unwrap();
    desk.look(Some(&board), &mut desk.doctor()).finds(10, &["several-boards", "no-device-id"]);
}

#[test]
fn a_board_on_its_own_network() {
    let desk = Desk::new();
    let any = Some("127.0.0.1:0".parse().unwrap());
    let board = desk.board(PhotonConfig { softap_http: any, claimed: true, ..listening() });
    let address = board.softap_http().unwrap().to_string();
    desk.seed(desk.member());
    let looked = desk.look(Some(&board), desk.doctor().args(["--softap", &address]));
    let looked = looked.finds(30, &["never-heard", "claimed-bit-without-owner"]);
    assert_eq!(looked.said["device"]["wire"], "softap");
    let looked = desk.look(None, desk.doctor().args(["--softap", "127.0.0.1:1"]));
    looked.finds(11, &["not-listening", "no-device-id"]);
}

#[test]
fn people_see_both_sides_and_each_finding_with_its_next_step() {
    let desk = Desk::new();
    let board = desk.board(listening());
    desk.seed(DeviceSeed { owner: Some(SOMEBODY.into()), ..desk.member() });
    let ended = Ended::of(desk.for_people().arg("--usb").arg(board.usb())).with_code(40);
    let port = board.usb().display().to_string();
    let width = ID.len();
    assert_eq!(
        ended.stdout,
        format!(
            "            DEVICE SAYS               CLOUD SAYS\n\
             port        {port}\n\
             device id   {ID}  {ID}\n\
             kind        Photon                    Photon\n\
             firmware    2.3.1\n\
             product     {:width$}  1319, Simulated product 1319\n\
             owner       {:width$}  {SOMEBODY}\n\
             state       {:width$}  offline\n\
             last heard  {:width$}  never\n\n\
             owned-by-other (fault): the cloud's record shows {SOMEBODY} as its owner, not {CUSTOMER}\n  \
             next: if {SOMEBODY} shall lose it: `provision transfer {ID} --to {CUSTOMER} --product 1319`\n",
            "", "not claimed", "listening", ""
        )
    );
    assert_eq!(ended.stderr, "");
}

//! `provision devices …`, `products …` and `organizations …` against the simulated cloud.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command},
};

use provision::sim::cloud::{CloudInfo, DeviceSeed, SimCloud};
use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use serde_json::{Value, json};

use crate::{
    program::{Ended, Home},
    simulators::{ID, Power},
};

const OTHER: &str = "111111111111111111111111";
const ANN: &str = "ann+1@example.com";
const PRODUCT: u32 = 1319;

/// A support desk: a cloud, a home, nothing in the product yet.
struct Desk {
    home: Home,
    cloud: SimCloud,
    info: CloudInfo,
    // Dropped last: it drives the cloud.
    _power: Power,
}

impl Desk {
    fn new() -> Self {
        let power = Power::on();
        let cloud = power.cloud();
        Self { home: Home::new(), info: cloud.info(), cloud, _power: power }
    }

    /// One device of Ann's, online, with something to ask for.
    fn with_anns_device() -> Self {
        let desk = Self::new();
        desk.seed(DeviceSeed {
            owner: Some(ANN.into()),
            name: "lamp".into(),
            online: true,
            serial_number: Some("PH-200/7".into()),
            variables: [("level".to_owned(), json!(7)), ("mood".to_owned(), json!("blue"))].into(),
            functions: [("dim".to_owned(), 1), ("fail".to_owned(), -1), ("zero".to_owned(), 0)].into(),
            ..member(ID)
        });
        desk
    }

    fn seed(&self, seed: DeviceSeed) {
        assert!(self.cloud.add_device(seed));
    }

    /// The command, signed in as the product's client.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command();
        crate::simulators::signed_in(&mut command, &self.info);
        command.env("PARTICLE_PRODUCT", PRODUCT.to_string()).args(args);
        command
    }

    /// The same as the developer, with no product.
    fn as_user(&self, args: &[&str]) -> Command {
        let mut command = self.home.command();
        command.env("PARTICLE_API_URL", &self.info.api_url);
        command.env("PARTICLE_ACCESS_TOKEN", &self.info.user_token).args(args);
        command
    }

    fn provision(&self, args: &[&str]) -> Ended {
        Ended::of(&mut self.command(args))
    }

    fn provision_as_user(&self, args: &[&str]) -> Ended {
        Ended::of(&mut self.as_user(args))
    }

    fn fault(&self, fault: &str) {
        self.cloud.add_fault(fault.parse().unwrap());
    }

    fn count(&self, method: &str, path: &str) -> usize {
        self.cloud.requests().iter().filter(|r| r.method == method && r.path == path).count()
    }

    /// What was asked of the cloud but for reading and signing in.
    fn changes(&self) -> Vec<String> {
        let requests = self.cloud.requests();
        let changes = requests.iter().filter(|r| r.method != "GET" && r.path != "/oauth/token");
        changes.map(|r| format!("{} {}", r.method, r.path)).collect()
    }

    /// Everything that somebody sees of it, but for where this cloud happens to be.
    fn seen(&self, ended: &Ended) -> String {
        let Ended { code, stdout, stderr } = ended;
        let text = format!("{stdout}--- standard error\n{stderr}--- exit code {}\n", code.unwrap());
        text.replace(&self.info.api_url, "http://the-cloud")
    }

    fn device(&self, field: &str) -> Value {
        self.cloud.device(ID).unwrap()[field].clone()
    }
}

fn member(id: &str) -> DeviceSeed {
    DeviceSeed { id: id.into(), product_id: Some(PRODUCT), ..DeviceSeed::default() }
}

fn numbered(n: usize) -> DeviceSeed {
    DeviceSeed { name: format!("device {n}"), ..member(&format!("{n:024x}")) }
}

fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e} in {ended:#?}"))
}

#[test]
fn a_products_devices_stand_in_a_table() {
    let desk = Desk::with_anns_device();
    desk.seed(DeviceSeed { name: "\u{1b}[2Jdoor".into(), owner: Some("=1+1".into()), ..member(OTHER) });
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "list"])));
    let columns = ["devices", "list", "--columns", "name,ID,firmware,variables,functions"];
    insta::assert_snapshot!(desk.seen(&desk.provision(&columns)));
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "list", "--output", "csv"])));
    let all = document(&desk.provision(&["devices", "list", "--output", "json"]).with_code(0));
    assert_eq!(all, json!([desk.cloud.device(ID).unwrap(), desk.cloud.device(OTHER).unwrap()]));
    let same = desk.provision(&["products", "devices"]).with_code(0).stdout;
    assert_eq!(same, desk.provision(&["devices", "list"]).stdout);
}

#[test]
fn every_page_is_listed_in_as_few_calls_as_there_are_pages() {
    let desk = Desk::new();
    (0..250).for_each(|n| desk.seed(numbered(n)));
    let all = document(&desk.provision(&["devices", "list", "--output", "json"]).with_code(0));
    let ids: Vec<_> = all.as_array().unwrap().iter().map(|device| device["id"].as_str().unwrap()).collect();
    assert_eq!(ids, (0..250).map(|n| format!("{n:024x}")).collect::<Vec<_>>());
    assert_eq!(desk.count("GET", "/v1/products/1319/devices"), 3);
    let table = desk.provision(&["devices", "list"]).with_code(0).stdout;
    assert_eq!(table.lines().count(), 251);
}

#[test]
fn an_empty_product_and_an_empty_account_list_nothing() {
    let desk = Desk::new();
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "list"])));
    for ended in [
        desk.provision(&["devices", "list", "--output", "json"]),
        desk.provision_as_user(&["devices", "list", "--output", "json"]),
    ] {
        assert_eq!((ended.code, document(&ended)), (Some(0), json!([])));
    }
}

#[test]
fn without_a_product_or_with_own_the_users_devices_are_listed() {
    let desk = Desk::new();
    desk.seed(DeviceSeed { owner: Some("developer@simulated.example".into()), ..member(ID) });
    desk.seed(member(OTHER));
    let own = document(&desk.provision_as_user(&["devices", "list", "--output", "json"]).with_code(0));
    assert_eq!(own, json!([desk.cloud.device(ID).unwrap()]));
    let mut both = desk.command(&["devices", "list", "--own", "--output", "json"]);
    both.env("PARTICLE_ACCESS_TOKEN", &desk.info.user_token);
    assert_eq!(document(&Ended::of(&mut both).with_code(0)), own);
    // A client, and no product: that is what is missing.
    let mut forgotten = desk.command(&["devices", "list"]);
    Ended::of(forgotten.env_remove("PARTICLE_PRODUCT")).with_code(2).saying("the product is missing");
}

#[test]
fn columns_that_there_are_not_are_a_usage_error() {
    let desk = Desk::new();
    let ended = desk.provision(&["devices", "list", "--columns", "id,colour"]).with_code(2);
    ended.saying("there is no column \"colour\"\n  next: choose from id, name, owner,");
    desk.provision(&["devices", "list", "--columns", "id", "--output", "json"]).with_code(2);
    assert_eq!(desk.count("GET", "/v1/products/1319/devices"), 0);
}

#[test]
fn csv_is_refused_where_there_are_no_rows() {
    for command in [&["identify"][..], &["udev", "print"], &["devices", "ping", ID]] {
        let desk = Desk::new();
        let ended = desk.provision(&[command, &["--output", "csv"]].concat());
        ended.with_code(2).saying("--output csv is for commands that list or show records");
    }
}

/// A listing that is under way, and the lines of it.
fn begin(mut command: Command) -> (Child, impl Iterator<Item = String>) {
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    (child, lines)
}

/// The most memory that a process has had so far, in MiB.
#[cfg(target_os = "linux")]
fn peak_mib(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[cfg(target_os = "linux")]
#[test]
fn fifty_thousand_devices_are_listed_within_64_mib() {
    const ALL: usize = 50_000;
    let desk = Desk::new();
    (0..ALL).for_each(|n| {
        desk.seed(DeviceSeed { owner: Some("developer@simulated.example".into()), ..numbered(n) });
    });
    for (command, rows) in [
        (desk.command(&["devices", "list", "--output", "json"]), ALL + 2),
        (desk.command(&["devices", "list"]), ALL + 1),
        (desk.as_user(&["devices", "list", "--output", "json"]), ALL + 2),
    ] {
        let (mut child, mut lines) = begin(command);
        // What is left by then is more than the pipe holds, so it cannot have ended yet.
        let mut count = lines.by_ref().take(rows - 2000).count();
        let peak = peak_mib(&child);
        count += lines.count();
        assert!(child.wait().unwrap().success());
        assert_eq!(count, rows);
        assert!(peak < 64, "{peak} MiB");
        println!("{peak} MiB");
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    let desk = Desk::new();
    (0..2000).for_each(|n| desk.seed(numbered(n)));
    for output in ["text", "json", "csv"] {
        let (child, mut lines) = begin(desk.command(&["devices", "list", "--output", output]));
        lines.next().unwrap();
        drop(lines);
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{output}");
    }
}

#[test]
fn a_list_that_breaks_off_shows_what_came_and_fails() {
    let desk = Desk::new();
    (0..150).for_each(|n| desk.seed(numbered(n)));
    for output in ["text", "json", "csv"] {
        desk.fault("GET /v1/products/*/devices=delay:0x1");
        desk.fault("GET /v1/products/*/devices=400x1");
        let ended = desk.provision(&["devices", "list", "--output", output]).with_code(21);
        let ended =
            ended.saying("GET /v1/products/1319/devices was answered with 400: A fault that was asked for");
        assert!(ended.stdout.contains(&format!("{:024x}", 99)), "{output}");
        assert!(!ended.stdout.contains(&format!("{:024x}", 100)), "{output}");
        assert!(serde_json::from_str::<Value>(&ended.stdout).is_err());
    }
    // Nothing came: the failure is the document.
    desk.fault("GET /v1/products/*/devices=400x1");
    let ended = desk.provision(&["devices", "list", "--output", "json"]).with_code(21);
    assert_eq!(ended.result()["error"]["code"], "cloud-refused");
}

#[test]
fn an_own_list_whose_answer_breaks_off_or_is_none_says_so() {
    let desk = Desk::new();
    (0..50).for_each(|n| {
        desk.seed(DeviceSeed { owner: Some("developer@simulated.example".into()), ..numbered(n) });
    });
    for (fault, said) in [
        ("truncate", "the connection was lost"),
        ("html", "an HTML page, “Welcome to the hotel's Wi-Fi”"),
        ("garbage", "damaged JSON"),
        ("403", "403: A fault that was asked for"),
    ] {
        desk.fault(&format!("GET /v1/devices={fault}x1"));
        let ended = desk.provision_as_user(&["devices", "list"]);
        assert!(matches!(ended.code, Some(21 | 22)), "{ended:#?}");
        ended.saying("GET /v1/devices").saying(said);
    }
    // A beginning that fails is tried again.
    desk.fault("GET /v1/devices=503x2");
    desk.provision_as_user(&["devices", "list"]).with_code(0);
}

#[test]
fn a_device_is_shown_by_its_id_in_either_case() {
    let desk = Desk::with_anns_device();
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "show", &ID.to_uppercase()])));
    let shown = desk.provision(&["devices", "show", ID, "--output", "json"]).with_code(0);
    assert_eq!(document(&shown), desk.cloud.device(ID).unwrap());
    let csv = desk.provision(&["devices", "show", ID, "--output", "csv"]).with_code(0).stdout;
    assert!(csv.starts_with("id,name,owner,") && csv.lines().count() == 2, "{csv}");
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "show", OTHER])));
    insta::assert_snapshot!(desk.seen(&desk.provision_as_user(&["devices", "show", ID])));
    desk.provision(&["devices", "show", "3b00"]).with_code(2).saying("24 hexadecimal digits");
    desk.provision(&["devices", "show", ID, "--product", "9"]).with_code(21);
}

#[test]
fn a_serial_number_leads_to_its_device_fifty_times_an_hour() {
    let desk = Desk::with_anns_device();
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "lookup", "PH-200/7"])));
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "lookup", "PH-1"])));
    desk.fault("GET /v1/serial_numbers/*=429:retry-after=3000x1");
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "lookup", "PH-1"])));
    let found = desk.provision_as_user(&["devices", "lookup", "PH-200/7", "--output", "json"]).with_code(0);
    assert_eq!(document(&found), json!({"ok": true, "device_id": ID, "platform_id": 6}));
}

#[test]
fn an_import_tells_each_devices_fate() {
    let desk = Desk::new();
    desk.seed(member(ID));
    desk.seed(DeviceSeed {
        id: OTHER.into(),
        owner: Some("somebody@else.example".into()),
        ..DeviceSeed::default()
    });
    let p1 = "222222222222222222222222";
    desk.seed(DeviceSeed { id: p1.into(), platform_id: Some(8), ..DeviceSeed::default() });
    let new = "AAAAAAAAAAAAAAAAAAAAAAAA";
    let import = ["devices", "import", ID, OTHER, p1, new, new];
    insta::assert_snapshot!(desk.seen(&desk.provision(&import)));
    assert_eq!(desk.changes(), ["POST /v1/products/1319/devices"]);
    let ended = desk.provision(&[&import[..], &["--output", "json"]].concat()).with_code(3);
    let fates = document(&ended.saying("2 of 4 not imported: 1 owned by somebody else; 1 invalid"));
    assert_eq!(fates[3], json!({"id": new.to_lowercase(), "fate": "already a member", "member": true}));
    desk.provision(&["devices", "import", new]).with_code(0);
    desk.provision(&["devices", "import", OTHER]).with_code(40);
    desk.provision(&["devices", "import", p1, "--output", "csv"]).with_code(21);
    desk.provision(&["devices", "import"]).with_code(2);
}

#[test]
fn a_file_is_imported_a_thousand_at_a_time_once_every_line_is_an_id() {
    let desk = Desk::new();
    let ids: Vec<_> = (0..2500).map(|n| format!("{n:024X}\r\n")).collect();
    let file = desk.home.write("ids.txt", &ids.concat());
    let import = ["devices", "import", "--file", file.to_str().unwrap(), "--output", "csv"];
    desk.home.write("bad.txt", &format!("{ID}\n\nxyz\n{ID}{ID}\n"));
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "import", "--file", "bad.txt"])));
    assert_eq!(desk.changes(), [""; 0]);
    let ended = desk.provision(&import).with_code(0);
    assert_eq!(ended.stdout.lines().filter(|line| line.ends_with(",added")).count(), 2500);
    assert_eq!(desk.changes().len(), 3);
    // The second call fails: what came before is told, and so is what did not.
    desk.fault("POST /v1/products/*/devices=delay:0x1");
    desk.fault("POST /v1/products/*/devices=400x1");
    let ended = desk.provision(&import).with_code(3).saying(
        "error: 1500 of 2500 not imported: 1000 unknown: the call failed; 500 not sent: POST \
         /v1/products/1319/devices was answered with 400",
    );
    for (fate, count) in [("already a member", 1000), ("unknown: the call failed", 1000), ("not sent", 500)] {
        assert_eq!(ended.stdout.lines().filter(|line| line.ends_with(fate)).count(), count, "{fate}");
    }
    desk.fault("POST /v1/products/*/devices=400x1");
    let ended = desk.provision(&import).with_code(21);
    assert_eq!(ended.stdout, "");
}

#[test]
fn an_import_goes_on_when_nobody_reads_its_list() {
    let desk = Desk::new();
    let ids: Vec<_> = (0..3000).map(|n| format!("{n:024x}\n")).collect();
    let file = desk.home.write("ids.txt", &ids.concat());
    let (child, lines) = begin(desk.command(&["devices", "import", "--file", file.to_str().unwrap()]));
    drop(lines);
    assert_eq!(Ended::from(child.wait_with_output().unwrap()).code, Some(0));
    assert_eq!(desk.cloud.snapshot()["devices"].as_array().unwrap().len(), 3000);
}

#[test]
fn a_device_is_named_noted_and_found_on_the_desk() {
    let desk = Desk::with_anns_device();
    for (args, field, value) in [
        (&["rename", ID, "Ann's lamp"][..], "name", json!("Ann's lamp")),
        (&["note", ID, "came back twice, \u{1b}[2J"], "notes", json!("came back twice, \u{1b}[2J")),
    ] {
        desk.provision(&[&["devices"], args].concat()).with_code(0);
        assert_eq!(desk.device(field), value);
    }
    let changes = desk.changes().len();
    for args in
        [&["rename", ID, ""][..], &["rename", ID, " "], &["rename", ID, "a\u{1b}[2J"], &["note", ID, ""]]
    {
        desk.provision(&[&["devices"], args].concat()).with_code(2);
    }
    assert_eq!(desk.changes().len(), changes);
    for args in [&["rename", ID, "lamp"][..], &["signal", ID], &["signal", ID, "--off"], &["ping", ID]] {
        insta::assert_snapshot!(
            args.join("_").replace(ID, "D"),
            desk.seen(&desk.provision(&[&["devices"], args].concat()))
        );
    }
    let ping = desk.provision(&["devices", "ping", ID, "--output", "json"]).with_code(0);
    assert_eq!(document(&ping), json!({"device_id": ID, "online": true}));
}

#[test]
fn variables_and_functions_answer_with_their_own_values() {
    let desk = Desk::with_anns_device();
    for (args, printed) in [
        (&["variable", ID, "level"][..], "7\n"),
        (&["variable", ID, "mood"], "blue\n"),
        (&["call", ID, "dim", "50"], "1\n"),
        (&["call", ID, "zero"], "0\n"),
        (&["call", ID, "fail", "-x"], "-1\n"),
    ] {
        assert_eq!(desk.provision(&[&["devices"], args].concat()).with_code(0).stdout, printed);
    }
    let called = desk.provision(&["devices", "call", ID, "fail", "--output", "json"]).with_code(0);
    assert_eq!(document(&called), json!({"id": ID, "connected": true, "return_value": -1}));
}

#[test]
fn offline_and_unknown_names_are_told_apart() {
    let desk = Desk::with_anns_device();
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "variable", ID, "colour"])));
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "call", ID, "explode"])));
    desk.seed(member(OTHER));
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "variable", OTHER, "level"])));
    for args in [&["call", OTHER, "dim"][..], &["signal", OTHER], &["ping", OTHER]] {
        let ended = desk.provision(&[&["devices"], args, &["--output", "json"]].concat()).with_code(11);
        assert_eq!(ended.result()["error"]["code"], "device-offline");
    }
    let ended = desk.provision(&["devices", "variable", ID, "colour", "--output", "json"]).with_code(21);
    assert_eq!(ended.result()["error"]["code"], "unknown-name");
}

#[test]
fn what_takes_away_wants_a_yes() {
    let desk = Desk::with_anns_device();
    for command in ["unclaim", "remove"] {
        let ended = desk.provision(&["devices", command, ID]).with_code(2);
        ended.saying(&format!("This takes {ID} off {ANN}")).saying("--yes");
    }
    assert_eq!(desk.changes(), [""; 0]);
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "unclaim", ID, "--yes"])));
    assert_eq!((desk.device("owner"), desk.device("product_id")), (Value::Null, json!(PRODUCT)));
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "unclaim", ID])));
    desk.cloud.set_owner(ID, Some(ANN));
    insta::assert_snapshot!(desk.seen(&desk.provision(&["devices", "remove", ID, "--yes"])));
    assert_eq!((desk.device("owner"), desk.device("product_id")), (Value::Null, Value::Null));
    let again = desk.provision(&["devices", "remove", ID]).with_code(0);
    assert_eq!(again.stdout, format!("{ID} is not in product 1319: nothing to do\n"));
    desk.provision(&["devices", "remove", OTHER, "--yes"]).with_code(21).saying("does not have 1111");
    desk.provision(&["devices", "remove", ID, "--product", "9"]).with_code(21).saying("inside the product");
}

/// Runs a command on a terminal on which somebody has typed this already.
fn typing(mut command: Command, typed: &str) -> (Option<i32>, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = || open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    command.stdin(slave()).stdout(slave()).stderr(slave());
    let mut child = command.spawn().unwrap();
    // Else this process would hold the terminal open, and the end would never come.
    drop(command);
    let mut master = File::from(master);
    master.write_all(typed.as_bytes()).unwrap();
    let mut sent = Vec::new();
    let _ = master.read_to_end(&mut sent);
    (child.wait().unwrap().code(), String::from_utf8(sent).unwrap())
}

#[test]
fn on_a_terminal_it_asks_first_and_only_yes_is_yes() {
    let desk = Desk::with_anns_device();
    for answer in ["n\n", "\n", "yesterday\n"] {
        let (code, sent) = typing(desk.command(&["devices", "unclaim", ID]), answer);
        assert_eq!(code, Some(130), "{sent}");
        assert!(sent.contains("Go on? [y/N]") && sent.contains("nothing was done"), "{sent}");
    }
    assert_eq!(desk.device("owner"), ANN);
    let (code, sent) = typing(desk.command(&["devices", "unclaim", ID]), "Y\n");
    assert_eq!((code, desk.device("owner")), (Some(0), Value::Null), "{sent}");
}

#[test]
fn a_terminal_gets_a_screenful_unless_all_is_wanted() {
    let desk = Desk::new();
    (0..150).for_each(|n| desk.seed(numbered(n)));
    let (code, sent) = typing(desk.command(&["devices", "list"]), "");
    let rows = |sent: &str| sent.lines().filter(|line| line.contains("device ")).count();
    assert_eq!((code, rows(&sent)), (Some(0), 100));
    assert!(sent.contains("there are more: --all lists them"), "{sent}");
    let (code, sent) = typing(desk.command(&["devices", "list", "--all"]), "");
    assert_eq!((code, rows(&sent)), (Some(0), 150));
    assert!(sent.lines().all(|line| line.trim_end().chars().count() <= 80), "{sent}");
}

#[test]
fn a_developer_claims_by_id_and_gives_up() {
    let desk = Desk::new();
    let user = "developer@simulated.example";
    desk.seed(DeviceSeed { id: ID.into(), ..DeviceSeed::default() });
    let claim = || desk.provision_as_user(&["devices", "claim", ID]);
    insta::assert_snapshot!(desk.seen(&claim()));
    desk.seed(DeviceSeed { id: ID.into(), online: true, ..DeviceSeed::default() });
    insta::assert_snapshot!(desk.seen(&claim()));
    assert_eq!(desk.device("owner"), user);
    insta::assert_snapshot!(desk.seen(&desk.provision_as_user(&["devices", "unclaim", ID, "--yes"])));
    assert_eq!(desk.device("owner"), Value::Null);
    desk.cloud.set_owner(ID, Some("somebody@else.example"));
    insta::assert_snapshot!(desk.seen(&claim()));
    let asked = desk.provision_as_user(&["devices", "claim", ID, "--request-transfer"]);
    insta::assert_snapshot!(desk.seen(&asked));
    assert_eq!(desk.device("owner"), "somebody@else.example");
    desk.provision_as_user(&["devices", "remove", ID, "--yes"]).with_code(2).saying("give --product");
}

#[test]
fn products_and_organizations_are_listed_and_shown() {
    let desk = Desk::new();
    desk.cloud.add_foreign_product(7, 6);
    insta::assert_snapshot!(desk.seen(&desk.provision_as_user(&["products", "list"])));
    let listed = document(&desk.provision_as_user(&["products", "list", "--output", "json"]).with_code(0));
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &json!(PRODUCT)));
    insta::assert_snapshot!(desk.seen(&desk.provision(&["products", "show"])));
    let shown =
        desk.provision(&["products", "show", &desk.info.product_slug, "--output", "json"]).with_code(0);
    assert_eq!(document(&shown), listed[0]);
    desk.provision(&["products", "show", "7"]).with_code(21).saying("made inside the product");
    insta::assert_snapshot!(desk.seen(&desk.provision_as_user(&["organizations", "list"])));
    let of_organization = ["organizations", "products", "provision-sim", "--output", "json"];
    assert_eq!(document(&desk.provision_as_user(&of_organization).with_code(0)), listed);
    desk.provision_as_user(&["organizations", "products", "others"])
        .with_code(21)
        .saying("Organization not found");
    desk.provision(&["organizations", "list"]).with_code(2).saying("the access token is missing");
}

#[test]
fn a_token_that_the_cloud_repeats_is_not_shown() {
    let desk = Desk::new();
    desk.cloud.add_foreign_product(7, 6);
    desk.seed(DeviceSeed { id: ID.into(), product_id: Some(7), ..DeviceSeed::default() });
    let ended = desk.provision_as_user(&["devices", "rename", ID, "mine"]).with_code(21);
    assert!(ended.stderr.contains("access_token=[redacted]"), "{ended:#?}");
    assert!(!ended.stderr.contains(&desk.info.user_token));
}

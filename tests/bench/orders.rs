//! Whose the boards become: by file, and by barcode.

use std::collections::BTreeMap;

use provision::{
    record::{NewOrder, OrderState},
    sim::cloud::DeviceSeed,
};
use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};
use serde_json::{Value, json};

use crate::{
    bench::{PRODUCT, guarded},
    floor::{Floor, id, is, is_end_of, until, whole},
};

/// That a board waits for this.
fn waits(number: usize, why: &'static str) -> impl Fn(&Value) -> bool {
    let id = id(number).to_string();
    move |event| event["event"] == "waiting" && event["device_id"] == id.as_str() && event["why"] == why
}

#[tokio::test]
async fn an_order_names_its_board_and_the_board_gets_its_name_and_note() {
    let floor = Floor::new().await;
    let text =
        format!("device_id,customer,name,note\n{},ann@b.example,kitchen,fragile\n{},,,\n", id(0), id(1));
    let orders = floor.file("orders.csv", &text);
    let _boards: Vec<_> = (0..3).map(|n| floor.plug(n)).collect();
    let which = ["--orders", orders.to_str().unwrap(), "--count", "2"];
    whole(floor.shift_of(&which).start()).await.is(0, 2, 0, json!({}));
    let owners = floor.owners();
    assert_eq!(owners[id(0).as_str()], "ann@b.example");
    assert_eq!(owners[id(1).as_str()], format!("{}@shadow.example", id(1)));
    assert_eq!(owners.len(), 2);
    let record = floor.bench.cloud.device(id(0).as_str()).unwrap();
    assert_eq!((record["name"].as_str(), record["notes"].as_str()), (Some("kitchen"), Some("fragile")));
    let stored = floor.open_ledger().orders("orders.csv").await.unwrap();
    assert!(stored.iter().all(|order| order.state == OrderState::Done), "{stored:?}");
}

#[tokio::test]
async fn a_board_that_cannot_be_named_has_not_passed_and_is_named_when_it_is_back() {
    let floor = Floor::new().await;
    let orders = floor.file("orders.csv", "customer,name,note\na@b.example,kitchen,fragile\n");
    floor.bench.cloud.add_fault("PUT /v1/products/*/devices/*=403x1".parse().unwrap());
    let _board = floor.plug(0);
    let shift = || floor.shift_of(&["--any", "--orders", orders.to_str().unwrap(), "--count", "1"]).start();
    let sum = whole(shift()).await.is(3, 0, 0, json!({"device-not-visible": 1}));
    assert_eq!(sum.events("result")[0]["error"]["step"], "name");
    whole(shift()).await.is(0, 1, 1, json!({}));
    let record = floor.bench.cloud.device(id(0).as_str()).unwrap();
    assert_eq!((record["name"].as_str(), record["notes"].as_str()), (Some("kitchen"), Some("fragile")));
}

#[tokio::test]
async fn a_board_that_was_done_before_is_not_called_by_an_order_that_it_does_not_keep() {
    let floor = Floor::new().await;
    let _board = floor.plug(0);
    whole(floor.shift().with(&["--count", "1"]).start()).await.is(0, 1, 0, json!({}));
    let text = "customer,name\n{device_id}@shadow.example,kitchen\n";
    let orders = floor.file("orders.csv", text);
    let which = ["--any", "--orders", orders.to_str().unwrap(), "--count", "1"];
    whole(floor.shift_of(&which).start()).await.is(0, 1, 1, json!({}));
    assert_ne!(floor.bench.cloud.device(id(0).as_str()).unwrap()["name"], "kitchen");
}

#[tokio::test]
async fn the_next_order_goes_to_the_next_board_and_none_is_used_twice() {
    let floor = Floor::new().await;
    let orders = floor.file("orders.csv", "customer\r\na@b.example\r\na@b.example\r\nc@d.example\r\n");
    let _boards: Vec<_> = (0..2).map(|n| floor.plug(n)).collect();
    let which = ["--any", "--orders", orders.to_str().unwrap()];
    whole(floor.shift_of(&which).with(&["--count", "2"]).start()).await.is(0, 2, 0, json!({}));
    // In the next shift the same boards keep theirs, and there is one left for two others.
    let _others: Vec<_> = (2..4).map(|n| floor.plug(n)).collect();
    let mut shift = floor.shift_of(&which).start();
    let (mut ended, mut left) = (0, 0);
    while (ended, left) != (3, 1) {
        let event = until(&mut shift, |event| is("result")(event) || is("left-alone")(event)).await;
        ended += usize::from(is("result")(&event));
        left += usize::from(event["why"] == "no-order");
    }
    shift.interrupt();
    whole(shift).await.is(0, 3, 2, json!({}));
    let mut owners: Vec<_> = floor.owners().into_values().collect();
    owners.sort_unstable();
    assert_eq!(owners, ["a@b.example", "a@b.example", "c@d.example"]);
    let stored = floor.open_ledger().orders("orders.csv").await.unwrap();
    let mut bound: Vec<_> = stored.iter().map(|order| order.bound_to.clone().unwrap()).collect();
    bound.sort_unstable();
    bound.dedup();
    assert_eq!(bound.len(), 3);
}

#[tokio::test]
async fn an_order_goes_back_when_its_board_turns_out_to_be_somebody_elses() {
    let floor = Floor::new().await;
    assert!(floor.bench.cloud.add_device(DeviceSeed {
        id: id(0).to_string(),
        owner: Some("somebody@else.example".into()),
        product_id: Some(PRODUCT),
        ..Default::default()
    }));
    let orders = floor.file("orders.csv", "customer\na@b.example\n");
    let _board = floor.plug(0);
    let which = ["--any", "--orders", orders.to_str().unwrap(), "--count", "2"];
    let mut shift = floor.shift_of(&which).start();
    until(&mut shift, is("result")).await;
    let _other = floor.plug(1);
    whole(shift).await.is(3, 1, 0, json!({"owned-by-other": 1}));
    assert_eq!(floor.owners()[id(1).as_str()], "a@b.example");
}

#[tokio::test]
async fn a_table_that_cannot_be_used_is_refused_at_the_start() {
    let floor = Floor::new().await;
    let orders = floor.file("orders.csv", &format!("device_id,customer\n{},a@b\nx,c@d\n", id(0)));
    let ended = floor.plain_shift(&["--orders", orders.to_str().unwrap()]).ended().await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("line 3: a device id has 24"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_barcode_says_whose_the_next_board_is() {
    let floor = Floor::new().await;
    let (read, write) = std::io::pipe().unwrap();
    let mut shift = floor
        .bench
        .provision()
        .without("PROVISION_CUSTOMER")
        .with(&["bench", "--any", "--scan", "--count", "3", "--output", "json", "--ledger", &floor.ledger])
        .with(&["--usb-dir"])
        .with(&[floor.bench.hub()])
        .stdin(read)
        .start();
    let scan = |text: &str| std::io::Write::write_all(&mut &write, format!("{text}\r\n").as_bytes()).unwrap();
    // Either may come first.
    scan(" ann@b.example ");
    assert_eq!(until(&mut shift, is("scanned")).await["taken"], true);
    let _first = floor.plug(0);
    let given = until(&mut shift, is("scan-given")).await;
    assert_eq!((&given["text"], &given["device_id"]), (&json!("ann@b.example"), &json!(id(0).as_str())));
    until(&mut shift, is_end_of(0)).await;
    let _second = floor.plug(1);
    let waiting = until(&mut shift, |e| e["event"] == "waiting" && e["why"] == "scan").await;
    assert_eq!(waiting["device_id"], id(1).as_str());
    scan("");
    // This says which board is to come, and nothing about whose it is.
    scan(id(7).as_str());
    assert_eq!(until(&mut shift, is("scanned")).await["taken"], false);
    scan("bob@b.example");
    until(&mut shift, is_end_of(1)).await;
    let _third = floor.plug(2);
    scan("cid@b.example");
    whole(shift).await.is(0, 3, 0, json!({}));
    let wanted = [(0, "ann@b.example"), (1, "bob@b.example"), (2, "cid@b.example")];
    let wanted: BTreeMap<_, _> = wanted.map(|(n, c)| (id(n).to_string(), c.to_owned())).into();
    assert_eq!(floor.owners(), wanted);
    floor.ledger_agrees(&wanted).await;
}

#[tokio::test]
async fn a_barcode_can_be_a_part_of_the_customer() {
    let floor = Floor::new().await;
    let (read, write) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut &write, b"SN-17\n").unwrap();
    let shift = floor.shift_of(&["--any", "--scan", "--customer", "{scan}@shadow.example", "--count", "1"]);
    let _board = floor.plug(0);
    whole(shift.stdin(read).start()).await.is(0, 1, 0, json!({}));
    // The cloud keeps names in lower case.
    assert_eq!(floor.owners()[id(0).as_str()], "sn-17@shadow.example");
}

#[tokio::test]
async fn a_barcode_that_names_another_board_fails_this_one() {
    let floor = Floor::new().await;
    let (read, write) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut &write, format!("{}\n", id(7)).as_bytes()).unwrap();
    let board = floor.plug(0);
    let shift = floor.shift_of(&["--any", "--scan", "--count", "1"]).stdin(read).start();
    whole(shift).await.is(3, 0, 0, json!({"wrong-device": 1}));
    assert_eq!(board.effects(), []);
}

#[tokio::test]
async fn a_terminal_that_barcodes_come_from_does_not_show_them_and_is_left_as_it_was() {
    let floor = Floor::new().await;
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let terminal = open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let before = tcgetattr(&terminal).unwrap().local_modes;
    assert!(before.contains(LocalModes::ECHO));
    let _board = floor.plug(0);
    for is_interrupted in [true, false] {
        let run = floor.shift_of(&["--any", "--scan", "--count", "1"]).without("PROVISION_CUSTOMER");
        let mut shift = run.stdin(terminal.try_clone().unwrap()).start();
        until(&mut shift, |e| e["event"] == "waiting" && e["why"] == "scan").await;
        let during = tcgetattr(&terminal).unwrap().local_modes;
        assert!(!during.intersects(LocalModes::ECHO | LocalModes::ECHONL), "{during:?}");
        assert!(during.contains(LocalModes::ISIG | LocalModes::ICANON), "{during:?}");
        if is_interrupted {
            shift.interrupt();
            whole(shift).await.is(0, 0, 0, json!({}));
        } else {
            rustix::io::write(&master, b"ann@b.example\n").unwrap();
            whole(shift).await.is(0, 1, 0, json!({}));
        }
        assert_eq!(tcgetattr(&terminal).unwrap().local_modes, before);
    }
}

#[tokio::test]
async fn a_board_that_is_unplugged_while_it_waits_takes_neither_an_order_nor_a_place() {
    let floor = Floor::new().await;
    let gate = floor.bench.cloud.gate("POST /v1/products/1319/customers").unwrap();
    let orders = floor.file("orders.csv", "customer\na@b.example\nc@d.example\n");
    let _first = floor.plug(0);
    let which = ["--any", "--orders", orders.to_str().unwrap(), "--slots", "1", "--count", "2"];
    let mut shift = floor.shift_of(&which).with(&["--wait", "1s"]).start();
    guarded(gate.arrived()).await;
    let gone = floor.plug(1);
    until(&mut shift, waits(1, "free-lane")).await;
    gone.unplug();
    until(&mut shift, is("unplugged")).await;
    let _next = floor.plug(2);
    until(&mut shift, waits(2, "free-lane")).await;
    gate.open();
    whole(shift).await.is(0, 2, 0, json!({}));
    assert_eq!(floor.owners()[id(2).as_str()], "c@d.example");
}

#[tokio::test]
async fn an_order_that_is_given_back_goes_to_a_board_that_found_none() {
    let floor = Floor::new().await;
    assert!(floor.bench.cloud.add_device(DeviceSeed {
        id: id(0).to_string(),
        owner: Some("somebody@else.example".into()),
        product_id: Some(PRODUCT),
        ..Default::default()
    }));
    let gate = floor.bench.cloud.gate("GET /v1/products/1319/devices/*").unwrap();
    let orders = floor.file("orders.csv", "customer\na@b.example\n");
    let _board = floor.plug(0);
    let which = ["--any", "--orders", orders.to_str().unwrap(), "--count", "2"];
    let mut shift = floor.shift_of(&which).start();
    guarded(gate.arrived()).await;
    let _other = floor.plug(1);
    assert_eq!(until(&mut shift, is("left-alone")).await["why"], "no-order");
    gate.open();
    whole(shift).await.is(3, 1, 0, json!({"owned-by-other": 1}));
    assert_eq!(floor.owners()[id(1).as_str()], "a@b.example");
}

#[tokio::test]
async fn a_board_that_is_done_already_leaves_the_new_order_to_the_next() {
    let floor = Floor::new().await;
    let first = floor.file("first.csv", "customer,name\na@b.example,one\n");
    let second = floor.file("second.csv", "customer,name\na@b.example,two\n");
    let _board = floor.plug(0);
    let which = ["--any", "--count", "1", "--orders", first.to_str().unwrap()];
    whole(floor.shift_of(&which).start()).await.is(0, 1, 0, json!({}));
    let which = ["--any", "--count", "2", "--orders", second.to_str().unwrap()];
    let mut shift = floor.shift_of(&which).start();
    assert_eq!(until(&mut shift, is_end_of(0)).await["already"], true);
    let _other = floor.plug(1);
    whole(shift).await.is(0, 2, 1, json!({}));
    let name = |n| floor.bench.cloud.device(id(n).as_str()).unwrap()["name"].clone();
    assert_eq!((name(0), name(1)), (json!("one"), json!("two")));
}

#[tokio::test]
async fn a_barcode_goes_to_a_board_that_is_there() {
    let floor = Floor::new().await;
    let (read, write) = std::io::pipe().unwrap();
    let scan = |text: &str| std::io::Write::write_all(&mut &write, format!("{text}\n").as_bytes()).unwrap();
    let which = ["--any", "--scan", "--customer", "{scan}@shadow.example", "--wait", "1s"];
    let gone = floor.plug(0);
    let mut shift = floor.shift_of(&which).stdin(read).start();
    until(&mut shift, waits(0, "scan")).await;
    let _here = floor.plug(1);
    until(&mut shift, waits(1, "scan")).await;
    gone.unplug();
    until(&mut shift, is("unplugged")).await;
    scan("sn-1");
    until(&mut shift, is("result")).await;
    shift.interrupt();
    whole(shift).await.is(0, 1, 0, json!({}));
    assert_eq!(floor.owners()[id(1).as_str()], "sn-1@shadow.example");
}

#[tokio::test]
async fn a_board_that_waits_for_its_barcode_is_not_counted_yet() {
    let floor = Floor::new().await;
    let (read, write) = std::io::pipe().unwrap();
    let which = ["--any", "--scan", "--customer", "{scan}@shadow.example", "--count", "1"];
    let _boards = [floor.plug(0), floor.plug(1)];
    let mut shift = floor.shift_of(&which).stdin(read).start();
    let both = |event: &Value| event["event"] == "waiting" && event["why"] == "scan";
    let (one, other) = (until(&mut shift, both).await, until(&mut shift, both).await);
    assert_ne!(one["device_id"], other["device_id"]);
    std::io::Write::write_all(&mut &write, b"sn-1\n").unwrap();
    whole(shift).await.is(0, 1, 0, json!({}));
}

#[tokio::test]
async fn a_fresh_barcode_counts_more_than_an_older_one() {
    let floor = Floor::new().await;
    let ledger = floor.open_ledger();
    for (number, customer) in [(0, "old@b.example"), (2, "kept@b.example")] {
        let customer = Some(customer.to_owned());
        let order = NewOrder { device_id: Some(id(number)), customer, ..NewOrder::default() };
        ledger.add_order("scanned", &order).await.unwrap();
        ledger.claim_order("scanned", &id(number)).await.unwrap();
    }
    let (read, write) = std::io::pipe().unwrap();
    let scan = |text: &str| std::io::Write::write_all(&mut &write, format!("{text}\n").as_bytes()).unwrap();
    let which = ["--any", "--scan", "--customer", "{scan}@b.example", "--count", "3"];
    let mut shift = floor.shift_of(&which).stdin(read).start();
    let mut boards = Vec::new();
    for (number, text) in [(0, "ann"), (1, "bob")] {
        scan(text);
        until(&mut shift, is("scanned")).await;
        boards.push(floor.plug(number));
        let ended = until(&mut shift, is_end_of(number)).await;
        assert!(ended["error"].is_null(), "{ended}");
    }
    // Nothing is scanned for this one.
    let _mid_way = floor.plug(2);
    whole(shift).await.is(0, 3, 0, json!({}));
    let wanted = [(0, "ann@b.example"), (1, "bob@b.example"), (2, "kept@b.example")];
    let wanted: BTreeMap<_, _> = wanted.map(|(n, c)| (id(n).to_string(), c.to_owned())).into();
    assert_eq!(floor.owners(), wanted);
}

#[tokio::test]
async fn a_wrong_barcode_spoils_neither_the_board_nor_the_next() {
    let floor = Floor::new().await;
    let (read, write) = std::io::pipe().unwrap();
    let scan = |text: &str| std::io::Write::write_all(&mut &write, format!("{text}\n").as_bytes()).unwrap();
    let board = floor.plug(0);
    let mut shift = floor.shift_of(&["--any", "--scan", "--count", "2"]).stdin(read).start();
    scan(id(7).as_str());
    let failed = until(&mut shift, is_end_of(0)).await;
    assert_eq!(failed["error"]["code"], "wrong-device");
    assert!(failed["error"]["hint"].as_str().unwrap().starts_with("the wrong code was scanned"), "{failed}");
    board.unplug();
    until(&mut shift, is("unplugged")).await;
    board.plug();
    until(&mut shift, waits(0, "scan")).await;
    scan(id(0).as_str());
    until(&mut shift, is_end_of(0)).await;
    scan(id(1).as_str());
    let _next = floor.plug(1);
    whole(shift).await.is(0, 2, 0, json!({}));
}

/// A pipe that barcodes come from.
fn scanner() -> (std::io::PipeReader, impl Fn(&str)) {
    let (read, write) = std::io::pipe().unwrap();
    (read, move |text: &str| std::io::Write::write_all(&mut &write, format!("{text}\n").as_bytes()).unwrap())
}

fn somebody_elses(number: usize) -> DeviceSeed {
    DeviceSeed {
        id: id(number).to_string(),
        owner: Some("somebody@else.example".into()),
        product_id: Some(PRODUCT),
        ..Default::default()
    }
}

#[tokio::test]
async fn barcodes_go_to_boards_as_they_are_plugged_in_however_long_those_wait() {
    let floor = Floor::new().await;
    let (read, write) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut &write, b"k1@b.example\nk2@b.example\nk3@b.example\n").unwrap();
    let gate = floor.bench.cloud.gate("POST /v1/products/1319/device_claims").unwrap();
    let run = floor.shift_of(&["--any", "--scan", "--slots", "1", "--count", "2"]);
    let mut shift = run.without("PROVISION_CUSTOMER").stdin(read).start();
    for _ in 0..3 {
        until(&mut shift, is("scanned")).await;
    }
    let _first = floor.plug(0);
    guarded(gate.arrived()).await;
    let second = floor.plug(1);
    let given = |number| {
        let id = id(number).to_string();
        move |event: &Value| event["event"] == "scan-given" && event["device_id"] == id.as_str()
    };
    assert_eq!(until(&mut shift, given(1)).await["text"], "k2@b.example");
    let _third = floor.plug(2);
    assert_eq!(until(&mut shift, given(2)).await["text"], "k3@b.example");
    drop(second);
    assert_eq!(until(&mut shift, is("scanned")).await["fate"], "lost");
    gate.open();
    whole(shift).await.is(0, 2, 0, json!({}));
    let wanted = [(0, "k1@b.example"), (2, "k3@b.example")];
    let wanted: BTreeMap<_, _> = wanted.map(|(n, c)| (id(n).to_string(), c.to_owned())).into();
    assert_eq!(floor.owners(), wanted);
}

#[tokio::test]
async fn a_barcode_whose_board_is_unplugged_is_told_as_lost_and_is_for_nobody() {
    let floor = Floor::new().await;
    let gate = floor.bench.cloud.gate("POST /v1/products/1319/customers").unwrap();
    let (read, scan) = scanner();
    let which = ["--any", "--scan", "--customer", "{scan}@b.example", "--slots", "1", "--count", "2"];
    let boards = [floor.plug(0), floor.plug(1)];
    let mut shift = floor.shift_of(&which).stdin(read).start();
    let both = |event: &Value| event["event"] == "waiting" && event["why"] == "scan";
    until(&mut shift, both).await;
    until(&mut shift, both).await;
    scan("ann");
    guarded(gate.arrived()).await;
    scan("bob");
    let waiting = until(&mut shift, |event| event["why"] == "free-lane").await;
    let number = usize::from(waiting["device_id"] == id(1).as_str());
    boards[number].unplug();
    let lost = until(&mut shift, |event| is("scanned")(event) && event["fate"] == "lost").await;
    assert_eq!((lost["text"].as_str(), lost["taken"].as_bool()), (Some("bob"), Some(false)));
    boards[number].plug();
    gate.open();
    until(&mut shift, waits(number, "scan")).await;
    scan("cid");
    whole(shift).await.is(0, 2, 0, json!({}));
    assert_eq!(floor.owners()[id(number).as_str()], "cid@b.example");
}

#[tokio::test]
async fn a_scanned_order_that_is_refused_is_not_its_boards_any_more() {
    let floor = Floor::new().await;
    assert!(floor.bench.cloud.add_device(somebody_elses(0)));
    let (read, scan) = scanner();
    let which = ["--any", "--scan", "--customer", "{scan}@b.example", "--count", "2"];
    let board = floor.plug(0);
    let mut shift = floor.shift_of(&which).stdin(read).start();
    scan("ann");
    assert_eq!(until(&mut shift, is_end_of(0)).await["error"]["code"], "owned-by-other");
    board.unplug();
    until(&mut shift, is("unplugged")).await;
    board.plug();
    until(&mut shift, waits(0, "scan")).await;
    let order = floor.open_ledger().orders("scanned").await.unwrap().remove(0);
    assert_eq!((order.state, order.bound_to), (OrderState::Failed, None));
    board.unplug();
    until(&mut shift, is("unplugged")).await;
    let _other = floor.plug(1);
    until(&mut shift, waits(1, "scan")).await;
    scan("ann");
    whole(shift).await.is(3, 1, 0, json!({"owned-by-other": 1}));
    assert_eq!(floor.owners()[id(1).as_str()], "ann@b.example");
}

#[tokio::test]
async fn an_order_that_another_bench_gives_back_reaches_a_board_that_found_none() {
    let floor = Floor::new().await;
    let orders = floor.file("orders.csv", "customer\na@b.example\n");
    let ledger = floor.open_ledger();
    let order = NewOrder { customer: Some("a@b.example".into()), ..NewOrder::default() };
    ledger.import_orders("orders.csv", &[order]).await.unwrap();
    let theirs = ledger.claim_order("orders.csv", &id(9)).await.unwrap().unwrap();
    let _board = floor.plug(0);
    let which = ["--any", "--orders", orders.to_str().unwrap(), "--count", "1"];
    let mut shift = floor.shift_of(&which).start();
    assert_eq!(until(&mut shift, is("left-alone")).await["why"], "no-order");
    ledger.give_back_order(&theirs).await.unwrap();
    whole(shift).await.is(0, 1, 0, json!({}));
}

#[tokio::test]
async fn a_board_without_an_order_takes_no_place() {
    let floor = Floor::new().await;
    let text = format!("device_id,customer\n{},a@b.example\n{},c@d.example\n", id(0), id(2));
    let orders = floor.file("orders.csv", &text);
    let _none = floor.plug(1);
    let which = ["--any", "--orders", orders.to_str().unwrap(), "--count", "2"];
    let mut shift = floor.shift_of(&which).without("PROVISION_CUSTOMER").start();
    assert_eq!(until(&mut shift, is("left-alone")).await["why"], "no-order");
    let _boards = [floor.plug(0), floor.plug(2)];
    whole(shift).await.is(0, 2, 0, json!({}));
    assert_eq!(floor.owners().len(), 2);
}

#[tokio::test]
async fn with_both_a_barcode_says_which_order_the_next_board_gets() {
    let floor = Floor::new().await;
    let text = "customer,name\nann@b.example,SN-1\nbob@b.example,SN-2\ncid@b.example,SN-3\n";
    let orders = floor.file("orders.csv", text);
    let (read, scan) = scanner();
    let which = ["--any", "--scan", "--orders", orders.to_str().unwrap(), "--count", "3"];
    let mut shift = floor.shift_of(&which).stdin(read).start();
    let _first = floor.plug(0);
    until(&mut shift, waits(0, "scan")).await;
    scan("SN-4");
    assert_eq!(until(&mut shift, is("scanned")).await["fate"], "nothing");
    scan("SN-2");
    until(&mut shift, is_end_of(0)).await;
    let _second = floor.plug(1);
    until(&mut shift, waits(1, "scan")).await;
    scan("SN-2");
    until(&mut shift, |event| is("scanned")(event) && event["fate"] == "used").await;
    until(&mut shift, waits(1, "scan")).await;
    scan("cid@b.example");
    until(&mut shift, is_end_of(1)).await;
    // The board's own id will do: it gets the next.
    let _third = floor.plug(2);
    scan(id(2).as_str());
    whole(shift).await.is(0, 3, 0, json!({}));
    let wanted = [(0, "bob@b.example"), (1, "cid@b.example"), (2, "ann@b.example")];
    let wanted: BTreeMap<_, _> = wanted.map(|(n, c)| (id(n).to_string(), c.to_owned())).into();
    assert_eq!(floor.owners(), wanted);
    assert_eq!(floor.bench.cloud.device(id(0).as_str()).unwrap()["name"], "SN-2");
}

#[tokio::test]
async fn a_board_that_has_an_order_keeps_it_whatever_is_scanned_before_it_is_put_back() {
    let floor = Floor::new().await;
    let orders = floor.file("orders.csv", "customer,name\nann@b.example,one\nbob@b.example,two\n");
    floor.bench.cloud.add_fault("PUT /v1/products/*/devices/*=403x1".parse().unwrap());
    let (read, write) = std::io::pipe().unwrap();
    let scan = |text: &str| std::io::Write::write_all(&mut &write, format!("{text}\n").as_bytes()).unwrap();
    let which = ["--any", "--scan", "--orders", orders.to_str().unwrap(), "--count", "2"];
    let mut shift = floor.shift_of(&which).stdin(read).start();
    scan("one");
    let first = floor.plug(0);
    assert_eq!(until(&mut shift, is_end_of(0)).await["error"]["step"], "name");
    drop(first);
    until(&mut shift, is("unplugged")).await;
    scan("two");
    until(&mut shift, is("scanned")).await;
    let _first = floor.plug(0);
    assert_eq!(until(&mut shift, is_end_of(0)).await["customer"], "ann@b.example");
    let _second = floor.plug(1);
    // The first one's run of before had gone as far as its owner.
    whole(shift).await.is(0, 2, 1, json!({}));
    let wanted = [(0, "ann@b.example"), (1, "bob@b.example")];
    let wanted: BTreeMap<_, _> = wanted.map(|(n, c)| (id(n).to_string(), c.to_owned())).into();
    assert_eq!(floor.owners(), wanted);
    assert_eq!(floor.bench.cloud.device(id(0).as_str()).unwrap()["name"], "one");
}

#[tokio::test]
async fn a_barcode_of_another_boards_order_fails_this_one() {
    let floor = Floor::new().await;
    let text = format!("device_id,customer\n{},ann@b.example\n{},bob@b.example\n", id(0), id(1));
    let orders = floor.file("orders.csv", &text);
    let (read, scan) = scanner();
    let which = ["--scan", "--orders", orders.to_str().unwrap(), "--count", "1"];
    let board = floor.plug(0);
    scan("bob@b.example");
    whole(floor.shift_of(&which).stdin(read).start()).await.is(3, 0, 0, json!({"wrong-device": 1}));
    assert_eq!(board.effects(), []);
    let which = ["--any", "--scan", "--orders", orders.to_str().unwrap(), "--customer", "{scan}@b.example"];
    let ended = floor.plain_shift(&which).ended().await;
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("leave {scan} out"), "{}", ended.stderr);
}

//! A bench on its floor: a cloud, a hub, boards, and shifts of `provision bench`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use provision::{
    model::DeviceId,
    record::{Ledger, Location, Outcome, RunQuery, Who},
    sim::{
        cloud::CloudConfig,
        photon::{PhotonConfig, SimPhoton},
    },
};
use serde_json::Value;

use crate::bench::{Bench, Ended, PRODUCT, Run, Running};

pub struct Floor {
    pub bench: Bench,
    /// Where the ledger is.
    pub ledger: String,
}

/// The id of the board with this number.
pub fn id(number: usize) -> DeviceId {
    DeviceId::parse(&format!("3b0021001747353236{number:06}")).unwrap()
}

pub fn customer_of(id: &DeviceId) -> String {
    format!("{id}@shadow.example")
}

impl Floor {
    pub async fn new() -> Self {
        Self::with(CloudConfig::default()).await
    }

    pub async fn with(config: CloudConfig) -> Self {
        let bench = Bench::with(config).await;
        let ledger = bench.home().join("ledger.sqlite").to_str().unwrap().to_owned();
        Self { bench, ledger }
    }

    /// A file that the bench is given.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.bench.home().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A board that runs its firmware, and knows Wi-Fi.
    pub fn board(&self, number: usize) -> PhotonConfig {
        PhotonConfig { device_id: id(number), ..self.bench.running_board() }
    }

    /// Plugs a board into the hub, where its link tells its id.
    pub fn plug(&self, number: usize) -> SimPhoton {
        self.bench.plug_into_hub(self.board(number))
    }

    /// The same, in this socket.
    pub fn plug_into(&self, config: PhotonConfig, socket: &str) -> SimPhoton {
        let link = self.bench.hub().join(format!("{}@{socket}", config.device_id));
        self.bench.plug(PhotonConfig { link: Some(link), ..config })
    }

    /// A shift of every board in the hub, told as JSON.
    pub fn shift(&self) -> Run {
        self.shift_of(&["--any"])
    }

    pub fn shift_of(&self, which: &[&str]) -> Run {
        self.plain_shift(which).with(&["--output", "json"])
    }

    pub fn plain_shift(&self, which: &[&str]) -> Run {
        let run = self.bench.provision().with(&["bench", "--usb-dir"]).with(&[self.bench.hub()]);
        let run = run.env("PROVISION_CUSTOMER", "{device_id}@shadow.example");
        run.with(&["--ledger", &self.ledger, "--ignore-limits"]).with(which)
    }

    /// The ledger, for the test's own eyes.
    pub fn open_ledger(&self) -> Ledger {
        let who = Who { bench: "test".into(), operator: "test".into(), host: "test".into() };
        Ledger::new(Location::parse(&self.ledger).unwrap(), who)
    }

    /// Who owns the boards, as the cloud has it.
    pub fn owners(&self) -> BTreeMap<String, String> {
        let snapshot = self.bench.cloud.snapshot();
        let devices = snapshot["devices"].as_array().unwrap().iter();
        let owned = devices.filter_map(|device| {
            let owned = (device["id"].as_str()?.to_owned(), device["owner"].as_str()?.to_owned());
            assert_eq!(device["product_id"], PRODUCT, "{device}");
            Some(owned)
        });
        owned.collect()
    }

    /// Every one of these boards has its own customer in the cloud, and the ledger agrees row for row: one
    /// run of each has passed or found all done, and none claims more than the cloud shows.
    pub async fn agrees(&self, numbers: impl IntoIterator<Item = usize>) {
        let wanted: BTreeMap<_, _> =
            numbers.into_iter().map(|n| (id(n).to_string(), customer_of(&id(n)))).collect();
        assert_eq!(self.owners(), wanted);
        self.ledger_agrees(&wanted).await;
    }

    /// The ledger says of each of these boards that it went to this customer.
    pub async fn ledger_agrees(&self, wanted: &BTreeMap<String, String>) {
        let runs = self.open_ledger().runs(&RunQuery::default()).await.unwrap();
        let mut ended = BTreeMap::<String, String>::new();
        for run in &runs {
            assert_ne!(run.outcome, Outcome::Incomplete, "{run:?}");
            assert_ne!(run.slot.as_deref(), Some("-"), "a slot that is not known: {run:?}");
            assert!(run.ended.is_some() || run.outcome == Outcome::Abandoned, "{run:?}");
            let Some(device) = &run.device_id else { continue };
            if matches!(run.outcome, Outcome::Passed | Outcome::Already) {
                let customer = run.customer.clone().unwrap();
                assert_eq!(run.product.as_deref(), Some(PRODUCT.to_string().as_str()), "{run:?}");
                if let Some(other) = ended.insert(device.clone(), customer.clone()) {
                    assert_eq!(other, customer, "{run:?}");
                }
            }
        }
        assert_eq!(&ended, wanted);
        let passed = runs.iter().filter(|run| run.outcome == Outcome::Passed);
        let boards: Vec<_> = passed.filter_map(|run| run.device_id.clone()).collect();
        let distinct: BTreeSet<_> = boards.iter().collect();
        assert_eq!(distinct.len(), boards.len(), "a board has passed twice: {boards:?}");
    }
}

/// Waits for an event that is so.
pub async fn until(shift: &mut Running, is_so: impl Fn(&Value) -> bool) -> Value {
    while let Some(event) = shift.next_event().await {
        if is_so(&event) {
            return event;
        }
    }
    panic!("the shift ended first: {}", shift.told());
}

/// The end of a board's run.
pub fn is_end_of(number: usize) -> impl Fn(&Value) -> bool {
    let id = id(number).to_string();
    move |event| event["event"] == "result" && event["device_id"] == id.as_str()
}

pub fn is(name: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["event"] == name
}

/// All that happens until the shift has ended; the last event is its sum, and agrees with the exit code.
pub async fn whole(mut shift: Running) -> Sum {
    while shift.next_event().await.is_some() {}
    let ended = shift.ended().await;
    let last = ended.events.last().cloned().unwrap_or_default();
    assert_eq!(last["event"], "shift", "{ended:?}");
    assert_eq!(last["exit_code"].as_i64(), ended.status.code().map(i64::from), "{ended:?}");
    Sum { ended, last }
}

/// What a shift came to.
pub struct Sum {
    pub ended: Ended,
    pub last: Value,
}

impl Sum {
    #[track_caller]
    pub fn is(self, code: i32, passed: usize, already: usize, failed: Value) -> Self {
        let of = &self.last;
        assert_eq!(self.ended.status.code(), Some(code), "{of}\n{}", self.ended.stderr);
        assert_eq!((of["passed"].clone(), of["already"].clone()), (passed.into(), already.into()), "{of}");
        assert_eq!(of["failed"], failed, "{of}");
        self
    }

    pub fn events(&self, name: &str) -> Vec<&Value> {
        self.ended.events.iter().filter(|event| event["event"] == name).collect()
    }
}

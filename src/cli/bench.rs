//! `provision bench`: many boards at once, and which benches there are.

use std::{
    fs,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::{SpanRound, Timestamp, Unit};
use tokio::sync::mpsc;

use super::{
    echo::EchoOff,
    environment::{Directories, Environment},
    explain::{AT_A_BENCH, AT_A_SCANNING_BENCH},
    ledger::{LedgerArgs, ReadArgs},
    listing::{Column, Listing, ListingArgs},
    moment::local,
    root::Output,
    run::{OwnerKind, ToldFailure, UntilArgs, cloud, owner, parse_milliseconds, show_warnings},
    secrets::{SecretReader, SecretSource},
    settings::{SettingsArgs, UsbDirArgs, parse_duration},
    signals::Signals,
    wifi::{Wanted, WifiArgs},
};
use crate::{
    bench::{self, Allowed, Bench, Hook, Hooks, Orders, Scan, SlotMap, Watch, parse_orders},
    device::Patience,
    link::{discovery::Lister, serial::SystemPorts},
    model::{CustomerTemplate, Failure, FailureCode, Invalid},
    record::{self, Ledger, NewOrder},
    report::{self, BenchReporter, Style},
    workflow::{Job, Naming, Owner, Policy},
};

/// A ledger that does not answer at the start is told after this time.
const SLOW: Duration = Duration::from_secs(2);

/// Provision every Photon that is plugged in, many at once, with nobody at the keyboard
///
/// A board's line shows where it is plugged in, what is done to it, and PASS or FAIL until it is unplugged.
/// Ctrl-C finishes the boards under way and sums the shift up; pressed twice, it stops them.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub shift: ShiftArgs,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Status(StatusArgs),
}

/// What a shift works with.
#[derive(Debug, clap::Args)]
pub struct ShiftArgs {
    /// How many boards are worked on at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=500))]
    slots: u16,
    /// What the sockets are called: lines such as `1-1.4.3 = A1`
    #[arg(long, value_name = "FILE")]
    slot_map: Option<PathBuf>,
    /// Whose the boards shall be: a CSV table of device_id, customer, name, note; without device_id the next
    /// order goes to the next board
    #[arg(long, value_name = "FILE", help_heading = BOARDS)]
    orders: Option<PathBuf>,
    /// Barcodes from standard input, a line each, say whose the next board shall be; with --orders each is
    /// the customer, the name or the note of one of the orders
    #[arg(long, help_heading = BOARDS)]
    scan: bool,
    /// The boards that are meant: device ids, a line each
    #[arg(long, value_name = "FILE", help_heading = BOARDS)]
    allow: Option<PathBuf>,
    /// Every Photon that is plugged in is meant
    #[arg(long, help_heading = BOARDS, conflicts_with = "allow")]
    any: bool,
    /// A command about each board that has passed, such as a label printer's; {device_id}, {customer},
    /// {product}, {slot}, {run}, {name} and {note} are filled in, and no shell sees it
    #[arg(long, value_name = "COMMAND", value_parser = Hook::parse, help_heading = HOOKS)]
    on_pass: Option<Hook>,
    /// The same about each that has failed; {code} is why
    #[arg(long, value_name = "COMMAND", value_parser = Hook::parse, help_heading = HOOKS)]
    on_fail: Option<Hook>,
    /// How long a hook may take before it is killed
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration, help_heading = HOOKS, hide_short_help = true)]
    hook_timeout: Duration,
    /// Take up so many boards, and end when each has its verdict
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Take up boards for so long
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    time: Option<Duration>,
    /// Take boards off their present owners, where those are other customers of the product
    #[arg(long)]
    reclaim: bool,
    #[command(flatten)]
    until: UntilArgs,
    /// How long to wait for a board to answer in setup mode, a person's hands included
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_duration, hide_short_help = true)]
    wait: Duration,
    /// A board that is away for longer was unplugged; one that only starts anew is back sooner
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration, hide_short_help = true)]
    blip: Duration,
    /// Type claim codes a character at a time, with a pause of so many milliseconds
    #[arg(long, value_name = "MS", value_parser = parse_milliseconds, hide_short_help = true)]
    pace: Option<Duration>,
    /// For simulations: the cloud has no rate limits, and locks nobody out
    #[arg(long, hide_short_help = true)]
    ignore_limits: bool,
    #[command(flatten)]
    directory: UsbDirArgs,
    #[command(flatten)]
    wifi: WifiArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

const BOARDS: &str = "Which boards, and whose";
const HOOKS: &str = "Hooks";
/// ModemManager lets go of a port within a minute.
const BUSY: Duration = Duration::from_secs(60);

/// All that a shift needs, checked.
pub struct Ready {
    bench: Bench,
    lister: Arc<dyn Lister>,
    /// The boards are links in a directory, which announces nothing.
    simulated: bool,
    orders: Vec<NewOrder>,
    title: String,
}

impl Ready {
    /// Reads the settings and the files; may ask for a secret, so it is done before anything is under way.
    pub fn new(args: &ShiftArgs) -> Result<Self, Failure> {
        let env = Environment::of_process();
        let mut secrets = SecretReader::of_process();
        let sources = [&args.settings.client_secret_file, &args.settings.access_token_file];
        if args.scan && sources.contains(&&Some(SecretSource::StandardInput)) {
            return Err(wrong("--scan and a secret cannot both be read from standard input"));
        }
        for (flag, hook) in [("--on-pass", &args.on_pass), ("--on-fail", &args.on_fail)] {
            if let Some(hook) = hook {
                hook.check().map_err(|why| wrong(format!("{flag}: {why}")))?;
            }
        }
        let mut given = args.settings.clone();
        if !args.scan && given.customer.as_ref().is_some_and(|text| text.contains(Scan::HOLE)) {
            return Err(wrong("--customer: {scan} stands for a barcode: give --scan, too"));
        }
        // What barcodes are put into is no template of `--customer`'s own kind.
        let scan_template = given.customer.take_if(|text| args.scan && text.contains(Scan::HOLE));
        if let Some(template) = &scan_template {
            if args.orders.is_some() {
                return Err(wrong(
                    "--customer has {scan} in it, but with --orders a barcode says which order it is, and that says \
                     whose the board shall be: leave {scan} out, or --orders",
                ));
            }
            CustomerTemplate::parse(&template.replace(Scan::HOLE, "x"))
                .map_err(|e| wrong(format!("--customer: {e}")))?;
        }
        let settings = given.resolve(&env, &mut secrets)?;
        let orders = match &args.orders {
            Some(path) => parse_orders(&read(path)?).map_err(|failure| Failure {
                detail: format!("{}: {}", path.display(), failure.detail),
                ..failure
            })?,
            None => Vec::new(),
        };
        let has_default = settings.customer.is_some();
        let owner = if args.scan || args.orders.is_some() {
            if !has_default && orders.iter().any(|order| order.customer.is_none()) {
                return Err(wrong("some orders name no customer: give --customer for those"));
            }
            // Without one of its own, every order or barcode says whose its board is.
            let none = CustomerTemplate::parse("{device_id}").map_err(|e| wrong(e.to_string()))?;
            let customer = settings.customer.as_ref().map_or(none, |setting| setting.value.clone());
            Owner::Customer { product: settings.need_product()?.clone(), customer }
        } else {
            owner(OwnerKind::Customer, &settings)?
        };
        let mut policy = Policy::bench();
        if args.ignore_limits {
            // It may be asked as often as anybody likes.
            let Policy { claim_lag, first_look, longest_look, .. } = Policy::default();
            policy = Policy { claim_lag, first_look, longest_look, ..policy };
        }
        let policy = args.until.within(policy, &settings);
        let mut job = Job {
            owner,
            wifi: None,
            device_id: None,
            naming: Naming::default(),
            reclaim: args.reclaim,
            dry_run: false,
            policy,
        };
        job.wifi = match args.wifi.resolve(&env, &mut secrets)? {
            Wanted::Nothing => None,
            Wanted::Network(network) => Some(*network),
            Wanted::Choose => {
                return Err(wrong("--wifi needs a FILE at a bench, where nobody is there to choose"));
            }
        };
        let ledger = args.ledger.need(&args.settings.profile, &env)?;
        let cloud = cloud(&job.owner, &settings, &mut secrets, Directories::of(&env))?;
        show_warnings(&mut secrets);
        let title = format!("bench {}, product {}", ledger.who().bench, settings.need_product()?);
        let bench = Bench {
            job,
            cloud,
            ledger,
            ports: Arc::new(SystemPorts),
            patience: Patience { listening: args.wait, busy: BUSY, ..Patience::default() },
            pace: args.pace,
            lanes: args.slots.into(),
            allowed: allowed(args, &orders)?,
            slots: match &args.slot_map {
                Some(path) => SlotMap::parse(&read(path)?).map_err(|e| in_file(path, &e))?,
                None => SlotMap::default(),
            },
            orders: match &args.orders {
                Some(path) => Some(Orders {
                    source: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                    scan: args.scan.then(|| Scan::Orders(orders.clone())),
                    are_optional: has_default
                        && !args.scan
                        && orders.iter().all(|order| order.device_id.is_some()),
                }),
                None if args.scan => Some(Orders {
                    source: "scanned".into(),
                    scan: Some(Scan::Customers { template: scan_template, has_default }),
                    are_optional: false,
                }),
                None => None,
            },
            hooks: Hooks {
                on_pass: args.on_pass.clone(),
                on_fail: args.on_fail.clone(),
                deadline: args.hook_timeout,
            },
            count: args.count.and_then(|count| count.try_into().ok()),
            time: args.time,
            has_limits: !args.ignore_limits,
            blip: args.blip,
        };
        let lister = Arc::from(args.directory.lister(&env));
        let simulated = args.directory.directory(&env).is_some();
        Ok(Self { bench, lister, simulated, orders, title })
    }

    /// Works, showing what happens, and leaves the ledger closed.
    pub async fn run(self, style: Style, signals: &Signals) -> Result<(), ToldFailure> {
        let ledger = self.bench.ledger.clone();
        let ended = self.work(style, signals).await;
        ledger.close().await;
        ended
    }

    async fn work(self, style: Style, signals: &Signals) -> Result<(), ToldFailure> {
        let Self { bench, lister, simulated, orders, title } = self;
        let check = lister.clone();
        let begin = async {
            bench.ledger.open().await?;
            // Its own trouble is worth no shift: the first look says it at once.
            tokio::task::spawn_blocking(move || check.boards())
                .await
                .map_err(|e| Failure::new(FailureCode::Unexpected, "the port list failed").because(e))?
                .map_err(Failure::from)?;
            if let Some(of) = bench.orders.as_ref().filter(|_| !orders.is_empty()) {
                bench.ledger.import_orders(&of.source, &orders).await?;
            }
            Ok::<_, Failure>(())
        };
        let slow = async {
            tokio::time::sleep(SLOW).await;
            if let Some((_, why)) = bench.ledger.away() {
                let _ = writeln!(io::stderr(), "{}", report::for_stderr(&why, 0));
            }
            std::future::pending::<()>().await
        };
        tokio::select! {
            begun = begin => begun?,
            () = slow => {}
            () = signals.first() => return Err(Failure::new(FailureCode::Interrupted, "interrupted").into()),
        }
        let watch = if simulated { Watch::polling(lister) } else { Watch::announced(lister) };
        let is_scanning = bench.orders.as_ref().is_some_and(|orders| orders.scan.is_some());
        // Each barcode and its Enter would move the lines that are drawn over.
        let _echo_off = is_scanning.then(EchoOff::on_stdin);
        let scans = if is_scanning { lines_of_stdin() } else { mpsc::unbounded_channel().1 };
        let wording = if is_scanning { AT_A_SCANNING_BENCH } else { AT_A_BENCH };
        let reporter = BenchReporter::start(style, title, wording)
            .map_err(|e| Failure::new(FailureCode::Unexpected, "no thread for the display").because(e))?;
        let tell = Arc::new(reporter.listener());
        let shift = bench::run(&bench, watch, scans, tell, signals.first(), signals.second()).await;
        reporter.finish();
        match shift.outcome() {
            None => Ok(()),
            Some(code) => Err(ToldFailure { code, untold: None }),
        }
    }
}

/// Which boards are meant. Orders that name their boards say so by themselves.
fn allowed(args: &ShiftArgs, orders: &[NewOrder]) -> Result<Allowed, Failure> {
    if args.any {
        return Ok(Allowed::Any);
    }
    if let Some(path) = &args.allow {
        return Allowed::parse(&read(path)?).map_err(|e| in_file(path, &e));
    }
    let ids: std::collections::BTreeSet<_> =
        orders.iter().filter_map(|order| order.device_id.clone()).collect();
    if ids.is_empty() {
        return Err(wrong(
            "which boards are meant? Give --allow FILE with their ids, --orders FILE with a column device_id, or --any \
             for every Photon that is plugged in",
        ));
    }
    Ok(Allowed::Only(ids))
}

fn read(path: &Path) -> Result<String, Failure> {
    let bytes = fs::read(path).map_err(|e| wrong(format!("{} cannot be read", path.display())).because(e))?;
    String::from_utf8(bytes).map_err(|_| wrong(format!("{} is not UTF-8 text", path.display())))
}

fn in_file(path: &Path, invalid: &Invalid) -> Failure {
    wrong(format!("{}: {invalid}", path.display()))
}

fn wrong(detail: impl AsRef<str>) -> Failure {
    Failure::new(FailureCode::Configuration, detail)
}

/// Read by a thread of its own: a read from standard input cannot be called off, and must not hold the
/// process back at its end.
fn lines_of_stdin() -> mpsc::UnboundedReceiver<String> {
    /// More than any barcode holds.
    const LONGEST: usize = 4096;
    let (lines, read) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let Ok(mut line) = line else { break };
            line.truncate(LONGEST);
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    read
}

/// Show the benches that share the ledger, and how they do
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Also those that ended, or were last heard of, within this time
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    within: Duration,
    #[command(flatten)]
    listing: ListingArgs,
    #[command(flatten)]
    ledger: ReadArgs,
}

const COLUMNS: &[Column<record::Bench>] = &[
    Column { name: "bench", usual: true, cell: |bench| bench.name.clone() },
    Column { name: "host", usual: true, cell: |bench| bench.host.clone() },
    Column { name: "pid", usual: false, cell: |bench| bench.pid.to_string() },
    Column { name: "alive", usual: true, cell: |bench| if bench.alive { "yes" } else { "no" }.into() },
    Column { name: "since", usual: true, cell: |bench| local(bench.started) },
    Column { name: "since_utc", usual: false, cell: |bench| format!("{:.0}", bench.started) },
    Column { name: "last_heard", usual: true, cell: |bench| ago(bench.seen) },
    Column { name: "slots", usual: true, cell: |bench| bench.slots.to_string() },
    Column { name: "under_way", usual: true, cell: |bench| bench.under_way.to_string() },
    Column { name: "passed", usual: true, cell: |bench| bench.passed.to_string() },
    Column { name: "failed", usual: true, cell: |bench| bench.failed.to_string() },
];

fn ago(at: Timestamp) -> String {
    let span = Timestamp::now()
        .since(at)
        .and_then(|span| span.round(SpanRound::new().smallest(Unit::Second).largest(Unit::Hour)));
    span.map_or_else(|_| at.to_string(), |span| format!("{span:#} ago"))
}

/// Lists the benches.
pub async fn status(args: &StatusArgs, output: Output, signals: &Signals) -> Result<(), ToldFailure> {
    let work = async |ledger: &Ledger| {
        let mut listing = Listing::new(output, &args.listing, COLUMNS)?;
        for bench in ledger.benches(args.within).await? {
            let json = serde_json::to_string(&bench).map_err(|e| {
                Failure::new(FailureCode::Unexpected, "a bench cannot be written as JSON").because(e)
            })?;
            if listing.row(&bench, &json).await?.is_break() {
                return Ok(());
            }
        }
        listing.finish().await
    };
    args.ledger.read(signals, work).await
}

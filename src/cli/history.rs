//! `provision history`: the runs, and one of them in full.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::json;

use super::{
    ledger::ReadArgs,
    listing::{Column, Listing, ListingArgs, show_result},
    moment::{local, since},
    root::Output,
    run::ToldFailure,
    signals::Signals,
};
use crate::{
    model::{DeviceId, Failure, FailureCode},
    record::{Ledger, Outcome, Run, RunHook, RunQuery, StepTimes, Story},
};

/// How many runs are asked for at a time.
pub const PAGE: u32 = 200;

/// Show what was done: the runs, the newest first
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show one run in full: each step with its times, each retry
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Since when: 2h, 3d (ago), today, yesterday, 2026-11-01, 2026-11-01T08:30
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Timestamp>,
    /// Only this device's
    #[arg(long, value_name = "ID", value_parser = DeviceId::parse)]
    device: Option<DeviceId>,
    /// Only those of this bench
    #[arg(long, value_name = "NAME")]
    bench: Option<String>,
    /// Only those that did not end well
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    listing: ListingArgs,
    #[command(flatten)]
    ledger: ReadArgs,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The run, by its name or the end of it
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    ledger: ReadArgs,
}

/// Shows what was asked for.
pub async fn run(args: &Args, output: Output, signals: &Signals) -> Result<(), ToldFailure> {
    match &args.command {
        None => {
            let args = &args.list;
            args.ledger.read(signals, async |ledger| list(ledger, args, output).await).await
        }
        Some(Command::Show(args)) => {
            args.ledger.read(signals, async |ledger| show(ledger, args, output).await).await
        }
    }
}

/// A run as it is listed.
struct Row {
    run: Run,
    under_way: bool,
}

static COLUMNS: [Column<Row>; 20] = [
    Column { name: "run", usual: true, cell: |row| row.run.id.short().into() },
    Column { name: "started", usual: true, cell: |row| local(row.run.started) },
    Column {
        name: "seconds",
        usual: true,
        cell: |row| seconds(row.run.started, row.run.ended).unwrap_or_default(),
    },
    Column { name: "device", usual: true, cell: |row| text(&row.run.device_id) },
    Column { name: "customer", usual: true, cell: |row| text(&row.run.customer) },
    Column { name: "result", usual: true, cell: |row| result(&row.run, row.under_way) },
    Column { name: "bench", usual: true, cell: |row| row.run.bench.clone() },
    Column { name: "slot", usual: false, cell: |row| text(&row.run.slot) },
    Column { name: "operator", usual: false, cell: |row| row.run.operator.clone() },
    Column { name: "part", usual: false, cell: |row| row.run.part.clone() },
    Column { name: "product", usual: false, cell: |row| text(&row.run.product) },
    Column { name: "platform", usual: false, cell: |row| text(&row.run.platform) },
    Column { name: "firmware", usual: false, cell: |row| text(&row.run.firmware) },
    Column { name: "step", usual: false, cell: |row| text(&row.run.failure_step) },
    Column { name: "detail", usual: false, cell: |row| text(&row.run.detail) },
    Column {
        name: "settled-by",
        usual: false,
        cell: |row| row.run.settled_by.as_ref().map(ToString::to_string).unwrap_or_default(),
    },
    Column { name: "started-utc", usual: false, cell: |row| row.run.started.to_string() },
    Column { name: "version", usual: false, cell: |row| row.run.version.clone() },
    Column { name: "id", usual: false, cell: |row| row.run.id.to_string() },
    Column { name: "hook", usual: false, cell: |row| row.run.hook.as_ref().map(hook).unwrap_or_default() },
];

async fn list(ledger: &Ledger, args: &ListArgs, output: Output) -> Result<(), Failure> {
    let query = RunQuery {
        since: args.since,
        device_id: args.device.clone(),
        bench: args.bench.clone(),
        failed: args.failed,
        ..RunQuery::default()
    };
    list_runs(ledger, query, output, &args.listing).await
}

/// Lists these runs, page by page.
pub async fn list_runs(
    ledger: &Ledger,
    mut query: RunQuery,
    output: Output,
    args: &ListingArgs,
) -> Result<(), Failure> {
    let under_way = ledger.under_way().await?;
    let mut listing = Listing::new(output, args, &COLUMNS)?;
    query.limit = PAGE;
    loop {
        let runs = ledger.runs(&query).await?;
        query.before = runs.last().map(|run| run.id.clone());
        for run in runs {
            let row = Row { under_way: is_under_way(&run, &under_way), run };
            if listing.row(&row, &json!(row.run).to_string()).await?.is_break() {
                return Ok(());
            }
        }
        if query.before.is_none() {
            return listing.finish().await;
        }
    }
}

fn is_under_way(run: &Run, under_way: &HashSet<String>) -> bool {
    run.outcome == Outcome::Incomplete && under_way.contains(run.id.as_str())
}

fn text(text: &Option<String>) -> String {
    text.clone().unwrap_or_default()
}

/// With a precision that a person reads.
fn seconds(started: Timestamp, ended: Option<Timestamp>) -> Option<String> {
    Some(format!("{:.1}", ended?.duration_since(started).as_secs_f64()))
}

fn result(run: &Run, under_way: bool) -> String {
    match (&run.failure_code, run.outcome) {
        (Some(code), Outcome::Failed) => format!("failed: {code}"),
        (_, Outcome::Incomplete) if under_way => "under way".into(),
        (_, outcome) => outcome.to_string(),
    }
}

/// `on-pass failed: it ended with exit code 3: no paper`
fn hook(hook: &RunHook) -> String {
    let why = hook.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    format!("{} {}{why}", hook.kind, hook.state)
}

async fn show(ledger: &Ledger, args: &ShowArgs, output: Output) -> Result<(), Failure> {
    let mut stories = ledger.stories(&args.run).await?;
    let story = match stories.len() {
        1 => stories.remove(0),
        0 => {
            let detail = format!("the ledger {} has no run {}", ledger.location(), args.run);
            return Err(Failure::new(FailureCode::Configuration, detail));
        }
        _ => {
            let names: Vec<_> = stories.iter().map(|story| story.run.id.as_str()).collect();
            let detail = format!("{} is the end of several runs: {}", args.run, names.join(", "));
            return Err(Failure::new(FailureCode::Configuration, detail));
        }
    };
    match output {
        Output::Json => show_result(output, "", &json!(story)),
        Output::Csv => steps(&story, output).await,
        Output::Text => {
            let under_way = is_under_way(&story.run, &ledger.under_way().await?);
            for line in head(&story, under_way) {
                show_result(output, &line, &json!(null))?;
            }
            if !story.steps.is_empty() {
                show_result(output, "", &json!(null))?;
                steps(&story, output).await?;
            }
            Ok(())
        }
    }
}

/// What there is to say of the run as a whole.
fn head(Story { run, steps, retries, intents }: &Story, under_way: bool) -> Vec<String> {
    let joined = |parts: Vec<Option<String>>, by| parts.into_iter().flatten().collect::<Vec<_>>().join(by);
    let some = |what: &str, text: &Option<String>| text.as_ref().map(|text| format!("{what} {text}"));
    let took = seconds(run.started, run.ended).map(|seconds| format!("took {seconds} s"));
    let mut result = result(run, under_way);
    if let Some(step) = &run.failure_step {
        result.push_str(&format!(", in {step}"));
    }
    if let Some(by) = &run.settled_by {
        result.push_str(&format!(", settled by run {by}"));
    }
    let mut lines = vec![
        format!("run       {}", run.id),
        format!("started   {}", joined(vec![Some(local(run.started)), took], ", ")),
        format!(
            "at        {}",
            joined(
                vec![
                    Some(run.bench.clone()),
                    some("slot", &run.slot),
                    some("operator", &Some(run.operator.clone()))
                ],
                ", "
            )
        ),
    ];
    let device =
        joined(vec![run.device_id.clone(), run.platform.clone(), some("Device OS", &run.firmware)], ", ");
    let owner = joined(vec![some("customer", &run.customer), some("product", &run.product)], ", ");
    let hook = run.hook.as_ref().map(|hook| match hook.ended {
        Some(ended) => format!("{}, {}", local(ended), self::hook(hook)),
        None => self::hook(hook),
    });
    let hook = hook.unwrap_or_default();
    let part = if run.part == "whole" { String::new() } else { run.part.clone() };
    for (what, text) in [
        ("device", device),
        ("owner", owner),
        ("part", part),
        ("result", result),
        ("", self::text(&run.detail)),
        ("hook", hook),
    ] {
        if !text.is_empty() {
            lines.push(format!("{what:<8}  {text}"));
        }
    }
    let is_known = |step: &str| {
        let ended_well = |taken: &StepTimes| matches!(taken.outcome.as_deref(), Some("done" | "already-so"));
        steps.iter().any(|taken| taken.step == step && ended_well(taken))
    };
    let maybe: Vec<_> =
        intents.iter().map(|intent| intent.step.as_str()).filter(|step| !is_known(step)).collect();
    if !maybe.is_empty() {
        lines.push(format!(
            "may have  {} (it was about to, and is not known to have done so)",
            maybe.join(", ")
        ));
    }
    for retry in retries {
        let after = seconds(run.started, Some(retry.at)).unwrap_or_default();
        lines.push(format!("again     after {after} s, {}: {}", retry.step, retry.why));
    }
    lines
}

/// A step as it is listed.
struct StepRow {
    taken: StepTimes,
    began: Timestamp,
}

static STEPS: [Column<StepRow>; 8] = [
    Column { name: "step", usual: true, cell: |row| row.taken.step.clone() },
    Column {
        name: "after",
        usual: true,
        cell: |row| seconds(row.began, Some(row.taken.started)).unwrap_or_default(),
    },
    Column {
        name: "seconds",
        usual: true,
        cell: |row| {
            let took = row.taken.ended.map(|ended| ended.duration_since(row.taken.started).as_secs_f64());
            took.map(|took| format!("{took:.3}")).unwrap_or_default()
        },
    },
    Column { name: "tries", usual: true, cell: |row| row.taken.tries.to_string() },
    Column {
        name: "outcome",
        usual: true,
        cell: |row| row.taken.outcome.clone().unwrap_or_else(|| "open".into()),
    },
    Column { name: "error", usual: true, cell: |row| text(&row.taken.failure_code) },
    Column { name: "started-utc", usual: false, cell: |row| row.taken.started.to_string() },
    Column {
        name: "ended-utc",
        usual: false,
        cell: |row| row.taken.ended.map(|ended| ended.to_string()).unwrap_or_default(),
    },
];

async fn steps(story: &Story, output: Output) -> Result<(), Failure> {
    let args = ListingArgs { all: true, ..ListingArgs::default() };
    let mut listing = Listing::new(output, &args, &STEPS)?;
    for taken in &story.steps {
        let row = StepRow { taken: taken.clone(), began: story.run.started };
        if listing.row(&row, &json!(taken).to_string()).await?.is_break() {
            return Ok(());
        }
    }
    listing.finish().await
}

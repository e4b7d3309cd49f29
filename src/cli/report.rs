//! `provision report`: what the runs of a time come to.

use jiff::Timestamp;
use serde_json::json;

use super::{
    history::PAGE,
    ledger::{Format, ReadArgs},
    listing::{Column, Listing, ListingArgs, show_result},
    moment::{local, since, until},
    root::Output,
    run::ToldFailure,
    signals::Signals,
};
use crate::{
    model::{Failure, FailureCode},
    record::{Figures, Ledger, Reckoning, RunQuery},
};

/// Reckon up a time: yield, failures by cause, time per step
#[derive(Debug, clap::Args)]
pub struct Args {
    /// From when: 8h (ago), today, yesterday, 2026-11-01, 2026-11-01T08:30
    #[arg(long, value_name = "WHEN", value_parser = since)]
    from: Option<Timestamp>,
    /// Until when; a day is meant with all its hours
    #[arg(long, value_name = "WHEN", value_parser = until)]
    to: Option<Timestamp>,
    /// Only the runs of this bench
    #[arg(long, value_name = "NAME")]
    bench: Option<String>,
    /// The same as --output
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    #[command(flatten)]
    ledger: ReadArgs,
}

/// Reckons it up, and shows it.
pub async fn run(args: &Args, output: Output, signals: &Signals) -> Result<(), ToldFailure> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from >= to
    {
        let detail = format!("--from {} is not before the end of --to, {}", local(from), local(to));
        return Err(Failure::new(FailureCode::Configuration, detail).into());
    }
    let mut query = RunQuery {
        since: args.from,
        until: args.to,
        bench: args.bench.clone(),
        limit: PAGE,
        ..RunQuery::default()
    };
    let work = async |ledger: &Ledger| {
        let mut reckoning = Reckoning::default();
        loop {
            let stories = ledger.stories_of(&query).await?;
            let Some(last) = stories.last() else { break };
            query.before = Some(last.run.id.clone());
            stories.iter().for_each(|story| reckoning.add(story));
        }
        show(&reckoning.figures(), args, args.format.map_or(output, Format::output)).await
    };
    args.ledger.read(signals, work).await
}

/// One figure; what it is not about is empty.
#[derive(Default)]
struct Row {
    /// What it is about: `runs`, `boards`, `failures` or `steps`.
    about: &'static str,
    name: String,
    step: String,
    count: Option<usize>,
    percent: Option<f64>,
    median: Option<f64>,
    p95: Option<f64>,
    retries: Option<usize>,
}

static COLUMNS: [Column<Row>; 8] = [
    Column { name: "about", usual: true, cell: |row| row.about.into() },
    Column { name: "name", usual: true, cell: |row| row.name.clone() },
    Column { name: "step", usual: true, cell: |row| row.step.clone() },
    Column { name: "count", usual: true, cell: |row| row.count.map(|n| n.to_string()).unwrap_or_default() },
    Column {
        name: "percent",
        usual: true,
        cell: |row| row.percent.map(|n| format!("{n:.1}")).unwrap_or_default(),
    },
    Column {
        name: "median-s",
        usual: true,
        cell: |row| row.median.map(|n| format!("{n:.3}")).unwrap_or_default(),
    },
    Column { name: "p95-s", usual: true, cell: |row| row.p95.map(|n| format!("{n:.3}")).unwrap_or_default() },
    Column {
        name: "retries",
        usual: true,
        cell: |row| row.retries.map(|n| n.to_string()).unwrap_or_default(),
    },
];

async fn show(figures: &Figures, args: &Args, output: Output) -> Result<(), Failure> {
    if output == Output::Json {
        let mut document = json!(figures);
        document["schema"] = json!(1);
        document["from"] = json!(args.from);
        document["to"] = json!(args.to);
        return show_result(output, "", &document);
    }
    if output == Output::Text {
        let time = match (args.from.map(local), args.to.map(local)) {
            (Some(from), Some(to)) => format!("from {from} to {to}"),
            (Some(from), None) => format!("since {from}"),
            (None, Some(to)) => format!("until {to}"),
            (None, None) => "all runs".into(),
        };
        show_result(output, &time, &json!(null))?;
    }
    let mut listing = Listing::new(output, &ListingArgs { all: true, ..ListingArgs::default() }, &COLUMNS)?;
    for row in rows(figures) {
        if listing.row(&row, "").await?.is_break() {
            return Ok(());
        }
    }
    listing.finish().await
}

fn rows(figures: &Figures) -> Vec<Row> {
    let of = |part: usize, whole: usize| (whole > 0).then(|| 100.0 * part as f64 / whole as f64);
    let runs: usize = figures.runs.values().sum();
    let mut rows: Vec<_> = figures
        .runs
        .iter()
        .map(|(outcome, count)| Row {
            about: "runs",
            name: outcome.to_string(),
            count: Some(*count),
            percent: of(*count, runs),
            ..Row::default()
        })
        .collect();
    for (name, count) in
        [("seen", figures.boards), ("passed", figures.passed), ("passed at first", figures.passed_at_first)]
    {
        let percent = (name != "seen").then(|| of(count, figures.boards)).flatten();
        rows.push(Row { about: "boards", name: name.into(), count: Some(count), percent, ..Row::default() });
    }
    rows.extend(figures.causes.iter().map(|cause| Row {
        about: "failures",
        name: cause.code.clone(),
        step: cause.step.clone().unwrap_or_default(),
        count: Some(cause.runs),
        percent: of(cause.runs, runs),
        ..Row::default()
    }));
    rows.extend(figures.steps.iter().map(|step| Row {
        about: "steps",
        step: step.step.clone(),
        count: Some(step.count),
        median: Some(step.median),
        p95: Some(step.p95),
        retries: Some(step.retries),
        ..Row::default()
    }));
    rows
}

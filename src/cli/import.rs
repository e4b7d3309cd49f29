//! `provision devices import`.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    listing::{Column, Listing, ListingArgs, tell_beside},
    root::Output,
    run::ToldFailure,
    settings::SettingsArgs,
    sign_in::soon,
    signals::Signals,
};
use crate::{
    cloud::{Cloud, CloudError, Fleet, Import},
    model::{DeviceId, Failure, FailureCode, ProductRef, clean},
};

/// Make devices members of a product, and tell what became of each
///
/// Many go in one call, a thousand at a time. Some that were not taken is exit code 3.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The devices' ids, in either case
    #[arg(value_name = "DEVICE_ID", required_unless_present = "file")]
    ids: Vec<DeviceId>,
    /// A file with an id on each line, or - for standard input
    #[arg(long, value_name = "PATH|-", conflicts_with = "ids")]
    file: Option<PathBuf>,
    #[command(flatten)]
    listing: ListingArgs,
    /// The product and the credentials.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// What became of a device.
struct Fate {
    id: DeviceId,
    import: Result<Import, Why>,
}

/// Why nothing is known of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// The cloud's answer does not name the device.
    NotTold,
    /// The call failed, and may have been processed.
    CallFailed,
    /// An earlier call failed.
    NotSent,
}

impl Fate {
    fn words(&self) -> &'static str {
        words(self.import)
    }

    fn is_member(&self) -> bool {
        is_member(self.import)
    }
}

fn is_member(import: Result<Import, Why>) -> bool {
    matches!(import, Ok(Import::Added | Import::AlreadyMember))
}

fn words(import: Result<Import, Why>) -> &'static str {
    match import {
        Ok(Import::Added) => "added",
        Ok(Import::AlreadyMember) => "already a member",
        Ok(Import::OwnedByOther) => "owned by somebody else",
        Ok(Import::Invalid) => "invalid: no id that the cloud knows, or another platform's",
        Err(Why::NotTold) => "not told by the cloud",
        Err(Why::CallFailed) => "unknown: the call failed",
        Err(Why::NotSent) => "not sent",
    }
}

static COLUMNS: [Column<Fate>; 2] = [
    Column { name: "id", usual: true, cell: |fate| fate.id.to_string() },
    Column { name: "fate", usual: true, cell: |fate| fate.words().to_owned() },
];

impl Args {
    /// Imports, and lists what became of each. What is imported does not hang on who reads the list.
    pub async fn run(
        &self,
        cloud: &Cloud,
        fleet: &Fleet,
        output: Output,
        signals: &Signals,
    ) -> Result<(), ToldFailure> {
        let Fleet::Product(product) = fleet else { return Ok(()) };
        let ids = match &self.file {
            Some(path) => read_file(path)?,
            None => self.ids.clone(),
        };
        let ids = once_each(ids);
        let all = ListingArgs { all: true, ..self.listing.clone() };
        let mut listing = Listing::new(output, &all, &COLUMNS)?;
        tokio::select! {
            ended = import(cloud, product, &ids, &mut listing) => ended,
            () = signals.first() => {
                let said = "interrupted: those of the last call may have been imported";
                Err(tell_beside(Failure::new(FailureCode::Interrupted, said)))
            }
        }
    }
}

async fn import(
    cloud: &Cloud,
    product: &ProductRef,
    ids: &[DeviceId],
    listing: &mut Listing<Fate>,
) -> Result<(), ToldFailure> {
    let mut tally = Tally::new();
    let mut broken: Option<CloudError> = None;
    for ids in ids.chunks(Cloud::IMPORTED_AT_ONCE) {
        let imports = match &broken {
            Some(_) => vec![Err(Why::NotSent); ids.len()],
            None => match import_at_once(cloud, product, ids).await {
                Ok(imports) => imports.into_iter().map(|import| import.ok_or(Why::NotTold)).collect(),
                Err(error) if tally.is_empty() => return Err(Failure::from(error).into()),
                Err(error) => {
                    broken = Some(error);
                    vec![Err(Why::CallFailed); ids.len()]
                }
            },
        };
        for (id, import) in ids.iter().zip(imports) {
            *tally.entry(import).or_default() += 1;
            let fate = Fate { id: id.clone(), import };
            let json = json!({"id": id, "fate": fate.words(), "member": fate.is_member()});
            // Whether somebody still reads it does not matter here.
            let _ = listing.row(&fate, &json.to_string()).await?;
        }
    }
    listing.finish().await?;
    verdict(&tally, broken).map_err(tell_beside)
}

type Tally = BTreeMap<Result<Import, Why>, usize>;

async fn import_at_once(
    cloud: &Cloud,
    product: &ProductRef,
    ids: &[DeviceId],
) -> Result<Vec<Option<Import>>, CloudError> {
    match ids {
        [id] => Ok(vec![Some(cloud.import(product, id, soon()).await?)]),
        ids => cloud.import_many(product, ids, soon()).await,
    }
}

/// Says how many were not imported, and why.
fn verdict(tally: &Tally, broken: Option<CloudError>) -> Result<(), Failure> {
    let all: usize = tally.values().sum();
    let failed: Vec<_> = tally.iter().filter(|(import, _)| !is_member(**import)).collect();
    let count: usize = failed.iter().map(|(_, count)| **count).sum();
    if count == 0 {
        return Ok(());
    }
    let code = match (&failed[..], &broken) {
        _ if count < all => FailureCode::PartlyFailed,
        (_, Some(error)) => error.code,
        ([(Ok(Import::OwnedByOther), _)], None) => FailureCode::OwnedByOther,
        _ => FailureCode::ImportRefused,
    };
    let why: Vec<_> = failed.iter().map(|(import, count)| format!("{count} {}", words(**import))).collect();
    let failure = Failure::new(code, format!("{count} of {all} not imported: {}", why.join("; ")));
    Err(match broken {
        Some(error) => failure.because(error),
        None => failure,
    })
}

/// The ids in a file, one a line; blank lines are none. What is no id is told with its line, all of them
/// at once, before anything is sent.
fn read_file(path: &Path) -> Result<Vec<DeviceId>, Failure> {
    let stdin = path.as_os_str() == "-";
    let shown = if stdin { "standard input".into() } else { clean(&path.to_string_lossy()) };
    let mut text = Vec::new();
    let read = match stdin {
        true => io::stdin().lock().read_to_end(&mut text),
        false => File::open(path).and_then(|mut file| file.read_to_end(&mut text)),
    };
    read.map_err(|e| {
        let next = "name a file that is there and that you can read with --file";
        Failure::configuration(format!("cannot read the ids from {shown}"), next).because(e)
    })?;
    parse_ids(&String::from_utf8_lossy(&text))
        .map_err(|why| Failure::configuration(format!("{shown}: {why}"), "mend these lines"))
}

fn parse_ids(text: &str) -> Result<Vec<DeviceId>, String> {
    const TOLD: usize = 10;
    let (mut ids, mut bad) = (Vec::new(), Vec::new());
    for (n, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        match DeviceId::parse(line.trim()) {
            _ if line.trim().is_empty() => {}
            Ok(id) => ids.push(id),
            Err(_) => bad.push(format!("line {} is no device id: {:.40?}", n + 1, line.trim())),
        }
    }
    if bad.len() > TOLD {
        let more = format!("and {} lines more", bad.len() - TOLD);
        bad.truncate(TOLD);
        bad.push(more);
    }
    match (bad.is_empty(), ids.is_empty()) {
        (false, _) => Err(format!("nothing was sent: {}", bad.join("; "))),
        (true, true) => Err("there is no device id in it".into()),
        (true, false) => Ok(ids),
    }
}

fn once_each(ids: Vec<DeviceId>) -> Vec<DeviceId> {
    let mut seen = HashSet::new();
    ids.into_iter().filter(|id| seen.insert(id.clone())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "3b0021001747353236343033";

    #[test]
    fn ids_stand_one_a_line_in_either_case() {
        let other = "111111111111111111111111";
        let ids = parse_ids(&format!("\u{feff}{}\r\n\n  {other} \n{ID}", ID.to_uppercase())).unwrap();
        assert_eq!(once_each(ids).iter().map(DeviceId::as_str).collect::<Vec<_>>(), [ID, other]);
        assert_eq!(parse_ids(" \n\n").unwrap_err(), "there is no device id in it");
    }

    #[test]
    fn lines_that_are_no_ids_are_told_by_their_numbers() {
        assert_eq!(
            parse_ids(&format!("{ID}\nxyz\n\n{ID}1\n")).unwrap_err(),
            format!("nothing was sent: line 2 is no device id: \"xyz\"; line 4 is no device id: \"{ID}1\"")
        );
        let said = parse_ids(&"x\n".repeat(12)).unwrap_err();
        assert!(said.ends_with("line 10 is no device id: \"x\"; and 2 lines more"), "{said}");
    }

    #[test]
    fn the_verdict_counts_and_fits() {
        let said = |fates: &[(Result<Import, Why>, usize)]| {
            let failure = verdict(&fates.iter().copied().collect(), None).unwrap_err();
            (failure.code, failure.detail)
        };
        assert!(
            verdict(&Tally::from([(Ok(Import::Added), 1), (Ok(Import::AlreadyMember), 2)]), None).is_ok()
        );
        let (code, detail) =
            said(&[(Ok(Import::Added), 1), (Ok(Import::OwnedByOther), 2), (Err(Why::NotTold), 1)]);
        assert_eq!(code, FailureCode::PartlyFailed);
        assert_eq!(detail, "3 of 4 not imported: 2 owned by somebody else; 1 not told by the cloud");
        assert_eq!(said(&[(Ok(Import::OwnedByOther), 2)]).0, FailureCode::OwnedByOther);
        assert_eq!(said(&[(Ok(Import::Invalid), 2)]).0, FailureCode::ImportRefused);
        assert_eq!(
            said(&[(Ok(Import::Invalid), 1), (Ok(Import::OwnedByOther), 1)]).0,
            FailureCode::ImportRefused
        );
    }

    proptest! {
        #[test]
        fn no_file_panics_and_none_with_a_bad_line_is_taken(text in "([0-9a-fA-F]{22,26}|\\PC{0,30}|[ \r\t]{0,2})(\n([0-9a-f]{24}|\\PC{0,8})){0,20}") {
            if let Ok(ids) = parse_ids(&text) {
                let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim().is_empty());
                prop_assert_eq!(lines.count(), ids.len());
            }
        }
    }
}

//! Records as people and programs read them: a table, JSON, or CSV, each written as the rows come, so
//! that a list of any length takes the same memory.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
    mem,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use console::{Term, measure_text_width, truncate_str};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::{explain::WORDING, root::Output, run::ToldFailure, settings::SettingsArgs};
use crate::{
    cloud::{CloudError, Listed},
    model::{Failure, FailureCode, redact, redact_json, tame},
    report,
};

/// How many rows a terminal gets without `--all`; and how many rows set the widths of a table.
const SCREENFUL: usize = 100;
/// How much is gathered before it is written.
const CHUNK: usize = 8 * 1024;
/// How often the counter moves.
const TICK: Duration = Duration::from_millis(100);

/// One column of a list of `T`s.
pub struct Column<T> {
    /// As `--columns` and the head of CSV have it; a table's head is the same in capitals.
    pub name: &'static str,
    /// Whether a table shows it when nobody has chosen. CSV has all columns.
    pub usual: bool,
    /// The text of a cell, as it came from outside; empty for nothing.
    pub cell: fn(&T) -> String,
}

/// Flags of every command that lists.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ListingArgs {
    /// Which columns of the table or the CSV, in this order: NAME,NAME
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Output")]
    pub columns: Vec<String>,
    /// On a terminal, too, list everything, not only the first 100
    #[arg(long, help_heading = "Output")]
    pub all: bool,
}

// Of commands that list by what the settings name. Clap would show a doc comment as the command's own.
#[allow(missing_docs)]
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub listing: ListingArgs,
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// A list on its way to standard output.
pub struct Listing<T: 'static> {
    output: Output,
    columns: Vec<&'static Column<T>>,
    screen: Screen,
    /// Rows of a table whose widths are not known yet.
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
    rows: usize,
    buffer: Vec<u8>,
    /// Absent once nobody reads it any more.
    out: Option<Box<dyn Write + Send>>,
    ticked: Instant,
}

/// What is known of where the rows go.
struct Screen {
    /// The columns of the terminal that a table goes to.
    width: Option<usize>,
    /// How many rows it gets at most.
    most: usize,
    /// Whether a counter is shown on standard error.
    counter: bool,
}

impl Screen {
    fn of_process(args: &ListingArgs) -> Self {
        let (out, err) = (Term::stdout(), Term::stderr());
        let most = if out.is_term() && !args.all { SCREENFUL } else { usize::MAX };
        let width = out.is_term().then(|| usize::from(out.size().1));
        Self { width, most, counter: err.is_term() && !out.is_term() }
    }
}

impl<T> Listing<T> {
    /// A list on standard output. Nothing is written before the first row.
    ///
    /// # Errors
    ///
    /// `Configuration` for a column that there is not, and for columns of JSON.
    pub fn new(output: Output, args: &ListingArgs, columns: &'static [Column<T>]) -> Result<Self, Failure> {
        let mut screen = Screen::of_process(args);
        if output != Output::Text {
            screen = Screen { width: None, most: usize::MAX, ..screen };
        }
        Self::onto(output, args, columns, screen, Box::new(io::stdout()))
    }

    fn onto(
        output: Output,
        args: &ListingArgs,
        columns: &'static [Column<T>],
        screen: Screen,
        out: Box<dyn Write + Send>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            output,
            columns: chosen(output, &args.columns, columns)?,
            screen,
            waiting: Vec::new(),
            widths: None,
            rows: 0,
            buffer: Vec::new(),
            out: Some(out),
            ticked: Instant::now(),
        })
    }

    /// Writes all that comes, until it ends, fails, or `stop` does.
    ///
    /// # Errors
    ///
    /// The list's own failure, and one to write. What is broken off stays so: a JSON document without
    /// its end cannot be taken for a whole one.
    pub async fn show(
        mut self,
        list: impl Stream<Item = Result<Listed<T>, CloudError>>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ToldFailure> {
        let work = async {
            let mut list = std::pin::pin!(list);
            while let Some(listed) = list.next().await {
                let Listed { record, json } = listed?;
                if self.row(&record, &json).await?.is_break() {
                    return Ok(());
                }
            }
            self.finish().await
        };
        let ended = tokio::select! {
            ended = work => ended,
            () = stop => Err(Failure::new(FailureCode::Interrupted, "interrupted")),
        };
        match ended {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.broken_off(failure).await),
        }
    }

    /// The same for a list that comes as a whole.
    ///
    /// # Errors
    ///
    /// Those of [`Listing::show`].
    pub async fn show_all(
        self,
        list: impl Future<Output = Result<Vec<Listed<T>>, CloudError>>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ToldFailure> {
        let rows = stream::once(list).map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten();
        self.show(rows, stop).await
    }

    /// Adds a row: the record for the cells, and its own text for JSON. Breaks when no more are wanted.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub async fn row(&mut self, record: &T, json: &str) -> Result<ControlFlow<()>, Failure> {
        if self.rows == self.screen.most {
            self.settle_widths();
            let _ = self.write().await?;
            say("there are more: --all lists them, and so does every output but a terminal");
            return Ok(ControlFlow::Break(()));
        }
        match self.output {
            Output::Text => {
                let row = self.cells(record);
                match &self.widths {
                    Some(widths) => {
                        let line = line(&row, widths, self.screen.width);
                        self.buffer.extend_from_slice(line.as_bytes());
                    }
                    None => self.waiting.push(row),
                }
                if self.waiting.len() == SCREENFUL {
                    self.settle_widths();
                }
            }
            Output::Json => {
                self.buffer.extend_from_slice(if self.rows == 0 { b"[\n" } else { b",\n" });
                self.buffer.extend_from_slice(safe_json(json).as_bytes());
            }
            Output::Csv => {
                if self.rows == 0 {
                    self.csv_head()?;
                }
                let row = self.cells(record);
                write_csv(&mut self.buffer, row.iter().map(|cell| neutral(cell)))?;
            }
        }
        self.rows += 1;
        self.tick();
        if self.buffer.len() >= CHUNK { self.write().await } else { Ok(ControlFlow::Continue(())) }
    }

    /// Writes what is left, and the document's end.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub async fn finish(&mut self) -> Result<(), Failure> {
        self.clear_counter();
        match self.output {
            Output::Text if self.rows == 0 => say("nothing to list"),
            Output::Text => self.settle_widths(),
            Output::Json if self.rows == 0 => self.buffer.extend_from_slice(b"[]\n"),
            Output::Json => self.buffer.extend_from_slice(b"\n]\n"),
            Output::Csv if self.rows == 0 => self.csv_head()?,
            Output::Csv => {}
        }
        self.write().await.map(drop)
    }

    /// The rows that did come are shown; that more were to come is the failure's to say.
    async fn broken_off(mut self, failure: Failure) -> ToldFailure {
        self.clear_counter();
        if self.output == Output::Text {
            self.settle_widths();
        }
        let _ = self.write().await;
        if self.output == Output::Json && self.rows > 0 {
            // Standard output is in the middle of a document, where the failure's own has no place.
            return tell_beside(failure);
        }
        failure.into()
    }

    fn cells(&self, record: &T) -> Vec<String> {
        self.columns.iter().map(|column| tame(&(column.cell)(record))).collect()
    }

    fn csv_head(&mut self) -> Result<(), Failure> {
        write_csv(&mut self.buffer, self.columns.iter().map(|column| column.name.to_owned()))
    }

    /// Takes the widths from the rows so far, and lets them go.
    fn settle_widths(&mut self) {
        if self.widths.is_some() || self.waiting.is_empty() {
            return;
        }
        let head: Vec<_> = self.columns.iter().map(|column| column.name.to_uppercase()).collect();
        let widest = |n: usize| {
            let cells = self.waiting.iter().map(|row| &row[n]).chain([&head[n]]);
            cells.map(|cell| measure_text_width(cell)).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..head.len()).map(widest).collect();
        for row in [head].into_iter().chain(mem::take(&mut self.waiting)) {
            self.buffer.extend_from_slice(line(&row, &widths, self.screen.width).as_bytes());
        }
        self.widths = Some(widths);
    }

    /// On a thread of its own: a reader that pauses must not keep Ctrl-C from being heard.
    async fn write(&mut self) -> Result<ControlFlow<()>, Failure> {
        let Some(mut out) = self.out.take() else { return Ok(ControlFlow::Break(())) };
        let bytes = mem::take(&mut self.buffer);
        let written = spawn_blocking(move || {
            let written = out.write_all(&bytes).and_then(|()| out.flush());
            written.map(|()| out)
        });
        let unwritable = "standard output cannot be written";
        match written.await {
            Ok(Ok(out)) => {
                self.out = Some(out);
                Ok(ControlFlow::Continue(()))
            }
            // Whoever reads it has seen enough.
            Ok(Err(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
            Ok(Err(e)) => Err(Failure::new(FailureCode::Unexpected, unwritable).because(e)),
            Err(e) => Err(Failure::new(FailureCode::Unexpected, unwritable).because(e)),
        }
    }

    fn tick(&mut self) {
        if self.screen.counter && self.ticked.elapsed() >= TICK {
            self.ticked = Instant::now();
            let _ = write!(io::stderr(), "\r{}\u{1b}[K", self.rows);
        }
    }

    fn clear_counter(&self) {
        if self.screen.counter {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

/// Prints one record: each field on a line of its own, the JSON as it came, or CSV of one row.
///
/// # Errors
///
/// When it cannot be written.
pub fn show_one<T>(output: Output, columns: &[Column<T>], record: &T, json: &str) -> Result<(), Failure> {
    let cells = columns.iter().map(|column| (column.name, tame(&(column.cell)(record))));
    let mut bytes = Vec::new();
    match output {
        Output::Text => {
            let width = columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
            for (name, cell) in cells.filter(|(_, cell)| !cell.is_empty()) {
                bytes.extend_from_slice(format!("{name:width$}  {cell}\n").as_bytes());
            }
        }
        Output::Json => bytes.extend_from_slice(format!("{}\n", safe_json(json)).as_bytes()),
        Output::Csv => {
            let (names, cells): (Vec<_>, Vec<_>) = cells.unzip();
            write_csv(&mut bytes, names.into_iter().map(str::to_owned))?;
            write_csv(&mut bytes, cells.iter().map(|cell| neutral(cell)))?;
        }
    }
    print_bytes(&bytes)
}

/// Prints a command's result that is neither a list nor a record: words for people, or JSON.
///
/// # Errors
///
/// When it cannot be written.
pub fn show_result(output: Output, words: &str, json: &Value) -> Result<(), Failure> {
    show_answer(output, words, &json.to_string())
}

/// The same with the cloud's own JSON.
///
/// # Errors
///
/// When it cannot be written.
pub fn show_answer(output: Output, words: &str, json: &str) -> Result<(), Failure> {
    let line = match output {
        Output::Json => safe_json(json),
        Output::Text | Output::Csv => report::for_stdout(&tame(words), 0),
    };
    print_bytes(format!("{line}\n").as_bytes())
}

fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(FailureCode::Unexpected, "standard output cannot be written").because(e))
        }
        _ => Ok(()),
    }
}

/// Tells people something beside the rows; a program that reads standard output only is not disturbed.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", report::for_stderr(&tame(text), 0));
}

/// Tells a failure on standard error, also where JSON is printed: standard output is taken.
pub fn tell_beside(failure: Failure) -> ToldFailure {
    let _ = writeln!(io::stderr(), "{}", report::explain(&failure, WORDING, ""));
    ToldFailure { code: failure.code, untold: None }
}

/// Whether somebody is there who can be asked, and will see the question.
pub fn somebody_is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn chosen<T>(
    output: Output,
    names: &[String],
    columns: &'static [Column<T>],
) -> Result<Vec<&'static Column<T>>, Failure> {
    if names.is_empty() {
        return Ok(columns.iter().filter(|column| column.usual || output == Output::Csv).collect());
    }
    if output == Output::Json {
        let said = "--columns is for tables and CSV; JSON has all that the cloud gave";
        return Err(Failure::configuration(said, "leave --columns or --output json out"));
    }
    let known = || columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
    let find = |name: &String| {
        let found = columns.iter().find(|column| column.name.eq_ignore_ascii_case(name.trim()));
        found.ok_or_else(|| {
            let detail = format!("--columns: there is no column {name:?}");
            Failure::configuration(detail, format!("choose from {}", known()))
        })
    };
    names.iter().map(find).collect()
}

/// One line of a table, cut where the terminal ends.
fn line(row: &[String], widths: &[usize], screen: Option<usize>) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        line.push_str(cell);
        let blanks = width.saturating_sub(measure_text_width(cell)) + 2;
        line.extend(std::iter::repeat_n(' ', blanks));
    }
    let line = line.trim_end();
    let fitting = screen.map_or(line.into(), |columns| truncate_str(line, columns, "…"));
    format!("{fitting}\n")
}

/// One record of RFC 4180.
fn write_csv(buffer: &mut Vec<u8>, cells: impl Iterator<Item = String>) -> Result<(), Failure> {
    let mut csv =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).buffer_capacity(512).from_writer(buffer);
    // Into memory, and one row alone: neither can go wrong.
    csv.write_record(cells.map(String::into_bytes))
        .and_then(|()| Ok(csv.flush()?))
        .map_err(|e| Failure::new(FailureCode::Unexpected, "no CSV can be made of it").because(e))
}

/// What a spreadsheet would run becomes a text: names and notes are written by strangers. (A tab or a
/// line's end in front, which would be run too, has been escaped before.)
fn neutral(cell: &str) -> String {
    const RUN: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let number = cell.strip_prefix('-').is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit())
            && rest.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && rest.parse::<f64>().is_ok()
    });
    if cell.starts_with(RUN) && !number { format!("'{cell}") } else { cell.to_owned() }
}

/// A JSON text from outside: redacted, and with nothing in it that a terminal would act on.
pub fn safe_json(json: &str) -> String {
    // Value by value: behind an escape a secret looks different, and masking one in the text could tear
    // an escape apart. Only what had a secret in it is spelled anew.
    let json: Cow<'_, str> = match serde_json::from_str::<Value>(json) {
        Ok(value) => {
            let mut redacted = value.clone();
            redact_json(&mut redacted);
            if redacted == value { json.into() } else { redacted.to_string().into() }
        }
        Err(_) => redact(json),
    };
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            // JSON itself has no others outside of escapes, but for the blanks between its tokens.
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;
    use crate::model::guard;

    static COLUMNS: [Column<(i64, String)>; 3] = [
        Column { name: "number", usual: true, cell: |row| row.0.to_string() },
        Column { name: "name", usual: true, cell: |row| row.1.clone() },
        Column { name: "twice", usual: false, cell: |row| (row.0 * 2).to_string() },
    ];

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn named(names: &[&str]) -> Vec<Result<Listed<(i64, String)>, CloudError>> {
        let row = |(n, name): (usize, &&str)| {
            let json = serde_json::json!({"name": name}).to_string();
            Ok(Listed { record: (n as i64 - 1, (*name).to_owned()), json })
        };
        names.iter().enumerate().map(row).collect()
    }

    fn refusal() -> Result<Listed<(i64, String)>, CloudError> {
        let call = "GET /v1/devices".to_owned();
        Err(CloudError { code: FailureCode::CloudRefused, call, status: Some(400), said: "no".into() })
    }

    fn listing(output: Output, columns: &[&str], screen: Screen) -> (Listing<(i64, String)>, Paper) {
        let paper = Paper::default();
        let args =
            ListingArgs { columns: columns.iter().map(|name| (*name).to_owned()).collect(), all: false };
        let listing = Listing::onto(output, &args, &COLUMNS, screen, Box::new(paper.clone()));
        (listing.map_err(|failure| failure.detail).unwrap(), paper)
    }

    fn pipe() -> Screen {
        Screen { width: None, most: usize::MAX, counter: false }
    }

    async fn shown(
        output: Output,
        columns: &[&str],
        screen: Screen,
        rows: Vec<Result<Listed<(i64, String)>, CloudError>>,
    ) -> (Result<(), ToldFailure>, String) {
        let (listing, paper) = listing(output, columns, screen);
        let ended = listing.show(stream::iter(rows), std::future::pending()).await;
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        (ended, text)
    }

    async fn list(output: Output, columns: &[&str], names: &[&str]) -> String {
        let (ended, text) = shown(output, columns, pipe(), named(names)).await;
        assert!(ended.is_ok());
        text
    }

    #[tokio::test]
    async fn a_table_has_the_usual_columns_as_wide_as_they_need_to_be() {
        assert_eq!(
            list(Output::Text, &[], &["Ann's lamp", "製品", "\u{1b}[2J"]).await,
            "NUMBER  NAME\n-1      Ann's lamp\n0       製品\n1       \\u{1b}[2J\n"
        );
        assert_eq!(list(Output::Text, &["name", "TWICE"], &["製品"]).await, "NAME  TWICE\n製品  -2\n");
        assert_eq!(list(Output::Text, &[], &[]).await, "");
    }

    #[tokio::test]
    async fn rows_behind_the_first_hundred_keep_their_widths() {
        let mut names = vec!["x"; 100];
        names.push("far longer than what came first");
        names.push("y");
        let text = list(Output::Text, &["name", "number"], &names).await;
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "NAME  NUMBER");
        assert_eq!(lines[101..], ["far longer than what came first  99", "y     100"]);
    }

    #[tokio::test]
    async fn a_terminal_gets_the_first_rows_cut_to_its_width() {
        let screen = || Screen { width: Some(14), most: 2, counter: false };
        let (ended, text) = shown(Output::Text, &[], screen(), named(&["longer than that", "b", "c"])).await;
        assert!(ended.is_ok());
        assert_eq!(text, "NUMBER  NAME\n-1      longe…\n0       b\n");
        let (_, text) = shown(Output::Text, &[], screen(), named(&["a", "b"])).await;
        assert_eq!(text.lines().count(), 3);
    }

    #[tokio::test]
    async fn json_is_one_document_with_each_record_as_it_came() {
        assert_eq!(list(Output::Json, &[], &["a", "b"]).await, "[\n{\"name\":\"a\"},\n{\"name\":\"b\"}\n]\n");
        assert_eq!(list(Output::Json, &[], &[]).await, "[]\n");
    }

    #[tokio::test]
    async fn csv_has_all_columns_and_no_cell_that_a_spreadsheet_would_run() {
        assert_eq!(
            list(Output::Csv, &[], &["=1+1", "a, \"b\"", "\t=x", "-x", "@a", "+49"]).await,
            "number,name,twice\r\n-1,'=1+1,-2\r\n0,\"a, \"\"b\"\"\",0\r\n1,\\t=x,2\r\n2,'-x,4\r\n3,'@a,6\r\n4,'+49,8\r\n"
        );
        assert_eq!(list(Output::Csv, &["name"], &[]).await, "name\r\n");
    }

    #[tokio::test]
    async fn a_list_that_breaks_off_shows_what_came_and_is_no_whole_document() {
        let rows = || named(&["a"]).into_iter().chain([refusal()]).collect();
        let (ended, text) = shown(Output::Json, &[], pipe(), rows()).await;
        assert_eq!(text, "[\n{\"name\":\"a\"}");
        let failure = ended.err().unwrap();
        assert_eq!((failure.code, failure.untold.is_some()), (FailureCode::CloudRefused, false));
        let (ended, text) = shown(Output::Text, &[], pipe(), rows()).await;
        assert_eq!(text, "NUMBER  NAME\n-1      a\n");
        assert!(ended.err().unwrap().untold.is_some());
        let (ended, text) = shown(Output::Json, &[], pipe(), vec![refusal()]).await;
        assert_eq!((text.as_str(), ended.err().unwrap().untold.is_some()), ("", true));
    }

    #[tokio::test]
    async fn a_reader_who_has_seen_enough_ends_it_quietly() {
        let args = ListingArgs::default();
        let listing = Listing::onto(Output::Csv, &args, &COLUMNS, pipe(), Box::new(Closed)).ok().unwrap();
        let endless = stream::repeat_with(|| named(&["x"]).remove(0));
        assert!(listing.show(endless, std::future::pending()).await.is_ok());
    }

    #[tokio::test]
    async fn a_signal_ends_a_list_that_waits() {
        let (listing, _) = listing(Output::Text, &[], pipe());
        let ended = listing.show(stream::pending(), std::future::ready(())).await;
        assert_eq!(ended.err().unwrap().code, FailureCode::Interrupted);
    }

    #[test]
    fn a_column_that_there_is_not_is_told_with_those_that_there_are() {
        let names = ["number".to_owned(), "colour".to_owned()];
        let failure = chosen(Output::Csv, &names, &COLUMNS).err().unwrap();
        assert_eq!(failure.detail, "--columns: there is no column \"colour\"");
        assert_eq!(failure.next.unwrap(), "choose from number, name, twice");
        assert!(chosen(Output::Json, &names[..1], &COLUMNS).is_err());
    }

    #[test]
    fn json_leaves_without_secrets_however_they_are_spelled() {
        guard("se/cret+word");
        for json in [r#"{"a":"se/cret+word"}"#, r#"{"a":"se\/cret+word"}"#, r#"{"a":"\u0073e/cret+word"}"#] {
            assert_eq!(safe_json(json), r#"{"a":"[redacted]"}"#);
        }
        let url = r#"{"say":"\"https://x/?access_token=abc\" is it"}"#;
        assert_eq!(safe_json(url), r#"{"say":"\"https://x/?access_token=[redacted]\" is it"}"#);
        assert_eq!(safe_json("{\"z\":1.0,\"a\":\"\u{9b}2J\u{202e}\"}"), r#"{"z":1.0,"a":"\u009b2J\u202e"}"#);
    }

    proptest! {
        #[test]
        fn no_text_breaks_out_of_its_cell(names in proptest::collection::vec("[\\PC\n\r\t\u{9b}=+@\",-]{0,12}", 0..8)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let text = runtime.block_on(list(Output::Csv, &["name"], &names));
            let mut read = csv::Reader::from_reader(text.as_bytes());
            let cells: Vec<_> = read.records().map(|row| row.unwrap()[0].to_owned()).collect();
            prop_assert_eq!(cells.len(), names.len());
            for (cell, name) in cells.iter().zip(names) {
                prop_assert!(!cell.starts_with(['=', '+', '@', '\t', '\r', '\n']));
                let tamed = tame(name);
                let bare = |text: &str| text.strip_prefix('\'').unwrap_or(text).to_owned();
                prop_assert_eq!(bare(cell), bare(&tamed));
            }
        }

        #[test]
        fn safe_json_is_the_same_json(text: String, number: i64) {
            let value = serde_json::json!({"text": text, "number": number});
            let safe = safe_json(&value.to_string());
            let mut value = value;
            redact_json(&mut value);
            prop_assert_eq!(serde_json::from_str::<Value>(&safe).unwrap(), value);
            prop_assert!(!safe.contains(char::is_control));
        }
    }
}

use std::{fmt, str::FromStr, sync::Mutex, time::Duration};

use super::{RoutePattern, lock::unpoisoned};

/// Something that shall go wrong, written `METHOD PATH=ACTION`, with `xN` behind it to let it happen to
/// the first N matching requests only. `POST /oauth/token=503x2` fails the first two sign-ins.
///
/// For the path see [`RoutePattern`]. The actions:
///
/// | action | what happens |
/// |---|---|
/// | `503` (200 to 599) | this status; 429 and 503 take `:retry-after=SECONDS`; a 3xx points to `/v1/elsewhere` |
/// | `delay:MS` | the request is served, this much later |
/// | `drop` | the connection is reset, no answer |
/// | `garbage` | status 200, a body that is no JSON although its header says so |
/// | `html` | status 200, a page of HTML, as from a captive portal |
/// | `text` | status 200, plain text that says it is JSON |
/// | `empty` | status 200, no body |
/// | `gzip` | status 200, a compressed body, which nobody asked for |
/// | `latin1` | status 200, JSON in another encoding than UTF-8 |
/// | `endless` | status 200, a body without an end |
/// | `refusal` | status 200, and `"ok":false` in the body |
/// | `echo` | status 400, and the request's own secrets in the body, in several spellings |
/// | `truncate` | the request is served; the answer breaks off half-way through the announced length |
/// | `silent` | the request is served; after the answer's head nothing comes, and it does not end |
///
/// Bodies take another status behind them: `html:502`, `echo:403`. All but `delay`, `truncate` and `silent`
/// take the place of serving the request. With `-after` behind them (`drop-after`, `503-after`,
/// `html-after:502`) the request is served first and only its answer is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which requests it happens to.
    pub route: RoutePattern,
    /// What happens.
    pub action: Action,
    /// Whether the request has its effect before its answer is lost.
    pub after: bool,
    /// How many of the matching requests it happens to; absent: all.
    pub times: Option<u32>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// This HTTP status, with a `Retry-After` in seconds if one is given.
    Status(u16, Option<u32>),
    /// Served late.
    Delay(Duration),
    /// The connection is reset.
    Drop,
    /// The body is shorter than announced.
    Truncate,
    /// Nothing comes after the answer's head.
    Silent,
    /// This body, with this status.
    Body(Body, u16),
}

/// A body that is not what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// No JSON, though it says so.
    Garbage,
    /// A web page.
    Html,
    /// Plain text, though it says that it is JSON.
    Text,
    /// Nothing.
    Empty,
    /// Compressed.
    Gzip,
    /// JSON that is not UTF-8.
    Latin1,
    /// More and more.
    Endless,
    /// An error within an answer that says it is good.
    Refusal,
    /// The request's own secrets.
    Echo,
}

impl Body {
    const ALL: [(&'static str, Self, u16); 9] = [
        ("garbage", Self::Garbage, 200),
        ("html", Self::Html, 200),
        ("text", Self::Text, 200),
        ("empty", Self::Empty, 200),
        ("gzip", Self::Gzip, 200),
        ("latin1", Self::Latin1, 200),
        ("endless", Self::Endless, 200),
        ("refusal", Self::Refusal, 200),
        ("echo", Self::Echo, 400),
    ];

    fn named(word: &str) -> Option<(Self, u16)> {
        Self::ALL.into_iter().find(|(name, ..)| *name == word).map(|(_, body, status)| (body, status))
    }

    /// Its name, and the status that it has unless told.
    fn row(self) -> (&'static str, u16) {
        // Every one is in the table.
        Self::ALL
            .into_iter()
            .find(|(_, body, _)| *body == self)
            .map_or(("", 200), |(name, _, status)| (name, status))
    }
}

/// A fault, or the pattern of a route, that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{spec:?} cannot be understood: {why}")]
pub struct BadFault {
    /// The text that was given.
    pub spec: String,
    /// What is wrong with it.
    pub why: String,
}

impl FromStr for Fault {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, BadFault> {
        let bad = |why: &str| BadFault { spec: text.to_owned(), why: why.to_owned() };
        let (route, what) = text
            .split_once('=')
            .ok_or_else(|| bad("a fault looks like \"POST /oauth/token=503x2\": METHOD PATH=ACTION[xN]"))?;
        let route = route.parse::<RoutePattern>().map_err(|e| bad(&e.why))?;
        let (what, times) = match what.rsplit_once('x') {
            Some((action, n)) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => {
                let n: u32 = n.parse().map_err(|_| bad("that is too many times"))?;
                if n == 0 {
                    return Err(bad("a fault that happens no times is none"));
                }
                (action, Some(n))
            }
            _ => (what, None),
        };
        let (word, argument) = match what.split_once(':') {
            Some((word, argument)) => (word, Some(argument)),
            None => (what, None),
        };
        let (word, after) = match word.strip_suffix("-after") {
            Some(word) => (word, true),
            None => (word, false),
        };
        let status = |text: &str| {
            let status = number(text).filter(|_| text.len() == 3).and_then(|s| u16::try_from(s).ok());
            status
                .filter(|s| (200..600).contains(s))
                .ok_or_else(|| bad("a status is a number from 200 to 599"))
        };
        let action = match (Body::named(word), word, argument) {
            (Some((body, usual)), _, argument) => Action::Body(body, argument.map_or(Ok(usual), status)?),
            (_, "drop", None) => Action::Drop,
            (_, "truncate", None) if !after => Action::Truncate,
            (_, "silent", None) if !after => Action::Silent,
            (_, "delay", Some(ms)) if !after => {
                let ms = number(ms).ok_or_else(|| bad("delay:MS takes whole milliseconds"))?;
                Action::Delay(Duration::from_millis(ms.into()))
            }
            (_, word, argument) if word.len() == 3 => {
                let status = status(word)?;
                let seconds = match argument {
                    None => None,
                    Some(argument) => Some(
                        argument
                            .strip_prefix("retry-after=")
                            .filter(|_| status == 429 || status == 503)
                            .and_then(number)
                            .ok_or_else(|| bad("only 429 and 503 take more: \":retry-after=SECONDS\""))?,
                    ),
                };
                Action::Status(status, seconds)
            }
            _ => {
                return Err(bad(
                    "the action is a status such as 503, delay:MS, drop, drop-after, truncate, silent, or a body: \
                     garbage, html, text, empty, gzip, latin1, endless, refusal, echo",
                ));
            }
        };
        Ok(Self { route, action, after, times })
    }
}

/// Digits only: `parse` alone would take a plus sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = if self.after { "-after" } else { "" };
        write!(f, "{}=", self.route)?;
        match self.action {
            Action::Status(status, None) => write!(f, "{status}{after}"),
            Action::Status(status, Some(s)) => write!(f, "{status}{after}:retry-after={s}"),
            Action::Delay(time) => write!(f, "delay:{}", time.as_millis()),
            Action::Drop => write!(f, "drop{after}"),
            Action::Truncate => write!(f, "truncate"),
            Action::Silent => write!(f, "silent"),
            Action::Body(body, status) => match body.row() {
                (name, usual) if usual == status => write!(f, "{name}{after}"),
                (name, _) => write!(f, "{name}{after}:{status}"),
            },
        }?;
        match self.times {
            Some(times) => write!(f, "x{times}"),
            None => Ok(()),
        }
    }
}

/// The faults that are still to happen.
#[derive(Default)]
pub(super) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self(Mutex::new(faults))
    }

    pub(super) fn add(&self, fault: Fault) {
        unpoisoned(&self.0).push(fault);
    }

    pub(super) fn clear(&self) {
        unpoisoned(&self.0).clear();
    }

    /// The fault for this request: the first that matches, which is then used up once.
    pub(super) fn take(&self, method: &str, path: &str) -> Option<Fault> {
        let mut faults = unpoisoned(&self.0);
        let at = faults.iter().position(|fault| fault.route.matches(method, path))?;
        let taken = faults[at].clone();
        match &mut faults[at].times {
            Some(1) => drop(faults.remove(at)),
            Some(times) => *times -= 1,
            None => {}
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fault(text: &str) -> Fault {
        text.parse().unwrap()
    }

    #[test]
    fn the_documented_forms_are_understood() {
        let first = fault("POST /oauth/token=503x2");
        assert_eq!((first.action, first.after, first.times), (Action::Status(503, None), false, Some(2)));
        assert_eq!(fault("GET /v1/orgs=429:retry-after=1x3").action, Action::Status(429, Some(1)));
        assert_eq!(fault("GET /v1/orgs=delay:20").action, Action::Delay(Duration::from_millis(20)));
        let lost = fault("* /v1/**=drop-afterx1");
        assert_eq!((lost.action, lost.after, lost.times), (Action::Drop, true, Some(1)));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_a_reason() {
        for bad in [
            "",
            "POST /oauth/token",
            "/oauth/token=503",
            "POST /x=99",
            "POST /x=600",
            "POST /x=+50",
            "POST /x=explode",
            "POST /x=503x0",
            "POST /x=503x99999999999",
            "POST /x=404:retry-after=1",
            "POST /x=delay",
            "POST /x=delay:soon",
            "POST /x=truncate-after",
            "POST /x=drop:1",
            "POST /x=html:99",
            "POST /x=html:600",
            "POST /x=html:later",
        ] {
            let error = bad.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains("cannot be understood: "), "{error}");
        }
    }

    #[test]
    fn a_fault_happens_as_often_as_it_says_and_then_the_next_one_does() {
        let faults = Faults::new(vec![fault("POST /a=503x2"), fault("POST /*=dropx1")]);
        let next = || faults.take("POST", "/a").map(|f| f.action);
        assert_eq!(next(), Some(Action::Status(503, None)));
        assert_eq!(next(), Some(Action::Status(503, None)));
        assert_eq!(next(), Some(Action::Drop));
        assert_eq!(next(), None);
    }

    fn actions() -> impl Strategy<Value = (Action, bool)> {
        prop_oneof![
            ((200u16..600), any::<bool>()).prop_map(|(s, after)| (Action::Status(s, None), after)),
            (any::<u32>(), any::<bool>()).prop_map(|(s, after)| (Action::Status(429, Some(s)), after)),
            any::<u32>().prop_map(|ms| (Action::Delay(Duration::from_millis(ms.into())), false)),
            any::<bool>().prop_map(|after| (Action::Drop, after)),
            Just((Action::Truncate, false)),
            Just((Action::Silent, false)),
            (proptest::sample::select(&Body::ALL[..]), 200u16..600, any::<bool>())
                .prop_map(|((_, body, _), status, after)| (Action::Body(body, status), after)),
        ]
    }

    proptest! {
        #[test]
        fn a_fault_reads_back_as_it_is_written(
            (action, after) in actions(),
            path in "(/[a-z0-9]{1,5}|/\\*){1,4}(/\\*\\*)?",
            times in proptest::option::of(1u32..),
        ) {
            let route = format!("GET {path}").parse().unwrap();
            let fault = Fault { route, action, after, times };
            prop_assert_eq!(fault.to_string().parse::<Fault>().unwrap(), fault);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*", path in "[ -~]*") {
            let _ = text.parse::<Fault>();
            let _ = format!("GET /{path}").parse::<Fault>();
        }
    }
}

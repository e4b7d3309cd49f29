//! Moments as people give them. A day begins when it does where this computer is.

use jiff::{
    SignedDuration, Timestamp, Zoned,
    civil::{Date, DateTime},
};

use crate::model::Invalid;

/// From then on, for `--since` and `--from`.
pub fn since(text: &str) -> Result<Timestamp, Invalid> {
    Moment::parse(text, &Zoned::now()).map(|moment| moment.begins)
}

/// Until then, for `--to`: a day is meant with all its hours.
pub fn until(text: &str) -> Result<Timestamp, Invalid> {
    Moment::parse(text, &Zoned::now()).map(|moment| moment.ends)
}

/// As a person reads it: the time where this computer is.
pub fn local(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// When a text's moment begins, and when it ends.
#[derive(Debug, PartialEq, Eq)]
struct Moment {
    begins: Timestamp,
    ends: Timestamp,
}

impl Moment {
    fn parse(text: &str, now: &Zoned) -> Result<Self, Invalid> {
        let invalid = || Invalid {
            what: "a moment",
            why: "looks like 2h or 3d (ago), today, yesterday, 2026-11-01, 2026-11-01T08:30 or \
                  2026-11-01T08:30:00Z"
                .into(),
        };
        let found = match text {
            "now" => Some(Self::at(now.timestamp())),
            "today" => Self::day(now.date(), now),
            "yesterday" => now.date().yesterday().ok().and_then(|day| Self::day(day, now)),
            _ => ago(text, now)
                .or_else(|| text.parse().ok())
                .map(Self::at)
                .or_else(|| date(text).and_then(|day| Self::day(day, now)))
                .or_else(|| time(text).and_then(|time| Self::local(time, now))),
        };
        found.ok_or_else(invalid)
    }

    fn at(at: Timestamp) -> Self {
        Self { begins: at, ends: at }
    }

    fn local(time: DateTime, now: &Zoned) -> Option<Self> {
        Some(Self::at(time.to_zoned(now.time_zone().clone()).ok()?.timestamp()))
    }

    fn day(day: Date, now: &Zoned) -> Option<Self> {
        let start = |day: Date| Some(day.to_zoned(now.time_zone().clone()).ok()?.timestamp());
        Some(Self { begins: start(day)?, ends: start(day.tomorrow().ok()?)? })
    }
}

fn ago(text: &str, now: &Zoned) -> Option<Timestamp> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds_each = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return None,
    };
    let number: u32 = number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok())??;
    now.timestamp().checked_sub(SignedDuration::from_secs(i64::from(number) * seconds_each)).ok()
}

/// Other forms that the parser would take say more than a day, or are easily mistaken.
fn date(text: &str) -> Option<Date> {
    let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    plain.then(|| text.parse().ok())?
}

fn time(text: &str) -> Option<DateTime> {
    let (day, time) = text.split_once(['T', ' '])?;
    let plain = time.bytes().all(|b| b.is_ascii_digit() || b == b':') && time.contains(':');
    let day = date(day).filter(|_| plain)?;
    let time: jiff::civil::Time = time.parse().ok()?;
    Some(day.to_datetime(time))
}

#[cfg(test)]
mod tests {
    use jiff::tz::{Offset, TimeZone};
    use proptest::prelude::*;

    use super::*;

    /// Noon in Tokyo.
    fn now() -> Zoned {
        let at: Timestamp = "2026-11-24T03:00:00Z".parse().unwrap();
        at.to_zoned(TimeZone::fixed(Offset::constant(9)))
    }

    fn parsed(text: &str) -> Option<(String, String)> {
        let moment = Moment::parse(text, &now()).ok()?;
        Some((moment.begins.to_string(), moment.ends.to_string()))
    }

    #[test]
    fn moments_are_local_unless_they_say_otherwise() {
        for (text, begins, ends) in [
            ("2h", "2026-11-24T01:00:00Z", "2026-11-24T01:00:00Z"),
            ("now", "2026-11-24T03:00:00Z", "2026-11-24T03:00:00Z"),
            ("today", "2026-11-23T15:00:00Z", "2026-11-24T15:00:00Z"),
            ("yesterday", "2026-11-22T15:00:00Z", "2026-11-23T15:00:00Z"),
            ("2026-11-01", "2026-10-31T15:00:00Z", "2026-11-01T15:00:00Z"),
            ("2026-11-01T08:30", "2026-10-31T23:30:00Z", "2026-10-31T23:30:00Z"),
            ("2026-11-01 08:30:15", "2026-10-31T23:30:15Z", "2026-10-31T23:30:15Z"),
            ("2026-11-01T08:30:00Z", "2026-11-01T08:30:00Z", "2026-11-01T08:30:00Z"),
            ("2026-11-01T08:30:00+01:00", "2026-11-01T07:30:00Z", "2026-11-01T07:30:00Z"),
        ] {
            assert_eq!(parsed(text), Some((begins.to_owned(), ends.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_could_be_mistaken_is_refused() {
        for bad in [
            "",
            "h",
            "-2h",
            "2 h",
            "2y",
            "1.5h",
            "20261101",
            "2026-13-01",
            "2026-11-01T",
            "11/01/2026",
            "noon",
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text: String) {
            if let Ok(moment) = Moment::parse(&text, &now()) {
                prop_assert!(moment.begins <= moment.ends);
            }
        }

        #[test]
        fn so_long_ago_is_so_long_ago(number in 0_u32..1_000_000, unit in 0_usize..5) {
            let (letter, seconds) = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)][unit];
            let ago = i64::from(number) * seconds;
            let parsed = Moment::parse(&format!("{number}{letter}"), &now());
            let begins = parsed.map(|moment| now().timestamp().as_second() - moment.begins.as_second());
            // Beyond the calendar there are no moments.
            prop_assert!(begins == Ok(ago) || (begins.is_err() && ago > 300_000_000_000));
        }

        #[test]
        fn what_is_shown_can_be_asked_for(second in 0_i64..4_000_000_000) {
            let at = Timestamp::from_second(second).unwrap();
            prop_assert_eq!(Moment::parse(&at.to_string(), &now()), Ok(Moment::at(at)));
            let shown = at.to_zoned(now().time_zone().clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
            prop_assert_eq!(Moment::parse(&shown, &now()), Ok(Moment::at(at)));
        }
    }
}

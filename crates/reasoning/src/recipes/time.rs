//! Moments in UTC, and windows of them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment: seconds since the beginning of 1970 in UTC, leap seconds not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

const DAY: i64 = 86_400;

impl Time {
    /// Reads a date, a date and a time, or a month: `2024-01`, `2024-01-31`, `2024-01-31T12:30:00.123Z`,
    /// `2024-01-31 12:30:00+01:00`. Without a zone it is UTC; a month stands for its first moment. `None` for anything
    /// else, and for dates that no calendar holds.
    pub fn parse(text: &str) -> Option<Time> {
        let text = text.trim();
        let (date, clock) = match text.find(['T', 't', ' ']) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let mut parts = date.split('-');
        let (year, month) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?);
        let day = match parts.next() {
            Some(day) => digits(day, 2)?,
            None if clock.is_none() => 1,
            None => return None,
        };
        if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day)
        {
            return None;
        }
        let days = days_before(year, month, day);
        let seconds = clock.map_or(Some(0), seconds_of)?;
        Some(Time(days * DAY + seconds))
    }

    /// The year and the month, from 1.
    pub fn year_month(self) -> (i64, i64) {
        let (year, month, _) = self.date();
        (year, month)
    }

    /// The month as `2024-01`.
    pub fn month(self) -> String {
        let (year, month) = self.year_month();
        format!("{year:04}-{month:02}")
    }

    /// Year, month and day in the Gregorian calendar (the algorithm is Howard Hinnant's).
    fn date(self) -> (i64, i64, i64) {
        let days = self.0.div_euclid(DAY) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Months from March on.
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }
}

/// Days from the beginning of 1970 to a date.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Seconds of the day of `12:30`, `12:30:00.5`, each perhaps with `Z` or `+01:00`.
fn seconds_of(clock: &str) -> Option<i64> {
    let (clock, zone) = match clock.find(['Z', 'z', '+', '-']) {
        Some(at) => (&clock[..at], &clock[at..]),
        None => (clock, "Z"),
    };
    let zone = match zone.as_bytes()[0] {
        b'Z' | b'z' if zone.len() == 1 => 0,
        sign @ (b'+' | b'-') => {
            let zone = zone[1..].replace(':', "");
            let (hours, minutes) = (digits(zone.get(..2)?, 2)?, digits(zone.get(2..)?, 2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3600 + minutes * 60) * if sign == b'+' { 1 } else { -1 }
        }
        _ => return None,
    };
    let mut parts = clock.split(':');
    let (hours, minutes) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let seconds = match parts.next() {
        None => 0,
        Some(seconds) => {
            let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            digits(whole, 2)?
        }
    };
    if parts.next().is_some() || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    Some(hours * 3600 + minutes * 60 + seconds - zone)
}

impl std::fmt::Display for Time {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = self.date();
        let second = self.0.rem_euclid(DAY);
        let (hours, minutes, seconds) = (second / 3600, second / 60 % 60, second % 60);
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text as [`Time::parse`] reads it, or a whole number of seconds since 1970.
impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Time;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a date such as 2024-01-31T12:30:00Z, or seconds since 1970")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Time, E> {
                Time::parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
            fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Time, E> {
                // From the year 0 to the end of 9999, so that every moment can be written.
                match (-62_167_219_200..253_402_300_800).contains(&seconds) {
                    true => Ok(Time(seconds)),
                    false => Err(E::invalid_value(serde::de::Unexpected::Signed(seconds), &self)),
                }
            }
            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Time, E> {
                self.visit_i64(i64::try_from(seconds).unwrap_or(i64::MAX))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A window of time: `from` belongs to it, `until` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// The first moment.
    pub from: Time,
    /// The first moment behind it.
    pub until: Time,
}

impl Window {
    /// Reads `2024-01..2024-09`, with months, dates or moments; `None` also if it would be empty.
    pub fn parse(text: &str) -> Option<Window> {
        let (from, until) = text.split_once("..")?;
        let window = Window { from: Time::parse(from)?, until: Time::parse(until)? };
        (window.from < window.until).then_some(window)
    }

    /// Whether a moment belongs to the window.
    pub fn contains(self, time: Time) -> bool {
        self.from <= time && time < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn moments_are_read_and_written() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2024-01-01T00:00:00Z", 1_704_067_200),
            ("2024-02-29 12:30", 1_709_209_800),
            ("2010-07-19T19:12:12.510", 1_279_566_732),
            ("2024-01-01T01:00:00+01:00", 1_704_067_200),
            ("2023-12-31T19:00:00-0500", 1_704_067_200),
            ("1969-12-31T23:59:59Z", -1),
            ("2024-01", 1_704_067_200),
        ] {
            assert_eq!(at(text), Time(seconds), "{text}");
        }
        assert_eq!(Time(1_704_067_199).to_string(), "2023-12-31T23:59:59Z");
        assert_eq!((Time(-1).month().as_str(), Time(1_704_067_200).month().as_str()), ("1969-12", "2024-01"));
        // Every day of 800 years there and back.
        for day in -146_097..146_097 {
            let time = Time(day * DAY + 3661);
            assert_eq!(at(&time.to_string()), time);
        }
        for wrong in [
            "",
            "2024",
            "2024-13",
            "2023-02-29",
            "2024-1-1",
            "2024-01-01T24:00",
            "2024-01-01T1:00",
            "20240101",
            "2024-01T00:00",
            "2024-01-01T00:00:00+1",
            "2024-01-01T00:00:61",
            "2024-01-01T00:00.5",
            "today",
        ] {
            assert_eq!(Time::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn windows_are_half_open() {
        let window = Window::parse("2024-01..2024-09").unwrap();
        let inside = |text: &str| window.contains(at(text));
        assert!(inside("2024-01-01T00:00:00Z") && inside("2024-08-31T23:59:59Z"));
        assert!(!inside("2023-12-31T23:59:59Z") && !inside("2024-09-01T00:00:00Z"));
        // Midnight elsewhere is another moment.
        assert!(!inside("2024-01-01T00:00:00+00:01"));
        assert!(Window::parse("2024-01..2024-01").is_none() && Window::parse("2024-01").is_none());
    }

    #[test]
    fn json_holds_texts_or_seconds() {
        let read = |text: &str| serde_json::from_str::<Time>(text);
        assert_eq!(read("1704067200").unwrap(), read("\"2024-01-01\"").unwrap());
        assert_eq!(serde_json::to_string(&Time(0)).unwrap(), "\"1970-01-01T00:00:00Z\"");
        for wrong in ["\"soon\"", "1.5", "null", "99999999999999", "18446744073709551615"] {
            assert!(read(wrong).unwrap_err().to_string().contains("seconds since 1970"), "{wrong}");
        }
    }
}

//! Things with a notation of their own: times, dates, addresses, identifiers.

use super::super::views::{Field, Known};
use super::Renderer;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const NANOSECONDS: u32 = 1_000_000_000;
const DAY: i64 = 86_400;

impl Renderer<'_> {
    pub(super) fn known(&mut self, known: Known, fields: &[Field], address: u64) {
        let mut numbers = [0u128; 4];
        for (number, field) in numbers.iter_mut().zip(fields) {
            match self.field(*field, address) {
                Some(found) => *number = found,
                None => return,
            }
        }
        match text(known, numbers) {
            Some(text) => self.put(text),
            None => {
                let [first, ..] = numbers;
                self.put(format_args!("<invalid {known:?} {first}>"));
            }
        }
    }
}

/// The notation of a thing that is made of these numbers; `None` where there is no such thing.
fn text(known: Known, numbers: [u128; 4]) -> Option<String> {
    let [a, b, c, d] = numbers;
    let small = |number: u128| u32::try_from(number).ok();
    // Numbers that are signed in their type, of 1 and of 4 bytes.
    let signed = |number: u128| small(number).map(u32::cast_signed);
    let byte = |number: u128| u8::try_from(number).ok().map(u8::cast_signed);
    Some(match known {
        Known::Duration => {
            let nanoseconds = small(b).filter(|nanoseconds| *nanoseconds < NANOSECONDS)?;
            format!("{:?}", Duration::new(u64::try_from(a).ok()?, nanoseconds))
        }
        Known::Ipv4 => Ipv4Addr::from(small(a)?.to_le_bytes()).to_string(),
        Known::Ipv6 => Ipv6Addr::from(a.to_le_bytes()).to_string(),
        Known::Uuid => uuid(a.to_le_bytes()),
        Known::Bool => match a {
            0 => "false".to_owned(),
            1 => "true".to_owned(),
            _ => return None,
        },
        Known::ChronoDate => chrono_date(signed(a)?)?.iso(),
        Known::ChronoTime => clock(small(a)?, small(b)?)?,
        Known::ChronoDateTime => {
            format!(
                "{}T{}",
                chrono_date(signed(a)?)?.iso(),
                clock(small(b)?, small(c)?)?
            )
        }
        Known::ChronoUtc => {
            format!(
                "{}T{}Z",
                chrono_date(signed(a)?)?.iso(),
                clock(small(b)?, small(c)?)?
            )
        }
        Known::ChronoFixed => {
            let ahead = signed(d)?;
            let utc = i64::from(small(b)?);
            let seconds = utc.checked_add(ahead.into()).filter(|_| utc < DAY)?;
            let date = chrono_date(signed(a)?)?.moved(seconds.div_euclid(DAY))?;
            let time = clock(u32::try_from(seconds.rem_euclid(DAY)).ok()?, small(c)?)?;
            format!("{}T{time}{}", date.iso(), offset(ahead))
        }
        Known::ChronoOffset => offset(signed(a)?),
        Known::TimeDate => {
            // Year, whether it is a leap year, ordinal (time's `date.rs`).
            let value = signed(a)?;
            let date = Date {
                year: value >> 10,
                ordinal: value & 0x1ff,
            };
            let leap = value >> 9 & 1 == 1;
            if leap != date.is_leap() {
                return None;
            }
            let (month, day) = date.month_and_day()?;
            let year = date.year;
            match year {
                0..=9999 => format!("{year:04}-{month:02}-{day:02}"),
                _ => format!("{year:+05}-{month:02}-{day:02}"),
            }
        }
        Known::TimeTime => {
            let (hour, minute, second, nanosecond) = (a, b, c, small(d)?);
            if hour > 23 || minute > 59 || second > 59 || nanosecond >= NANOSECONDS {
                return None;
            }
            let fraction = format!("{nanosecond:09}");
            let fraction = match fraction.trim_end_matches('0') {
                "" => "0",
                fraction => fraction,
            };
            format!("{hour}:{minute:02}:{second:02}.{fraction}")
        }
        Known::TimeOffset => {
            let (hours, minutes, seconds) = (byte(a)?, byte(b)?, byte(c)?);
            let sign = if hours < 0 || minutes < 0 || seconds < 0 {
                '-'
            } else {
                '+'
            };
            let (hours, minutes, seconds) = (
                hours.unsigned_abs(),
                minutes.unsigned_abs(),
                seconds.unsigned_abs(),
            );
            format!("{sign}{hours:02}:{minutes:02}:{seconds:02}")
        }
    })
}

fn uuid(bytes: [u8; 16]) -> String {
    let mut text = String::new();
    for (at, byte) in bytes.into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// A day of the Gregorian calendar; the ordinal counts from 1.
#[derive(Clone, Copy)]
struct Date {
    year: i32,
    ordinal: i32,
}

/// chrono's `yof`: the year, the ordinal in 9 bits, flags in 4.
fn chrono_date(value: i32) -> Option<Date> {
    let date = Date {
        year: value >> 13,
        ordinal: value >> 4 & 0x1ff,
    };
    date.month_and_day()?;
    Some(date)
}

impl Date {
    fn is_leap(self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    fn days(self) -> i32 {
        if self.is_leap() { 366 } else { 365 }
    }

    fn month_and_day(self) -> Option<(i32, i32)> {
        let february = if self.is_leap() { 29 } else { 28 };
        let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut day = self.ordinal;
        if day < 1 {
            return None;
        }
        for (month, days) in (1..).zip(months) {
            if day <= days {
                return Some((month, day));
            }
            day -= days;
        }
        None
    }

    /// The date so many days later, of which there is one at the most.
    fn moved(self, days: i64) -> Option<Self> {
        let ordinal = self.ordinal.checked_add(i32::try_from(days).ok()?)?;
        if ordinal < 1 {
            let before = Self {
                year: self.year.checked_sub(1)?,
                ordinal,
            };
            return Some(Self {
                ordinal: ordinal + before.days(),
                ..before
            });
        }
        if ordinal > self.days() {
            return Some(Self {
                year: self.year.checked_add(1)?,
                ordinal: ordinal - self.days(),
            });
        }
        Some(Self { ordinal, ..self })
    }

    /// ISO 8601, with a sign for years that do not have four digits.
    fn iso(self) -> String {
        let (month, day) = self.month_and_day().unwrap_or((0, 0));
        match self.year {
            year @ 0..=9999 => format!("{year:04}-{month:02}-{day:02}"),
            year => format!("{year:+05}-{month:02}-{day:02}"),
        }
    }
}

/// chrono's time of day: a leap second counts on from 59 by its nanoseconds.
fn clock(seconds: u32, nanoseconds: u32) -> Option<String> {
    if i64::from(seconds) >= DAY || nanoseconds >= 2 * NANOSECONDS {
        return None;
    }
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (second, nanoseconds) = match nanoseconds.checked_sub(NANOSECONDS) {
        Some(rest) => (second + 1, rest),
        None => (second, nanoseconds),
    };
    let fraction = match nanoseconds {
        0 => String::new(),
        n if n % 1_000_000 == 0 => format!(".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => format!(".{:06}", n / 1_000),
        n => format!(".{n:09}"),
    };
    Some(format!("{hour:02}:{minute:02}:{second:02}{fraction}"))
}

/// chrono's distance from UTC in seconds.
fn offset(ahead: i32) -> String {
    let sign = if ahead < 0 { '-' } else { '+' };
    let seconds = ahead.unsigned_abs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match seconds {
        0 => format!("{sign}{hours:02}:{minutes:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yof(year: i32, ordinal: i32) -> u128 {
        u128::from((year << 13 | ordinal << 4 | 3).cast_unsigned())
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let date = |year, ordinal| text(Known::ChronoDate, [yof(year, ordinal), 0, 0, 0]);
        assert_eq!(date(2024, 60).as_deref(), Some("2024-02-29"));
        assert_eq!(date(2023, 60).as_deref(), Some("2023-03-01"));
        assert_eq!(date(2000, 366).as_deref(), Some("2000-12-31"));
        assert_eq!(date(-1, 1).as_deref(), Some("-0001-01-01"));
        assert_eq!(date(12345, 1).as_deref(), Some("+12345-01-01"));
        assert_eq!(date(1900, 366), None);
        assert_eq!(date(2024, 0), None);
    }

    #[test]
    fn local_time_may_be_another_day() {
        let local = |year, ordinal, seconds, ahead: i32| {
            let ahead = u128::from(ahead.cast_unsigned());
            text(
                Known::ChronoFixed,
                [yof(year, ordinal), seconds, 500_000_000, ahead],
            )
        };
        let found = local(2023, 365, 86_399, 3600);
        assert_eq!(found.as_deref(), Some("2024-01-01T00:59:59.500+01:00"));
        let found = local(2024, 1, 0, -5400);
        assert_eq!(found.as_deref(), Some("2023-12-31T22:30:00.500-01:30"));
        assert_eq!(local(2024, 1, 86_400, 0), None);
    }

    #[test]
    fn what_cannot_be_is_not_shown() {
        let nanoseconds = u128::from(NANOSECONDS);
        for (known, numbers) in [
            (Known::Duration, [1, nanoseconds, 0, 0]),
            (Known::Bool, [2, 0, 0, 0]),
            (Known::ChronoTime, [1, 2 * nanoseconds, 0, 0]),
            (Known::TimeTime, [24, 0, 0, 0]),
            (Known::TimeDate, [2023 << 10 | 1 << 9 | 1, 0, 0, 0]),
        ] {
            assert_eq!(text(known, numbers), None, "{known:?}");
        }
    }
}

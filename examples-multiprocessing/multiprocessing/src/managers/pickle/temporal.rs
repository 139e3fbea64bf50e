//! Python's `datetime` objects, as their pickles have them.

use std::cmp::Ordering;
use std::fmt::Write;

use super::value::{Object, Value};

const MICROS_PER_SECOND: i128 = 1_000_000;
const MICROS_PER_DAY: i128 = 86_400 * MICROS_PER_SECOND;

/// An object of the module `datetime`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Temporal<'a> {
    Date(Date),
    DateTime(Date, Time<'a>),
    Time(Time<'a>),
    /// Microseconds.
    TimeDelta(i128),
    TimeZone(TimeZone<'a>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Date {
    year: i64,
    month: i64,
    day: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Time<'a> {
    hour: i64,
    minute: i64,
    second: i64,
    microsecond: i64,
    /// Whether it is the second of two equal times, when clocks were set back.
    fold: bool,
    zone: Option<TimeZone<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TimeZone<'a> {
    offset: i128,
    name: Option<&'a str>,
}

/// What equal ones share.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum TemporalIdentity {
    Date(i64),
    DateTime { micros: i128, aware: bool },
    Time { micros: i128, aware: bool },
    TimeDelta(i128),
    TimeZone(i128),
}

impl<'a> Temporal<'a> {
    pub(super) fn new(object: &'a Object) -> Option<Self> {
        if object.module != "datetime" || object.is_class() {
            return None;
        }
        Some(match (object.name, object.args.as_slice()) {
            ("date", [Value::Bytes(bytes)]) => Self::Date(Date::new(bytes)?),
            ("datetime", [Value::Bytes(bytes), zone @ ..]) => {
                let (date, time) = bytes.split_at_checked(4)?;
                let fold = date[2] & 0x80 != 0;
                let date = [date[0], date[1], date[2] & 0x7f, date[3]];
                Self::DateTime(Date::new(&date)?, Time::new(time, fold, zone)?)
            }
            ("time", [Value::Bytes(bytes), zone @ ..]) => {
                let fold = bytes.first()? & 0x80 != 0;
                let mut bytes = bytes.to_vec();
                bytes[0] &= 0x7f;
                Self::Time(Time::new(&bytes, fold, zone)?)
            }
            ("timedelta", _) => Self::TimeDelta(delta(object)?),
            ("timezone", _) => Self::TimeZone(TimeZone::new(object)?),
            _ => return None,
        })
    }

    pub(super) fn identity(&self) -> TemporalIdentity {
        match self {
            Self::Date(date) => TemporalIdentity::Date(date.days()),
            Self::DateTime(date, time) => TemporalIdentity::DateTime {
                micros: i128::from(date.days()) * MICROS_PER_DAY + time.micros(),
                aware: time.zone.is_some(),
            },
            Self::Time(time) => TemporalIdentity::Time {
                micros: time.micros(),
                aware: time.zone.is_some(),
            },
            Self::TimeDelta(micros) => TemporalIdentity::TimeDelta(*micros),
            Self::TimeZone(zone) => TemporalIdentity::TimeZone(zone.offset),
        }
    }

    /// The order of two of the same kind.
    ///
    /// # Errors
    ///
    /// Python's message if both are of one kind, but only one has a time zone.
    pub(super) fn order(
        &self,
        other: &Self,
    ) -> Result<Option<Ordering>, &'static str> {
        use TemporalIdentity as Identity;
        match (self.identity(), other.identity()) {
            (Identity::Date(a), Identity::Date(b)) => Ok(Some(a.cmp(&b))),
            (Identity::TimeDelta(a), Identity::TimeDelta(b)) => Ok(Some(a.cmp(&b))),
            (
                Identity::DateTime { micros, aware },
                Identity::DateTime {
                    micros: other,
                    aware: other_aware,
                },
            ) => {
                if aware == other_aware {
                    Ok(Some(micros.cmp(&other)))
                } else {
                    Err("can't compare offset-naive and offset-aware datetimes")
                }
            }
            (
                Identity::Time { micros, aware },
                Identity::Time {
                    micros: other,
                    aware: other_aware,
                },
            ) => {
                if aware == other_aware {
                    Ok(Some(micros.cmp(&other)))
                } else {
                    Err("can't compare offset-naive and offset-aware times")
                }
            }
            _ => Ok(None),
        }
    }

    pub(super) fn repr(&self) -> String {
        match self {
            Self::Date(Date { year, month, day }) => {
                format!("datetime.date({year}, {month}, {day})")
            }
            Self::DateTime(Date { year, month, day }, time) => format!(
                "datetime.datetime({year}, {month}, {day}, {})",
                time.parts()
            ),
            Self::Time(time) => format!("datetime.time({})", time.parts()),
            Self::TimeDelta(micros) => delta_repr(*micros),
            Self::TimeZone(zone) => zone.repr(),
        }
    }
}

impl Date {
    fn new(bytes: &[u8]) -> Option<Self> {
        let &[high, low, month, day] = bytes else {
            return None;
        };
        (1..=12).contains(&month).then(|| Self {
            year: i64::from(high) * 256 + i64::from(low),
            month: month.into(),
            day: day.into(),
        })
    }

    /// Days since the first of March of year 0: Howard Hinnant's `days_from_civil`,
    /// <https://howardhinnant.github.io/date_algorithms.html>
    fn days(self) -> i64 {
        // A year that begins in March has its leap day at its end.
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month = (self.month + 9) % 12;
        let day_of_year = (153 * month + 2) / 5 + self.day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100
            + day_of_year
    }
}

impl<'a> Time<'a> {
    fn new(bytes: &[u8], fold: bool, zone: &'a [Value]) -> Option<Self> {
        let &[hour, minute, second, a, b, c] = bytes else {
            return None;
        };
        let zone = match zone {
            [] => None,
            [Value::Object(zone)] => Some(TimeZone::new(zone)?),
            _ => return None,
        };
        Some(Self {
            hour: hour.into(),
            minute: minute.into(),
            second: second.into(),
            microsecond: i64::from(a) << 16 | i64::from(b) << 8 | i64::from(c),
            fold,
            zone,
        })
    }

    /// Since midnight, in UTC if it has a time zone.
    fn micros(self) -> i128 {
        let seconds = (self.hour * 60 + self.minute) * 60 + self.second;
        let offset = self.zone.map_or(0, |zone| zone.offset);
        i128::from(seconds) * MICROS_PER_SECOND + i128::from(self.microsecond)
            - offset
    }

    fn parts(self) -> String {
        let mut text = format!("{}, {}", self.hour, self.minute);
        let mut add = |part: String| {
            text.push_str(", ");
            text.push_str(&part);
        };
        if self.second != 0 || self.microsecond != 0 {
            add(self.second.to_string());
        }
        if self.microsecond != 0 {
            add(self.microsecond.to_string());
        }
        if self.fold {
            add("fold=1".into());
        }
        if let Some(zone) = self.zone {
            add(format!("tzinfo={}", zone.repr()));
        }
        text
    }
}

impl<'a> TimeZone<'a> {
    fn new(zone: &'a Object) -> Option<Self> {
        if zone.name != "timezone" {
            return None;
        }
        let (offset, name) = match zone.args.as_slice() {
            [Value::Object(offset)] => (offset, None),
            [Value::Object(offset), Value::Str(name)] => {
                (offset, Some(name.as_str()))
            }
            _ => return None,
        };
        let offset = delta(offset)?;
        Some(Self { offset, name })
    }

    fn repr(self) -> String {
        match (self.offset, self.name) {
            (0, None) => "datetime.timezone.utc".into(),
            (offset, None) => format!("datetime.timezone({})", delta_repr(offset)),
            (offset, Some(name)) => format!(
                "datetime.timezone({}, {})",
                delta_repr(offset),
                Value::from(name).py_repr()
            ),
        }
    }
}

/// The microseconds of a `timedelta`.
fn delta(object: &Object) -> Option<i128> {
    if object.name != "timedelta" || object.args.len() > 3 {
        return None;
    }
    let units = [MICROS_PER_DAY, MICROS_PER_SECOND, 1];
    let parts = object
        .args
        .iter()
        .zip(units)
        .map(|(part, unit)| match part {
            Value::Int(part) => Some(i128::from(*part) * unit),
            _ => None,
        });
    parts.sum()
}

fn delta_repr(micros: i128) -> String {
    let days = micros.div_euclid(MICROS_PER_DAY);
    let rest = micros.rem_euclid(MICROS_PER_DAY);
    let parts = [
        ("days", days),
        ("seconds", rest / MICROS_PER_SECOND),
        ("microseconds", rest % MICROS_PER_SECOND),
    ];
    let mut text = String::new();
    for (name, part) in parts {
        if part != 0 {
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing to a String does not fail.
            write!(text, "{comma}{name}={part}").ok();
        }
    }
    if text.is_empty() {
        text.push('0');
    }
    format!("datetime.timedelta({text})")
}

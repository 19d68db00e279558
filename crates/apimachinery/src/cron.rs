//! Schedules of CronJobs: five fields, or a name such as `@hourly`. What is accepted, the errors and the times are those
//! of upstream's parser (`github.com/robfig/cron`, `ParseStandard`).

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

/// Marks a field that was written as `*`.
const STAR: u64 = 1 << 63;
/// A schedule that has no time within so many years never has one.
const YEARS_MAX: i16 = 5;
/// Names of months and weekdays, each with the number of the first.
const MONTHS: Names = (1, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]);
const WEEKDAYS: Names = (0, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]);

type Names = (u32, &'static [&'static str]);

/// When something happens again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    times: Times,
}

#[derive(Debug, Clone, PartialEq)]
enum Times {
    Every(SignedDuration),
    Fields(Box<Fields>),
}

/// The values at which it happens, a bit each.
#[derive(Debug, Clone, PartialEq)]
struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    zone: TimeZone,
}

/// The time zone called `name`, such as `Europe/Berlin`; what is wrong if there is none.
pub fn time_zone(name: &str) -> Result<TimeZone, String> {
    if matches!(name, "" | "UTC") {
        return Ok(TimeZone::UTC);
    }
    let found = TimeZone::get(name).ok();
    // Upstream's names are names of files.
    found.filter(|zone| zone.iana_name() == Some(name)).ok_or_else(|| format!("unknown time zone {name}"))
}

impl Schedule {
    /// Reads a schedule whose times are those of UTC, unless it says `TZ=ZONE` first.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty spec string".to_owned());
        }
        if !(text.starts_with("TZ=") || text.starts_with("CRON_TZ=")) {
            return Self::parse_in(text, TimeZone::UTC);
        }
        let Some((zone, rest)) = text.split_once(' ') else {
            return Err("invalid schedule format: runtime error: slice bounds out of range [:-1]".to_owned());
        };
        let name = zone.split_once('=').map_or("", |(_, name)| name);
        let zone = time_zone(name).map_err(|error| format!("provided bad location {name}: {error}"))?;
        Self::parse_in(rest.trim(), zone)
    }

    /// Reads a schedule whose times are those of `zone`.
    pub fn parse_in(text: &str, zone: TimeZone) -> Result<Self, String> {
        if text.starts_with('@') {
            return Self::named(text, zone);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        };
        let fields = Fields {
            minutes: field(minutes, 0, 59, None)?,
            hours: field(hours, 0, 23, None)?,
            days: field(days, 1, 31, None)?,
            months: field(months, 1, 12, Some(MONTHS))?,
            weekdays: field(weekdays, 0, 6, Some(WEEKDAYS))?,
            zone,
        };
        Ok(Self { times: Times::Fields(Box::new(fields)) })
    }

    fn named(text: &str, zone: TimeZone) -> Result<Self, String> {
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ => {
                let Some(pause) = text.strip_prefix("@every ") else {
                    return Err(format!("unrecognized descriptor: {text}"));
                };
                let pause = duration(pause).map_err(|error| format!("failed to parse duration {text}: {error}"))?;
                let pause = SignedDuration::from_secs(pause.as_secs().max(1));
                return Ok(Self { times: Times::Every(pause) });
            }
        };
        Self::parse_in(fields, zone)
    }

    /// The first time after `after`; `None` if there never is one, as on a 31st of February.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let second = Timestamp::from_second(after.as_second()).ok()?;
        match &self.times {
            Times::Every(pause) => second.checked_add(*pause).ok(),
            Times::Fields(fields) => {
                fields.first_from(second.checked_add(SignedDuration::from_secs(1)).ok()?.to_zoned(fields.zone.clone()))
            }
        }
    }
}

impl Fields {
    fn first_from(&self, mut time: Zoned) -> Option<Timestamp> {
        let all = [self.minutes, self.hours, self.days, self.months, self.weekdays];
        if all.iter().any(|bits| bits & !STAR == 0) {
            return None;
        }
        let has = |bits: u64, value: i8| bits & (1 << value.unsigned_abs()) != 0;
        let last_year = time.year() + YEARS_MAX;
        while time.year() <= last_year {
            let next_midnight =
                |date: Result<Date, jiff::Error>| date.and_then(|date| date.to_zoned(self.zone.clone()));
            if !has(self.months, time.month()) {
                time = next_midnight(time.date().last_of_month().tomorrow()).ok()?;
            } else if !self.has_day(&time) {
                time = next_midnight(time.date().tomorrow()).ok()?;
            } else if !has(self.hours, time.hour()) {
                let past = i64::from(time.minute()) * 60 + i64::from(time.second());
                time = time.checked_add(SignedDuration::from_secs(3600 - past)).ok()?;
            } else if !has(self.minutes, time.minute()) || time.second() != 0 {
                time = time.checked_add(SignedDuration::from_secs(60 - i64::from(time.second()))).ok()?;
            } else {
                return Some(time.timestamp());
            }
        }
        None
    }

    /// Days of the month and weekdays: either is enough if both are given.
    fn has_day(&self, time: &Zoned) -> bool {
        let day = self.days & (1 << time.day().unsigned_abs()) != 0;
        let weekday = self.weekdays & (1 << time.weekday().to_sunday_zero_offset().unsigned_abs()) != 0;
        if (self.days | self.weekdays) & STAR != 0 { day && weekday } else { day || weekday }
    }
}

/// A list of ranges.
fn field(text: &str, min: u32, max: u32, names: Option<Names>) -> Result<u64, String> {
    let ranges = text.split(',').filter(|range| !range.is_empty());
    ranges.map(|text| range(text, min, max, names)).try_fold(0, |bits, range| Ok(bits | range?))
}

/// `*`, a number, or `FIRST-LAST`, and `/STEP` after any of them.
fn range(text: &str, min: u32, max: u32, names: Option<Names>) -> Result<u64, String> {
    let (bounds, step) = match text.split('/').collect::<Vec<_>>().as_slice() {
        [bounds] => (*bounds, None),
        [bounds, step] => (*bounds, Some(*step)),
        _ => return Err(format!("too many slashes: {text}")),
    };
    let bounds: Vec<&str> = bounds.split('-').collect();
    let (first, mut last, mut star) = match bounds.as_slice() {
        ["*" | "?", ..] => (min, max, STAR),
        [one] => {
            let value = value(one, names)?;
            (value, value, 0)
        }
        [first, last] => (value(first, names)?, value(last, names)?, 0),
        [first, ..] => {
            value(first, names)?;
            return Err(format!("too many hyphens: {text}"));
        }
        [] => return Err(format!("empty range: {text}")),
    };
    let step = match step {
        None => 1,
        Some(step) => {
            let step = number(step)?;
            // `N/STEP` means from N on.
            if bounds.len() == 1 {
                last = max;
            }
            if step > 1 {
                star = 0;
            }
            step
        }
    };
    if first < min {
        return Err(format!("beginning of range ({first}) below minimum ({min}): {text}"));
    }
    if last > max {
        return Err(format!("end of range ({last}) above maximum ({max}): {text}"));
    }
    if first > last {
        return Err(format!("beginning of range ({first}) beyond end of range ({last}): {text}"));
    }
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok((first..=last).step_by(step).fold(star, |bits, value| bits | 1 << value))
}

fn value(text: &str, names: Option<Names>) -> Result<u32, String> {
    let lower = text.to_ascii_lowercase();
    let named = names.and_then(|(first, names)| Some((first, names.iter().position(|name| *name == lower)?)));
    match named.map(|(first, at)| u32::try_from(at).map(|at| first + at)) {
        Some(Ok(value)) => Ok(value),
        _ => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let problem = if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        "invalid syntax"
    } else {
        match text.parse::<i64>() {
            Ok(number) if number < 0 => return Err(format!("negative number ({number}) not allowed: {text}")),
            // No field goes so far.
            Ok(number) => return Ok(u32::try_from(number).unwrap_or(u32::MAX)),
            Err(_) => "value out of range",
        }
    };
    Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {problem}"))
}

/// A duration as Go writes it: `1h30m`.
fn duration(text: &str) -> Result<SignedDuration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let unit = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(unit);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        seconds += number
            * match unit {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "" => return Err(format!("time: missing unit in duration {text:?}")),
                _ => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
            };
        rest = after;
    }
    SignedDuration::try_from_secs_f64(if negative { -seconds } else { seconds }).map_err(|_| invalid())
}

#[cfg(test)]
mod tests;

//! What a plain scalar means.

use serde_json::{Number, Value};

/// What a plain scalar resolves to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(Number),
    Float(f64),
    /// Text that YAML 1.1 reads as a time; it stays text but is quoted when printed.
    Timestamp,
    Text,
}

/// Resolves a plain scalar as go-yaml 2 does.
pub(super) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' if is_float(text) => float(text),
        b'0'..=b'9' | b'+' | b'-' => number(text),
        _ => Scalar::Text,
    }
}

fn number(text: &str) -> Scalar {
    if is_timestamp(text) {
        return Scalar::Timestamp;
    }
    let plain = text.replace('_', "");
    if let Some(number) = integer(&plain) {
        return Scalar::Int(number);
    }
    if is_float(&plain) { float(&plain) } else { Scalar::Text }
}

/// Numbers that no float can hold stay text.
fn float(text: &str) -> Scalar {
    text.parse().ok().filter(|f: &f64| f.is_finite()).map_or(Scalar::Text, Scalar::Float)
}

/// Go's `ParseInt` with base 0: `0x`, `0o`, `0b` and a leading 0 tell the base.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    if !negative {
        return Some(magnitude.into());
    }
    let signed = i64::try_from(-i128::from(magnitude)).ok()?;
    Some(signed.into())
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let mantissa_fits = digits(whole) && digits(fraction) && (!whole.is_empty() || !fraction.is_empty());
    mantissa_fits && exponent.is_none_or(|e| !e.is_empty() && digits(e))
}

/// `2006-1-2`, alone or followed by a time.
fn is_timestamp(text: &str) -> bool {
    let Some((_, rest)) = text.split_at_checked(4).filter(|(y, _)| y.bytes().all(|b| b.is_ascii_digit())) else {
        return false;
    };
    let Some((month, rest)) = rest.strip_prefix('-').and_then(|r| r.split_once('-')) else {
        return false;
    };
    let one_or_two = |s: &str, top: u32| {
        (1..=2).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit()) && s.parse().is_ok_and(|n: u32| n <= top)
    };
    if !one_or_two(month, 12) {
        return false;
    }
    let day_length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (day, time) = rest.split_at(day_length);
    if !one_or_two(day, 31) {
        return false;
    }
    let (time, zoned) = match time.as_bytes().first() {
        None => return true,
        Some(b'T' | b't') => (&time[1..], true),
        Some(b' ') => (&time[1..], false),
        Some(_) => return false,
    };
    let clock_length = time.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.')).count();
    let (clock, zone) = time.split_at(clock_length);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let parts: Vec<&str> = clock.split(':').collect();
    let clock_fits =
        matches!(parts.as_slice(), [h, m, s] if one_or_two(h, 23) && one_or_two(m, 59) && one_or_two(s, 59));
    let zone_fits = if zoned {
        let numeric = zone.strip_prefix(['-', '+']).and_then(|z| z.split_once(':'));
        zone == "Z"
            || numeric.is_some_and(|(h, m)| h.len() == 2 && m.len() == 2 && one_or_two(h, 24) && one_or_two(m, 59))
    } else {
        zone.is_empty()
    };
    clock_fits && zone_fits && fraction.bytes().all(|b| b.is_ascii_digit())
}

/// `1:30` and the like, which YAML 1.1 read as numbers of base 60.
fn is_base60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let first = parts.next().unwrap_or_default();
    let first_fits =
        first.starts_with(|c: char| c.is_ascii_digit()) && first.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let mut rest: Vec<&str> = parts.collect();
    let Some(last) = rest.pop() else {
        return false;
    };
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    let sixty = |s: &str| match s.as_bytes() {
        [d] => d.is_ascii_digit(),
        [t, d] => (b'0'..=b'5').contains(t) && d.is_ascii_digit(),
        _ => false,
    };
    first_fits
        && rest.iter().all(|s| sixty(s))
        && sixty(last)
        && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

/// Whether text printed without quotes reads as that text again.
pub(super) fn is_plain_text(text: &str) -> bool {
    resolve(text) == Scalar::Text && !is_base60(text)
}

/// A float as JSON; none for those that JSON can't hold.
pub(super) fn float_value(float: f64) -> Option<Value> {
    #[allow(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    if float.fract() == 0.0 && float.abs() < 9e18 {
        return Some(Value::from(float as i64));
    }
    Number::from_f64(float).map(Value::Number)
}

/// A float as Go's `strconv.FormatFloat(f, 'g', -1, 64)` prints it.
pub(super) fn float_text(float: f64) -> String {
    let scientific = format!("{float:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..21).contains(&exponent) {
        return format!("{float}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

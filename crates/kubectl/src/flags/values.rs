//! Values of flags as Go's `strconv` and `time` read them, with their error texts. For clap's `value_parser`.

/// Go's `strconv.ParseBool`.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

fn number<T: TryFrom<i64>>(text: &str) -> Result<T, String> {
    let fault = |what: &str| format!("strconv.ParseInt: parsing {text:?}: {what}");
    // Base 0: prefixes are understood.
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(fault("invalid syntax"));
    }
    let value = i128::from_str_radix(digits, radix).map_err(|_| fault("value out of range"))?;
    let value = if negative { -value } else { value };
    let value = i64::try_from(value).map_err(|_| fault("value out of range"))?;
    T::try_from(value).map_err(|_| fault("value out of range"))
}

/// A signed 32 bit number.
pub(crate) fn int32(text: &str) -> Result<i32, String> {
    number(text)
}

/// A signed 64 bit number.
pub(crate) fn int64(text: &str) -> Result<i64, String> {
    number(text)
}

/// A length of time in nanoseconds; may be negative, which some flags give a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct GoDuration(pub(crate) i64);

impl GoDuration {
    /// As a duration; none where it is zero or less.
    pub(crate) fn positive(self) -> Option<std::time::Duration> {
        u64::try_from(self.0).ok().filter(|nanos| *nanos > 0).map(std::time::Duration::from_nanos)
    }
}

/// Go's `time.ParseDuration`: `1h30m`, `1.5s`, `-1s`, `0`.
pub(crate) fn duration(text: &str) -> Result<GoDuration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(GoDuration(0));
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos: f64 = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let digits = &rest[..end];
        if digits.is_empty() || digits == "." || digits.matches('.').count() > 1 {
            return Err(invalid());
        }
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            other => return Err(format!("time: unknown unit {other:?} in duration {text:?}")),
        };
        let value: f64 = digits.parse().map_err(|_| invalid())?;
        nanos += value * unit;
        rest = &rest[end..];
    }
    if nanos > i64::MAX as f64 {
        return Err(invalid());
    }
    let nanos = nanos as i64;
    Ok(GoDuration(if negative { -nanos } else { nanos }))
}

/// Text that must be of the form `true`, `false` and the like; for flags that are on by default.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    boolean(text)
}

/// pflag reads `StringSlice` values as lines of CSV: commas divide, quotes keep them.
pub(crate) fn split_list(values: &[String]) -> Vec<String> {
    values.iter().flat_map(|value| split_csv(value)).collect()
}

fn split_csv(line: &str) -> Vec<String> {
    if line.is_empty() {
        return Vec::new();
    }
    let mut fields = vec![String::new()];
    let mut chars = line.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let field = fields.last_mut().expect("there is always one field");
        match c {
            '"' if !quoted && field.is_empty() => quoted = true,
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' if quoted => quoted = false,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    fields
}

//! Amounts such as `100m`, `1.5Gi` and `12e6`: exact fixed-point numbers that remember in which style they were written
//! (upstream: `apimachinery/pkg/api/resource`).
//!
//! Amounts are held in billionths as 128 bit numbers. Larger ones than 1.7e29 are capped there; upstream, whose
//! decimals are unbounded, goes on.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Billionths in one.
const NANO: i128 = 1_000_000_000;
/// Upstream caps amounts with binary suffixes at the largest signed 64 bit number.
const BINARY_MAX: i128 = i64::MAX as i128 * NANO;
/// So many digits the fast path of upstream's parser takes; text that it reads in canonical form is kept as it is.
const FAST_DIGITS: i64 = 18;

/// How an amount is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `12e6`.
    DecimalExponent,
    /// `12Mi`.
    BinarySi,
    /// `12M`.
    DecimalSi,
}

/// Why text is no amount, in upstream's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ParseError {
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An amount. Comparison is by amount: `1k == 1000`.
#[derive(Debug, Clone)]
pub struct Quantity {
    nanos: i128,
    format: Format,
    /// The text that was parsed, where upstream keeps it.
    text: Option<Box<str>>,
}

impl Default for Quantity {
    fn default() -> Self {
        Self { nanos: 0, format: Format::DecimalSi, text: None }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Quantity {
    /// `value` whole units.
    pub fn new(value: i64, format: Format) -> Self {
        Self { nanos: i128::from(value) * NANO, format, text: None }
    }

    /// `value` thousandths.
    pub fn new_milli(value: i64, format: Format) -> Self {
        Self { nanos: i128::from(value) * (NANO / 1000), format, text: None }
    }

    /// The style in which it prints.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whole units, rounded up (away from zero), capped to 64 bits.
    pub fn value(&self) -> i64 {
        self.scaled(NANO)
    }

    /// Thousandths, rounded up (away from zero), capped to 64 bits.
    pub fn milli_value(&self) -> i64 {
        self.scaled(NANO / 1000)
    }

    fn scaled(&self, unit: i128) -> i64 {
        let up = i128::from(self.nanos % unit != 0) * self.nanos.signum();
        let units = self.nanos / unit + up;
        i64::try_from(units).unwrap_or(if units < 0 { i64::MIN } else { i64::MAX })
    }

    /// Whether it is a whole number.
    pub fn is_integer(&self) -> bool {
        self.nanos % NANO == 0
    }

    /// Whether a thousandth is fine enough to hold it.
    pub fn is_whole_milli(&self) -> bool {
        self.nanos % (NANO / 1000) == 0
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// -1, 0 or 1.
    pub fn signum(&self) -> i32 {
        match self.nanos.cmp(&0) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }

    /// The nearest floating-point number.
    pub fn as_f64(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "that is what is asked for")]
        let nanos = self.nanos as f64;
        nanos / 1e9
    }

    /// Adds `other`; zero takes over the other's style.
    pub fn add(&mut self, other: &Self) {
        self.change(other, self.nanos.saturating_add(other.nanos));
    }

    /// Subtracts `other`; zero takes over the other's style.
    pub fn sub(&mut self, other: &Self) {
        self.change(other, self.nanos.saturating_sub(other.nanos));
    }

    /// Multiplies by a whole number.
    pub fn mul(&mut self, factor: i64) {
        self.text = None;
        self.nanos = self.nanos.saturating_mul(i128::from(factor));
    }

    fn change(&mut self, other: &Self, nanos: i128) {
        if self.nanos == 0 {
            self.format = other.format;
        }
        self.text = None;
        self.nanos = nanos;
    }
}

impl FromStr for Quantity {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parts = Parts::split(text)?;
        let suffix = Suffix::parse(parts.suffix)?;
        if parts.digits.len() > 1 && parts.numerator.is_empty() && parts.denominator.is_empty() {
            return Err(ParseError::Numeric);
        }
        let denominator_digits = i64::try_from(parts.denominator.len()).map_err(|_| ParseError::Numeric)?;
        let mut magnitude = Magnitude::of(&parts.digits);
        let mut format = suffix.format;
        match format {
            Format::BinarySi => {
                magnitude = magnitude.times(1 << suffix.exponent);
                magnitude = magnitude.shift(9 - denominator_digits);
                magnitude.nanos = magnitude.nanos.min(BINARY_MAX);
                if magnitude.nanos < NANO && magnitude.nanos > 0 {
                    format = Format::DecimalSi;
                }
            }
            Format::DecimalSi | Format::DecimalExponent => {
                magnitude = magnitude.shift(9 + suffix.exponent - denominator_digits);
            }
        }
        let nanos = if parts.negative { -magnitude.nanos } else { magnitude.nanos };
        let kept = parts.is_kept(&suffix, denominator_digits).then(|| text.into());
        Ok(Self { nanos, format, text: kept })
    }
}

/// The pieces of an amount's text.
struct Parts<'a> {
    negative: bool,
    /// Without leading zeros.
    numerator: &'a str,
    denominator: &'a str,
    /// Both, as one number; never empty.
    digits: String,
    suffix: &'a str,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err(ParseError::Format);
        }
        let negative = text.starts_with('-');
        let rest = text.strip_prefix(['-', '+']).unwrap_or(text).trim_start_matches('0');
        let digits_end = |s: &str| s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
        let (numerator, rest) = rest.split_at(digits_end(rest));
        let (denominator, suffix) = match rest.strip_prefix('.') {
            Some(fraction) => fraction.split_at(digits_end(fraction)),
            None => ("", rest),
        };
        let after_letters = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
        let after_sign = after_letters.strip_prefix(['-', '+']).unwrap_or(after_letters);
        if !after_sign.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ParseError::Format);
        }
        let first = if numerator.is_empty() { "0" } else { numerator };
        Ok(Self { negative, numerator, denominator, digits: format!("{first}{denominator}"), suffix })
    }

    /// Whether upstream's fast path keeps the text, so that it prints as it was written (`1.500`, `1E3`).
    fn is_kept(&self, suffix: &Suffix, denominator_digits: i64) -> bool {
        let digits = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        match suffix.format {
            Format::BinarySi => {
                // The precision that upstream reckons with: 15 digits less those that the factor needs.
                let factor_digits = suffix.exponent * 3 / 10;
                self.denominator.is_empty()
                    && 14 - digits - factor_digits >= 0
                    && suffix.exponent % 10 == 0
                    && self.digits.parse::<i64>().is_ok_and(|n| n & 7 != 0)
            }
            Format::DecimalSi | Format::DecimalExponent => {
                let scale = suffix.exponent - denominator_digits;
                digits <= FAST_DIGITS
                    && scale >= -9
                    && scale % 3 == 0
                    && !self.digits.ends_with("000")
                    && !self.digits.starts_with('0')
            }
        }
    }
}

/// What stands after the number.
struct Suffix {
    format: Format,
    /// Of ten, or of two for [`Format::BinarySi`].
    exponent: i64,
}

const BINARY: [(&str, i64); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
const DECIMAL: [(&str, i64); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

impl Suffix {
    fn parse(text: &str) -> Result<Self, ParseError> {
        let find = |table: &[(&str, i64)]| table.iter().find(|(s, _)| *s == text).map(|(_, exponent)| *exponent);
        if let Some(exponent) = find(&DECIMAL) {
            return Ok(Self { format: Format::DecimalSi, exponent });
        }
        if let Some(exponent) = find(&BINARY) {
            return Ok(Self { format: Format::BinarySi, exponent });
        }
        let exponent = text.strip_prefix(['e', 'E']).and_then(|n| n.parse::<i32>().ok()).ok_or(ParseError::Suffix)?;
        Ok(Self { format: Format::DecimalExponent, exponent: exponent.into() })
    }
}

/// A number without sign that grows and shrinks by factors, capped, rounded up.
#[derive(Clone, Copy)]
struct Magnitude {
    nanos: i128,
}

impl Magnitude {
    /// The number that these digits write.
    fn of(digits: &str) -> Self {
        let add = |n: i128, b: u8| n.saturating_mul(10).saturating_add(i128::from(b - b'0'));
        Self { nanos: digits.bytes().fold(0, add) }
    }

    fn times(self, factor: i128) -> Self {
        Self { nanos: self.nanos.saturating_mul(factor) }
    }

    /// Times ten to the power of `places`; what is cut off rounds up.
    fn shift(self, places: i64) -> Self {
        let mut nanos = self.nanos;
        // Forty places empty or fill any 128 bit number.
        let steps = places.unsigned_abs().min(40);
        if places >= 0 {
            for _ in 0..steps {
                nanos = nanos.saturating_mul(10);
            }
            return Self { nanos };
        }
        let mut lost = false;
        for _ in 0..steps {
            lost |= nanos % 10 != 0;
            nanos /= 10;
        }
        Self { nanos: nanos + i128::from(lost) }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        let small = self.nanos.abs() < 1024 * NANO;
        if self.format == Format::BinarySi && !small && self.is_integer() {
            let (mut number, mut at) = (self.nanos / NANO, 0);
            while number % 1024 == 0 && at < BINARY.len() {
                number /= 1024;
                at += 1;
            }
            let suffix = at.checked_sub(1).map_or("", |at| BINARY[at].0);
            return write!(f, "{number}{suffix}");
        }
        let (mut number, mut exponent) = (self.nanos, -9);
        while number % 1000 == 0 && (exponent < 18 || self.format == Format::DecimalExponent) {
            number /= 1000;
            exponent += 3;
        }
        match (self.format, exponent) {
            (Format::DecimalExponent, 0) => write!(f, "{number}"),
            (Format::DecimalExponent, exponent) => write!(f, "{number}e{exponent}"),
            (_, exponent) => {
                let suffix = DECIMAL.iter().find(|(_, e)| *e == exponent).map_or("", |(s, _)| s);
                write!(f, "{number}{suffix}")
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Values that are a number or text, such as ports and percentages (upstream: `apimachinery/pkg/util/intstr`).

use std::fmt;

use serde_json::Value;

/// A number or text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntOrString {
    /// A number.
    Int(i32),
    /// Text: a port's name or a percentage.
    String(String),
}

/// Why a value can't be scaled, in upstream's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScaleError {
    /// Text without `%`.
    #[error("invalid value for IntOrString: invalid type: string is not a percentage")]
    NotPercentage,
    /// Text before `%` that is no number.
    #[error("invalid value for IntOrString: invalid value {text:?}: strconv.Atoi: parsing {number:?}: invalid syntax")]
    NotNumber {
        /// The whole text.
        text: String,
        /// The text without `%`.
        number: String,
    },
}

impl IntOrString {
    /// Reads JSON; `None` for anything but text and 32 bit numbers.
    pub fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::String(text.clone())),
            Value::Number(n) => n.as_i64().and_then(|n| i32::try_from(n).ok()).map(Self::Int),
            _ => None,
        }
    }

    /// As JSON.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Int(n) => Value::from(*n),
            Self::String(text) => Value::from(text.as_str()),
        }
    }

    /// A number if the text is one, else text.
    pub fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::String(text.to_owned()), Self::Int)
    }

    /// The number before `%`, if it is a percentage.
    pub fn percent(&self) -> Option<i32> {
        match self {
            Self::Int(_) => None,
            Self::String(text) => text.strip_suffix('%').and_then(|n| n.parse().ok()),
        }
    }

    /// The number, or so many percent of `total`, rounded up or down (`GetScaledValueFromIntOrPercent`).
    pub fn scaled(&self, total: i64, round_up: bool) -> Result<i64, ScaleError> {
        let text = match self {
            Self::Int(n) => return Ok(i64::from(*n)),
            Self::String(text) => text,
        };
        let number = text.strip_suffix('%').ok_or(ScaleError::NotPercentage)?;
        let percent: i64 =
            number.parse().map_err(|_| ScaleError::NotNumber { text: text.clone(), number: number.to_owned() })?;
        let product = percent.saturating_mul(total);
        let up = i64::from(round_up && product.rem_euclid(100) != 0);
        Ok(product.div_euclid(100) + up)
    }
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => write!(f, "{n}"),
            Self::String(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests;

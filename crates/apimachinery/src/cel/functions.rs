//! Functions: those of cel-spec, its extension for strings, and Kubernetes' libraries for lists, sets, regular expressions
//! and quantities.

use std::cmp::Ordering;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};

use super::evaluate::{EvaluateError, fail};
use super::value::Cel;
use crate::Quantity;

const FUNCTIONS: [&str; 20] = [
    "size",
    "int",
    "uint",
    "double",
    "string",
    "bool",
    "bytes",
    "type",
    "dyn",
    "duration",
    "timestamp",
    "matches",
    "quantity",
    "isQuantity",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
    "strings.quote",
    "jsonpatch.escapeKey",
    "math.abs",
];
const METHODS: [&str; 46] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "charAt",
    "indexOf",
    "lastIndexOf",
    "join",
    "lowerAscii",
    "upperAscii",
    "replace",
    "split",
    "substring",
    "trim",
    "reverse",
    "isSorted",
    "sum",
    "min",
    "max",
    "find",
    "findAll",
    "isGreaterThan",
    "isLessThan",
    "compareTo",
    "asInteger",
    "asApproximateFloat",
    "isInteger",
    "sign",
    "add",
    "sub",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "distinct",
    "sort",
    "slice",
    "flatten",
    "first",
];

/// Whether there is a function of this name.
pub(super) fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}

/// Whether there is a method of this name.
pub(super) fn is_method(name: &str) -> bool {
    METHODS.contains(&name)
}

type Evaluated<'a> = Result<Cel<'a>, EvaluateError>;

/// Calls a function, or a method of `on`.
pub(super) fn call<'a>(name: &str, on: Option<Cel<'a>>, arguments: Vec<Cel<'a>>) -> Evaluated<'a> {
    match on {
        Some(on) => method(name, on, &arguments),
        None => function(name, &arguments),
    }
}

fn int(number: usize) -> Cel<'static> {
    Cel::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn text<'a>(text: impl Into<String>) -> Cel<'a> {
    Cel::Text(text.into().into())
}

fn no_overload<'a>() -> Evaluated<'a> {
    fail("no such overload")
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "ranges are checked, precision is CEL's"
)]
fn function<'a>(name: &str, arguments: &[Cel<'a>]) -> Evaluated<'a> {
    const INT_LIMIT: f64 = 9.223_372_036_854_776e18;
    Ok(match (name, arguments) {
        ("size", [of]) => return of.size().map_or_else(no_overload, |size| Ok(int(size))),
        ("dyn", [value]) => value.clone(),
        ("type", [value]) => Cel::Type(value.type_name()),
        ("int", [value]) => match value {
            Cel::Int(number) => Cel::Int(*number),
            Cel::Uint(number) => match i64::try_from(*number) {
                Ok(number) => Cel::Int(number),
                Err(_) => return fail("integer overflow"),
            },
            Cel::Double(number) if number.is_finite() && number.abs() < INT_LIMIT => Cel::Int(number.trunc() as i64),
            Cel::Double(_) => return fail("integer overflow"),
            Cel::Text(text) => match text.parse() {
                Ok(number) => Cel::Int(number),
                Err(_) => return fail(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")),
            },
            Cel::Timestamp(at) => Cel::Int(at.as_second()),
            _ => return no_overload(),
        },
        ("uint", [value]) => match value {
            Cel::Uint(number) => Cel::Uint(*number),
            Cel::Int(number) => match u64::try_from(*number) {
                Ok(number) => Cel::Uint(number),
                Err(_) => return fail("unsigned integer overflow"),
            },
            Cel::Double(number) if *number >= 0.0 && *number < 2.0 * INT_LIMIT => Cel::Uint(number.trunc() as u64),
            Cel::Text(text) => match text.parse() {
                Ok(number) => Cel::Uint(number),
                Err(_) => return fail(format!("strconv.ParseUint: parsing {text:?}: invalid syntax")),
            },
            _ => return no_overload(),
        },
        ("double", [value]) => match value {
            Cel::Double(number) => Cel::Double(*number),
            Cel::Int(number) => Cel::Double(*number as f64),
            Cel::Uint(number) => Cel::Double(*number as f64),
            Cel::Text(text) => match text.parse() {
                Ok(number) => Cel::Double(number),
                Err(_) => return fail(format!("strconv.ParseFloat: parsing {text:?}: invalid syntax")),
            },
            _ => return no_overload(),
        },
        ("bool", [Cel::Bool(flag)]) => Cel::Bool(*flag),
        ("bool", [Cel::Text(word)]) => match word.as_ref() {
            "1" | "t" | "T" | "true" | "True" | "TRUE" => Cel::Bool(true),
            "0" | "f" | "F" | "false" | "False" | "FALSE" => Cel::Bool(false),
            other => return fail(format!("strconv.ParseBool: parsing {other:?}: invalid syntax")),
        },
        ("bytes", [Cel::Text(text)]) => Cel::Bytes(text.as_bytes().into()),
        ("bytes", [bytes @ Cel::Bytes(_)]) => bytes.clone(),
        ("string", [value]) => match value {
            Cel::Text(_) => value.clone(),
            Cel::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(said) => text(said),
                Err(_) => return fail("invalid UTF-8 in bytes, cannot convert to string"),
            },
            Cel::Int(_) | Cel::Uint(_) | Cel::Bool(_) => text(value.as_key().unwrap_or_default()),
            Cel::Double(number) => text(crate::gotext::value(&crate::gotext::Any::Float(*number))),
            Cel::Timestamp(at) => text(at.to_string()),
            Cel::Duration(duration) => text(format!("{}s", duration.as_secs_f64())),
            Cel::Quantity(quantity) => text(quantity.to_string()),
            _ => return no_overload(),
        },
        ("duration", [Cel::Text(text)]) => match go_duration(text) {
            Some(duration) => Cel::Duration(duration),
            None => return fail(format!("time: invalid duration {text:?}")),
        },
        ("duration", [duration @ Cel::Duration(_)]) | ("timestamp", [duration @ Cel::Timestamp(_)]) => duration.clone(),
        ("timestamp", [Cel::Text(text)]) => match text.parse::<Timestamp>() {
            Ok(at) => Cel::Timestamp(at),
            Err(_) => return fail(format!("invalid timestamp {text:?}")),
        },
        ("timestamp", [Cel::Int(seconds)]) => match Timestamp::from_second(*seconds) {
            Ok(at) => Cel::Timestamp(at),
            Err(_) => return fail("timestamp overflow"),
        },
        ("matches", [on, pattern]) => return method("matches", on.clone(), std::slice::from_ref(pattern)),
        ("quantity", [Cel::Text(text)]) => match text.parse::<Quantity>() {
            Ok(quantity) => Cel::Quantity(Rc::new(quantity)),
            Err(error) => return fail(error.to_string()),
        },
        ("isQuantity", [Cel::Text(text)]) => Cel::Bool(text.parse::<Quantity>().is_ok()),
        ("sets.contains" | "sets.equivalent" | "sets.intersects", [a, b]) => {
            let (Some(a), Some(b)) = (a.items(), b.items()) else { return no_overload() };
            let within = |some: &[Cel<'a>], all: &[Cel<'a>]| some.iter().all(|x| all.iter().any(|y| x.equals(y)));
            Cel::Bool(match name {
                "sets.contains" => within(&b, &a),
                "sets.equivalent" => within(&a, &b) && within(&b, &a),
                _ => b.iter().any(|x| a.iter().any(|y| x.equals(y))),
            })
        }
        ("strings.quote", [Cel::Text(said)]) => text(crate::gotext::quote(said)),
        ("jsonpatch.escapeKey", [Cel::Text(key)]) => text(key.replace('~', "~0").replace('/', "~1")),
        ("math.abs", [Cel::Int(number)]) => match number.checked_abs() {
            Some(number) => Cel::Int(number),
            None => return fail("integer overflow"),
        },
        ("math.abs", [Cel::Double(number)]) => Cel::Double(number.abs()),
        _ => return no_overload(),
    })
}

/// `1h30m`, `-2.5s`, as Go reads it.
fn go_duration(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let units = [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
        let (unit, worth) = units.into_iter().find(|(unit, _)| {
            rest.strip_prefix(unit).is_some_and(|after| !after.starts_with(|c: char| c.is_alphabetic()))
        })?;
        rest = &rest[unit.len()..];
        seconds += number * worth;
    }
    (!text.is_empty()).then(|| SignedDuration::try_from_secs_f64(sign * seconds).ok()).flatten()
}

fn method<'a>(name: &str, on: Cel<'a>, arguments: &[Cel<'a>]) -> Evaluated<'a> {
    match &on {
        _ if name == "size" && arguments.is_empty() => on.size().map_or_else(no_overload, |size| Ok(int(size))),
        Cel::Text(said) => of_text(name, said, arguments),
        Cel::Quantity(quantity) => of_quantity(name, quantity, arguments),
        Cel::Timestamp(at) => of_timestamp(name, *at, arguments),
        Cel::Duration(duration) => of_duration(name, *duration, arguments),
        _ => match on.items() {
            Some(items) => of_list(name, &items, arguments),
            None => no_overload(),
        },
    }
}

fn pattern(text: &str) -> Result<regex::Regex, EvaluateError> {
    regex::Regex::new(text).map_err(|error| EvaluateError(format!("Illegal regular expression: {error}")))
}

fn of_text<'a>(name: &str, said: &str, arguments: &[Cel<'a>]) -> Evaluated<'a> {
    let characters = || said.chars().collect::<Vec<char>>();
    let within = |at: i64, length: usize| usize::try_from(at).ok().filter(|at| *at <= length);
    Ok(match (name, arguments) {
        ("contains", [Cel::Text(part)]) => Cel::Bool(said.contains(part.as_ref())),
        ("startsWith", [Cel::Text(part)]) => Cel::Bool(said.starts_with(part.as_ref())),
        ("endsWith", [Cel::Text(part)]) => Cel::Bool(said.ends_with(part.as_ref())),
        ("matches", [Cel::Text(expression)]) => Cel::Bool(pattern(expression)?.is_match(said)),
        ("find", [Cel::Text(expression)]) => text(pattern(expression)?.find(said).map_or("", |found| found.as_str())),
        ("findAll", [Cel::Text(expression), limit @ ..]) => {
            let limit = match limit {
                [] => usize::MAX,
                [Cel::Int(limit)] => usize::try_from(*limit).unwrap_or(usize::MAX),
                _ => return no_overload(),
            };
            let expression = pattern(expression)?;
            let all: Vec<Cel<'a>> = expression.find_iter(said).take(limit).map(|found| text(found.as_str())).collect();
            Cel::List(all.into())
        }
        ("lowerAscii", []) => text(said.to_ascii_lowercase()),
        ("upperAscii", []) => text(said.to_ascii_uppercase()),
        ("trim", []) => text(said.trim()),
        ("reverse", []) => text(said.chars().rev().collect::<String>()),
        ("charAt", [Cel::Int(at)]) => match within(*at, said.chars().count()) {
            Some(at) => text(said.chars().nth(at).map(String::from).unwrap_or_default()),
            None => return fail(format!("index out of range: {at}")),
        },
        ("indexOf" | "lastIndexOf", [Cel::Text(part)]) => {
            let found = if name == "indexOf" { said.find(part.as_ref()) } else { said.rfind(part.as_ref()) };
            found.map_or(Cel::Int(-1), |at| int(said[..at].chars().count()))
        }
        ("replace", [Cel::Text(from), Cel::Text(to)]) => text(said.replace(from.as_ref(), to)),
        ("replace", [Cel::Text(from), Cel::Text(to), Cel::Int(count)]) => match usize::try_from(*count) {
            Ok(count) => text(said.replacen(from.as_ref(), to, count)),
            Err(_) => text(said.replace(from.as_ref(), to)),
        },
        ("split", [Cel::Text(by), limit @ ..]) => {
            let limit = match limit {
                [] => None,
                [Cel::Int(limit)] => usize::try_from(*limit).ok(),
                _ => return no_overload(),
            };
            let parts: Vec<Cel<'a>> = match limit {
                Some(0) => Vec::new(),
                _ if by.is_empty() => said.chars().map(|c| text(c.to_string())).collect(),
                Some(limit) => said.splitn(limit, by.as_ref()).map(text).collect(),
                None => said.split(by.as_ref()).map(text).collect(),
            };
            Cel::List(parts.into())
        }
        ("substring", [Cel::Int(from), to @ ..]) => {
            let all = characters();
            let to = match to {
                [] => Some(all.len()),
                [Cel::Int(to)] => within(*to, all.len()),
                _ => return no_overload(),
            };
            match (within(*from, all.len()), to) {
                (Some(from), Some(to)) if from <= to => text(all[from..to].iter().collect::<String>()),
                _ => return fail(format!("index out of range: {from}")),
            }
        }
        _ => return no_overload(),
    })
}

fn of_list<'a>(name: &str, items: &[Cel<'a>], arguments: &[Cel<'a>]) -> Evaluated<'a> {
    let sorted = || {
        let mut sorted = items.to_vec();
        sorted.sort_by(|a, b| a.compare(b).unwrap_or(Ordering::Equal));
        sorted
    };
    Ok(match (name, arguments) {
        ("join", by @ ([] | [Cel::Text(_)])) => {
            let by = match by {
                [Cel::Text(by)] => by.as_ref(),
                _ => "",
            };
            let parts: Option<Vec<&str>> = items
                .iter()
                .map(|item| match item {
                    Cel::Text(part) => Some(part.as_ref()),
                    _ => None,
                })
                .collect();
            return parts.map_or_else(no_overload, |parts| Ok(text(parts.join(by))));
        }
        ("isSorted", []) => {
            Cel::Bool(items.windows(2).all(|pair| pair[0].compare(&pair[1]).is_some_and(Ordering::is_le)))
        }
        ("sum", []) => match items.first() {
            None => Cel::Int(0),
            Some(Cel::Int(_)) => {
                let sum = items.iter().try_fold(0_i64, |sum, item| match item {
                    Cel::Int(number) => sum.checked_add(*number),
                    _ => None,
                });
                return sum.map_or_else(|| fail("integer overflow"), |sum| Ok(Cel::Int(sum)));
            }
            Some(Cel::Double(_)) => Cel::Double(
                items.iter().map(|item| if let Cel::Double(number) = item { *number } else { f64::NAN }).sum(),
            ),
            Some(_) => return no_overload(),
        },
        ("min" | "max", []) => {
            let sorted = sorted();
            let found = if name == "min" { sorted.first() } else { sorted.last() };
            return found.cloned().map_or_else(|| fail(format!("{name} called on empty list")), Ok);
        }
        ("sort", []) => Cel::List(sorted().into()),
        ("reverse", []) => Cel::List(items.iter().rev().cloned().collect()),
        ("first", []) => return items.first().cloned().map_or_else(|| fail("index out of bounds: 0"), Ok),
        ("distinct", []) => {
            let mut once: Vec<Cel<'a>> = Vec::new();
            for item in items {
                if !once.iter().any(|known| known.equals(item)) {
                    once.push(item.clone());
                }
            }
            Cel::List(once.into())
        }
        ("flatten", []) => {
            let all = items.iter().flat_map(|item| item.items().unwrap_or_else(|| vec![item.clone()]));
            Cel::List(all.collect())
        }
        ("slice", [Cel::Int(from), Cel::Int(to)]) => {
            let range = usize::try_from(*from).ok().zip(usize::try_from(*to).ok());
            let part = range.and_then(|(from, to)| items.get(from..to));
            return part.map_or_else(|| fail("cannot slice: index out of range"), |part| Ok(Cel::List(part.into())));
        }
        ("indexOf", [wanted]) => items.iter().position(|item| item.equals(wanted)).map_or(Cel::Int(-1), int),
        ("lastIndexOf", [wanted]) => items.iter().rposition(|item| item.equals(wanted)).map_or(Cel::Int(-1), int),
        ("contains", [wanted]) => Cel::Bool(items.iter().any(|item| item.equals(wanted))),
        _ => return no_overload(),
    })
}

fn of_quantity<'a>(name: &str, quantity: &Quantity, arguments: &[Cel<'a>]) -> Evaluated<'a> {
    let order = |other: &Quantity| quantity.cmp(other);
    Ok(match (name, arguments) {
        ("isGreaterThan", [Cel::Quantity(other)]) => Cel::Bool(order(other).is_gt()),
        ("isLessThan", [Cel::Quantity(other)]) => Cel::Bool(order(other).is_lt()),
        ("compareTo", [Cel::Quantity(other)]) => Cel::Int(order(other) as i64),
        ("sign", []) => Cel::Int(order(&Quantity::default()) as i64),
        _ => return no_overload(),
    })
}

fn of_timestamp<'a>(name: &str, at: Timestamp, arguments: &[Cel<'a>]) -> Evaluated<'a> {
    if !arguments.is_empty() {
        return fail("time zones are not served");
    }
    let time = at.to_zoned(jiff::tz::TimeZone::UTC);
    Ok(Cel::Int(match name {
        "getFullYear" => i64::from(time.year()),
        "getMonth" => i64::from(time.month()) - 1,
        "getDate" => i64::from(time.day()),
        "getDayOfMonth" => i64::from(time.day()) - 1,
        "getDayOfWeek" => i64::from(time.weekday().to_sunday_zero_offset()),
        "getDayOfYear" => i64::from(time.day_of_year()) - 1,
        "getHours" => i64::from(time.hour()),
        "getMinutes" => i64::from(time.minute()),
        "getSeconds" => i64::from(time.second()),
        "getMilliseconds" => i64::from(time.millisecond()),
        _ => return no_overload(),
    }))
}

fn of_duration<'a>(name: &str, duration: SignedDuration, arguments: &[Cel<'a>]) -> Evaluated<'a> {
    Ok(Cel::Int(match (name, arguments) {
        ("getHours", []) => duration.as_hours(),
        ("getMinutes", []) => duration.as_mins(),
        ("getSeconds", []) => duration.as_secs(),
        ("getMilliseconds", []) => i64::from(duration.subsec_millis()),
        _ => return no_overload(),
    }))
}

//! `eq`, `ne`, `lt`, `le`, `gt` and `ge`. Only basic values of one kind compare, and anything compares with nil.

use super::execute::Operand;
use apimachinery::gotext::{Any, sprintf};
use std::cmp::Ordering;

const BAD_TYPE: &str = "invalid type for comparison";

/// `eq`: whether the first operand equals one of the others.
pub(super) fn equal(first: &Operand, others: &[Operand]) -> Result<bool, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in others {
        let truth = match (present(first), present(other)) {
            (None, None) => true,
            (None, Some(_)) | (Some(_), None) => false,
            (Some(a), Some(b)) => equal_values(a, b)?,
        };
        if truth {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The value behind an operand; none for nil and for what is missing.
fn present(operand: &Operand) -> Option<&Any> {
    operand.any().filter(|any| !matches!(any, Any::Nil))
}

fn equal_values(a: &Any, b: &Any) -> Result<bool, String> {
    if let (Any::List(_) | Any::Map(_), Any::List(_) | Any::Map(_)) = (a, b) {
        let shown = |any: &Any| sprintf("%s", std::slice::from_ref(any));
        if std::mem::discriminant(a) != std::mem::discriminant(b) {
            let (first, second) = (a.type_name(), b.type_name());
            return Err(format!(
                "non-comparable types {}: {first}, {second}: {}",
                shown(a),
                sprintf("%v", std::slice::from_ref(b))
            ));
        }
        return Err(format!("non-comparable type {}: {}", shown(b), b.type_name()));
    }
    match order(a, b) {
        Some(order) => Ok(order == Some(Ordering::Equal)),
        None => Err(incompatible(a, b)),
    }
}

fn incompatible(a: &Any, b: &Any) -> String {
    format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name())
}

/// How two basic values of one kind compare; the inner is none where one is not a number.
fn order(a: &Any, b: &Any) -> Option<Option<Ordering>> {
    let whole = |any: &Any| match any {
        Any::Int(number) | Any::Int64(number) => Some(*number),
        Any::Byte(number) => Some(i64::from(*number)),
        _ => None,
    };
    match (a, b) {
        (Any::Bool(a), Any::Bool(b)) => Some(Some(a.cmp(b))),
        (Any::Float(a), Any::Float(b)) => Some(a.partial_cmp(b)),
        (Any::Text(a), Any::Text(b)) => Some(Some(a.cmp(b))),
        _ => Some(Some(whole(a)?.cmp(&whole(b)?))),
    }
}

/// `lt`
pub(super) fn less(a: &Operand, b: &Operand) -> Result<bool, String> {
    let basic = |operand| match present(operand) {
        None | Some(Any::List(_) | Any::Map(_)) => Err(BAD_TYPE.to_string()),
        Some(any) => Ok(any),
    };
    let (a, b) = (basic(a)?, basic(b)?);
    match (a, b, order(a, b)) {
        (Any::Bool(_), Any::Bool(_), _) => Err(BAD_TYPE.into()),
        (_, _, Some(order)) => Ok(order == Some(Ordering::Less)),
        (a, b, None) => Err(incompatible(a, b)),
    }
}

/// `le`
pub(super) fn less_or_equal(a: &Operand, b: &Operand) -> Result<bool, String> {
    Ok(less(a, b)? || equal(a, std::slice::from_ref(b))?)
}

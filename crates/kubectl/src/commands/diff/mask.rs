//! Hides the values in Secrets, so that one still sees which differ. Pure.

use serde_json::Value;

const SAME: &str = "***";
const BEFORE: &str = "*** (before)";
const AFTER: &str = "*** (after)";

/// Hides the values of both.
pub(super) fn mask(live: Option<&mut Value>, merged: &mut Value) {
    let mut none = Value::Null;
    let (live, merged) = (live.unwrap_or(&mut none).get_mut("data"), merged.get_mut("data"));
    let mut before = live.and_then(Value::as_object_mut);
    let mut after = merged.and_then(Value::as_object_mut);
    for (key, old) in before.iter_mut().flat_map(|fields| fields.iter_mut()) {
        let new = after.as_mut().and_then(|fields| fields.get_mut(key));
        match new {
            Some(new) if *new != *old => (*old, *new) = (BEFORE.into(), AFTER.into()),
            _ => *old = SAME.into(),
        }
    }
    for (_, new) in after.iter_mut().flat_map(|fields| fields.iter_mut()).filter(|(_, new)| **new != AFTER) {
        *new = SAME.into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_hidden_and_changes_seen() {
        let mut live = json!({"data": {"same": "MQ==", "other": "Mg==", "old": "Mw=="}});
        let mut merged = json!({"data": {"same": "MQ==", "other": "NA==", "new": "NQ=="}});
        mask(Some(&mut live), &mut merged);
        assert_eq!(live["data"], json!({"same": "***", "other": "*** (before)", "old": "***"}));
        assert_eq!(merged["data"], json!({"same": "***", "other": "*** (after)", "new": "***"}));
        let mut fresh = json!({"data": {"new": "NQ=="}, "type": "Opaque"});
        mask(None, &mut fresh);
        assert_eq!(fresh, json!({"data": {"new": "***"}, "type": "Opaque"}));
    }
}

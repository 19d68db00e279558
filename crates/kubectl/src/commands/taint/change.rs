//! Taints that are set and taken out. Pure (upstream: `kubectl/pkg/cmd/taint/utils.go`).

use serde_json::{Value, json};

use crate::error::KubectlError;

/// The effects that there are.
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// One taint. Where one is taken out, an empty effect means every one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taint {
    key: String,
    value: String,
    effect: String,
}

/// What a command line wants of each node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes {
    set: Vec<Taint>,
    remove: Vec<Taint>,
}

/// Parts the type and the names from the changes that follow them.
pub(super) fn split(arguments: &[String]) -> Result<(Vec<String>, Vec<String>), KubectlError> {
    let (mut resources, mut specs) = (Vec::new(), Vec::new());
    for argument in arguments {
        if argument.contains(['=', ':']) || argument.ends_with('-') {
            specs.push(argument.clone());
        } else if specs.is_empty() {
            resources.push(argument.clone());
        } else {
            let text = format!("all resources must be specified before taint changes: {argument}");
            return Err(KubectlError::new(text));
        }
    }
    Ok((resources, specs))
}

impl Taint {
    /// Reads `KEY=VALUE:EFFECT`, `KEY:EFFECT` or `KEY`.
    fn parse(spec: &str) -> Result<Self, String> {
        let invalid = |faults: &[String]| {
            let about = if faults.is_empty() { String::new() } else { format!(", {}", faults.join("; ")) };
            format!("invalid taint spec: {spec}{about}")
        };
        let (key, value, effect) = match spec.split(':').collect::<Vec<_>>()[..] {
            [key] => (key, "", ""),
            [pair, effect] => {
                if !EFFECTS.contains(&effect) {
                    return Err(format!("invalid taint effect: {effect}, unsupported taint effect"));
                }
                match pair.split('=').collect::<Vec<_>>()[..] {
                    [key] => (key, "", effect),
                    [key, value] => {
                        let faults = apimachinery::names::label_value(value);
                        if !faults.is_empty() {
                            return Err(invalid(&faults));
                        }
                        (key, value, effect)
                    }
                    _ => return Err(invalid(&[])),
                }
            }
            _ => return Err(invalid(&[])),
        };
        let faults = apimachinery::names::qualified_name(key);
        if !faults.is_empty() {
            return Err(invalid(&faults));
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() })
    }

    /// Whether a node's taint is meant.
    fn means(&self, taint: &Value) -> bool {
        taint["key"] == self.key.as_str() && (self.effect.is_empty() || taint["effect"] == self.effect.as_str())
    }

    fn object(&self) -> Value {
        let mut taint = json!({"key": self.key, "effect": self.effect});
        if !self.value.is_empty() {
            taint["value"] = json!(self.value);
        }
        taint
    }
}

impl Changes {
    /// Reads the changes.
    pub(super) fn parse(specs: &[String]) -> Result<Self, String> {
        let mut changes = Self::default();
        for spec in specs {
            if let Some(removed) = spec.strip_suffix('-') {
                changes.remove.push(Taint { value: String::new(), ..Taint::parse(removed)? });
                continue;
            }
            let taint = Taint::parse(spec)?;
            if taint.effect.is_empty() {
                return Err(format!("invalid taint spec: {spec}"));
            }
            if changes.set.iter().any(|known| known.key == taint.key && known.effect == taint.effect) {
                // As Go prints the struct.
                let Taint { key, value, effect } = taint;
                let text = format!("{{{key} {value} {effect} <nil>}}");
                return Err(format!("duplicated taints with the same key and effect: {text}"));
            }
            changes.set.push(taint);
        }
        Ok(changes)
    }

    /// Nothing may be set and taken out at once.
    pub(super) fn validate(&self) -> Result<(), String> {
        let pairs = self.set.iter().flat_map(|set| self.remove.iter().map(move |removed| (set, removed)));
        let both = pairs.filter(|(set, removed)| {
            set.key == removed.key && (removed.effect.is_empty() || removed.effect == set.effect)
        });
        let both: Vec<String> = both.map(|(_, removed)| format!("{}={}", removed.key, removed.effect)).collect();
        if both.is_empty() {
            return Ok(());
        }
        let both = both.join(", ");
        Err(format!("can not both modify and remove the following taint(s) in the same command: {both}"))
    }

    /// Changes a node; tells what was done.
    pub(super) fn apply(&self, node: &mut Value, overwrite: bool) -> Result<&'static str, Vec<String>> {
        let old = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let taken = self.set.iter().filter(|taint| old.iter().any(|known| taint.means(known)));
        let taken: Vec<&str> = taken.map(|taint| taint.key.as_str()).collect();
        if !overwrite && !taken.is_empty() {
            let name = node["metadata"]["name"].as_str().unwrap_or_default();
            let taken = taken.join(",");
            return Err(vec![format!(
                "node {name} already has {taken} taint(s) with same effect(s) and --overwrite is false"
            )]);
        }
        let mut new: Vec<Value> = self.set.iter().map(Taint::object).collect();
        new.extend(old.iter().filter(|known| !self.set.iter().any(|taint| taint.means(known))).cloned());
        let added = new.len() != old.len();
        let (mut removed, mut missing) = (false, Vec::new());
        for taint in &self.remove {
            let before = new.len();
            new.retain(|known| !taint.means(known));
            // Upstream looks at the last one only.
            removed = new.len() != before;
            if !removed {
                let colon = if taint.effect.is_empty() { "" } else { ":" };
                missing.push(format!("taint \"{}{colon}{}\" not found", taint.key, taint.effect));
            }
        }
        if !missing.is_empty() {
            return Err(missing);
        }
        if let Some(spec) = node["spec"].as_object_mut() {
            if new.is_empty() {
                spec.remove("taints");
            } else {
                spec.insert("taints".to_owned(), Value::Array(new));
            }
        }
        Ok(match (added, removed) {
            _ if overwrite => "modified",
            (true, true) => "modified",
            (true, false) => "tainted",
            (false, _) => "untainted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn check(specs: &str, overwrite: bool) -> String {
        let old = json!([{"key": "a", "value": "1", "effect": "NoSchedule"}, {"key": "b", "effect": "NoExecute"}]);
        let mut node = json!({"metadata": {"name": "n"}, "spec": {"taints": old}});
        let changes = Changes::parse(&words(specs)).and_then(|changes| changes.validate().map(|()| changes));
        match changes.and_then(|changes| changes.apply(&mut node, overwrite).map_err(|faults| faults.join("\n"))) {
            Ok(operation) => {
                let taints = node["spec"]["taints"].as_array().into_iter().flatten();
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let taints =
                    taints.map(|t| format!(" {}={}:{}", text(&t["key"]), text(&t["value"]), text(&t["effect"])));
                operation.to_owned() + &taints.collect::<String>()
            }
            Err(error) => error,
        }
    }

    #[test]
    fn changes() {
        for (specs, overwrite, expected) in [
            ("c=2:NoSchedule", false, "tainted c=2:NoSchedule a=1:NoSchedule b=:NoExecute"),
            ("a:NoExecute", false, "tainted a=:NoExecute a=1:NoSchedule b=:NoExecute"),
            ("a=2:NoSchedule", true, "modified a=2:NoSchedule b=:NoExecute"),
            ("a-", false, "untainted b=:NoExecute"),
            ("a:NoSchedule- b:NoExecute-", false, "untainted"),
            ("c:NoSchedule b-", false, "modified c=:NoSchedule a=1:NoSchedule"),
        ] {
            assert_eq!(check(specs, overwrite), expected, "{specs}");
        }
    }

    #[test]
    fn faults() {
        for (specs, expected) in [
            ("a=2:NoSchedule", "node n already has a taint(s) with same effect(s) and --overwrite is false"),
            ("a:NoExecute-", "taint \"a:NoExecute\" not found"),
            ("x- y-", "taint \"x\" not found\ntaint \"y\" not found"),
            ("c=2", "invalid taint spec: c=2"),
            ("c=2:Never", "invalid taint effect: Never, unsupported taint effect"),
            ("c=1=2:NoSchedule", "invalid taint spec: c=1=2:NoSchedule"),
            ("c:NoSchedule c=1:NoSchedule", "duplicated taints with the same key and effect: {c 1 NoSchedule <nil>}"),
            ("c:NoSchedule c-", "can not both modify and remove the following taint(s) in the same command: c="),
        ] {
            // `c=2` has a fault of its key as well.
            assert!(check(specs, false).starts_with(expected), "{specs}: {}", check(specs, false));
        }
        let error = split(&words("node n a- m")).unwrap_err();
        assert_eq!(error.to_string(), "all resources must be specified before taint changes: m");
    }
}

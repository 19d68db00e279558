//! Whether values fit a schema, in the words of upstream's validator (`kube-openapi/pkg/validation/validate`).

use std::collections::BTreeSet;

use serde_json::Value;

use super::{ListKind, META_FIELDS, Rules, StructuralSchema};
use crate::field::Printed;
use crate::{FieldError, FieldPath};

/// Text that is printed as it is.
struct Raw(String);

impl Printed for Raw {
    fn printed(&self) -> String {
        self.0.clone()
    }
}

impl StructuralSchema {
    /// All faults of an object. Rules in CEL are asked only of one that fits the schema.
    pub fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut faults = self.misfits(object);
        if faults.is_empty() {
            let mut broken = Vec::new();
            self.check_rules(&FieldPath::root(), object, None, &mut broken);
            faults.extend(broken.into_iter().map(|(fault, _)| fault));
        }
        faults
    }

    /// All faults of a change, but for those of fields that have not changed: what was accepted once does not stand in
    /// the way of another change (upstream's ratcheting).
    pub fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let is_new = |fault: &FieldError| {
            let path = fault.path.to_string();
            let (before, after) = (at(old, &path), at(new, &path));
            after.is_none() || before != after
        };
        let mut faults = self.misfits(new);
        let fits = faults.is_empty();
        faults.retain(is_new);
        if fits {
            let mut broken = Vec::new();
            self.check_rules(&FieldPath::root(), new, Some(old), &mut broken);
            broken.retain(|(fault, is_transition)| *is_transition || is_new(fault));
            faults.extend(broken.into_iter().map(|(fault, _)| fault));
        }
        faults
    }

    fn misfits(&self, object: &Value) -> Vec<FieldError> {
        let mut faults = Vec::new();
        self.check_value(&FieldPath::root(), object, &mut faults);
        faults
    }

    fn check_value(&self, path: &FieldPath, value: &Value, faults: &mut Vec<FieldError>) {
        if value.is_null() && self.nullable {
            return;
        }
        let before = faults.len();
        self.check_type(path, value, faults);
        if faults.len() > before {
            return;
        }
        self.rules.check(path, value, faults);
        match value {
            Value::Object(fields) => {
                for (key, field) in fields {
                    let named = self.properties.get(key);
                    if let Some(schema) = named.or_else(|| self.additional_schema()) {
                        let root_meta = *path == FieldPath::root() && META_FIELDS.contains(&key.as_str());
                        if named.is_some() || !root_meta {
                            schema.check_value(&path.child(key), field, faults);
                        }
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for (index, item) in items.iter().enumerate() {
                        schema.check_value(&path.index(index), item, faults);
                    }
                }
                self.check_list(path, items, faults);
            }
            _ => {}
        }
    }

    fn check_type(&self, path: &FieldPath, value: &Value, faults: &mut Vec<FieldError>) {
        if self.int_or_string {
            if !(value.is_string() || value.as_i64().is_some()) {
                faults.push(wrong_type(path, "integer,string", value));
            }
            return;
        }
        let fits = match self.ty.as_str() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.as_i64().is_some() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
            "number" => value.is_number(),
            _ => true,
        };
        if !fits {
            faults.push(wrong_type(path, &self.ty, value));
        }
    }

    /// Items of sets and maps are told apart by their value or keys.
    fn check_list(&self, path: &FieldPath, items: &[Value], faults: &mut Vec<FieldError>) {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let key = match self.list_kind {
                ListKind::Atomic => return,
                ListKind::Set => item.clone(),
                ListKind::Map => {
                    let of = |name: &String| (name.clone(), item[name.as_str()].clone());
                    Value::Object(self.list_map_keys.iter().map(of).collect())
                }
            };
            if !seen.insert(key.to_string()) {
                faults.push(FieldError::duplicate(&path.index(index), &key));
            }
        }
    }
}

/// Upstream shows the kind of what is there in place of its value.
fn wrong_type(path: &FieldPath, wanted: &str, value: &Value) -> FieldError {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    FieldError::type_invalid(path, kind, format!("{} in body must be of type {wanted}: {kind:?}", name(path)))
}

/// A path as the validator's sentences have it: nothing for the root.
fn name(path: &FieldPath) -> String {
    if *path == FieldPath::root() { String::new() } else { path.to_string() }
}

impl Rules {
    fn check(&self, path: &FieldPath, value: &Value, faults: &mut Vec<FieldError>) {
        let here = name(path);
        if !self.enumeration.is_empty() && !self.enumeration.contains(value) {
            let allowed: Vec<String> =
                self.enumeration.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
            let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
            faults.push(FieldError::not_supported(path, value, &allowed));
        }
        match value {
            Value::Number(number) => self.check_number(path, &here, number, faults),
            Value::String(text) => self.check_text(path, &here, text, faults),
            Value::Array(items) => self.check_items(path, &here, items, faults),
            Value::Object(fields) => {
                let count = u64::try_from(fields.len()).unwrap_or(u64::MAX);
                if let Some(max) = self.max_properties.filter(|max| count > *max) {
                    faults.push(FieldError::too_many(path, fields.len(), usize::try_from(max).unwrap_or(usize::MAX)));
                }
                if let Some(min) = self.min_properties.filter(|min| count < *min) {
                    let why = format!("{here} in body should have at least {min} properties");
                    faults.push(FieldError::invalid(path, value, why));
                }
                for name in self.required.iter().filter(|name| !fields.contains_key(*name)) {
                    faults.push(FieldError::required(&path.child(name), ""));
                }
            }
            _ => {}
        }
        self.check_combined(path, &here, value, faults);
    }

    fn check_number(&self, path: &FieldPath, here: &str, number: &serde_json::Number, faults: &mut Vec<FieldError>) {
        let Some(given) = number.as_f64() else { return };
        let mut refuse = |why: String| faults.push(FieldError::invalid(path, Raw(number.to_string()), why));
        match self.maximum {
            Some(max) if self.exclusive_maximum && given >= max => {
                refuse(format!("{here} in body should be less than {max}"));
            }
            Some(max) if given > max => refuse(format!("{here} in body should be less than or equal to {max}")),
            _ => {}
        }
        match self.minimum {
            Some(min) if self.exclusive_minimum && given <= min => {
                refuse(format!("{here} in body should be greater than {min}"));
            }
            Some(min) if given < min => refuse(format!("{here} in body should be greater than or equal to {min}")),
            _ => {}
        }
        if let Some(factor) = self.multiple_of.filter(|factor| (given / factor).fract() != 0.0) {
            refuse(format!("{here} in body should be a multiple of {factor}"));
        }
    }

    fn check_text(&self, path: &FieldPath, here: &str, text: &str, faults: &mut Vec<FieldError>) {
        let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        if let Some(max) = self.max_length.filter(|max| length > *max) {
            faults.push(FieldError::too_long(path, usize::try_from(max).unwrap_or(usize::MAX)));
        }
        if let Some(min) = self.min_length.filter(|min| length < *min) {
            faults.push(FieldError::invalid(path, text, format!("{here} in body should be at least {min} chars long")));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            faults.push(FieldError::invalid(path, text, format!("{here} in body should match '{pattern}'")));
        }
        if !fits_format(&self.format, text) {
            let why = format!("{here} in body must be of type {}: {text:?}", self.format);
            faults.push(FieldError::invalid(path, text, why));
        }
    }

    fn check_items(&self, path: &FieldPath, here: &str, items: &[Value], faults: &mut Vec<FieldError>) {
        let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
        if let Some(max) = self.max_items.filter(|max| count > *max) {
            faults.push(FieldError::too_many(path, items.len(), usize::try_from(max).unwrap_or(usize::MAX)));
        }
        if let Some(min) = self.min_items.filter(|min| count < *min) {
            let why = format!("{here} in body should have at least {min} items");
            faults.push(FieldError::invalid(path, count, why));
        }
        let mut seen = BTreeSet::new();
        if self.unique_items && !items.iter().all(|item| seen.insert(item.to_string())) {
            let why = format!("{here} in body shouldn't contain duplicates");
            faults.push(FieldError::invalid(path, Raw(Value::from(items.to_vec()).to_string()), why));
        }
    }

    fn check_combined(&self, path: &FieldPath, here: &str, value: &Value, faults: &mut Vec<FieldError>) {
        let fits = |schema: &StructuralSchema| {
            let mut found = Vec::new();
            schema.check_value(path, value, &mut found);
            found.is_empty()
        };
        let mut refuse = |why: String| faults.push(FieldError::invalid(path, "", why));
        if !self.any_of.is_empty() && !self.any_of.iter().any(fits) {
            refuse(format!("{here:?} must validate at least one schema (anyOf)"));
        }
        if !self.one_of.is_empty() {
            match self.one_of.iter().filter(|schema| fits(schema)).count() {
                1 => {}
                0 => refuse(format!("{here:?} must validate one and only one schema (oneOf). Found none valid")),
                n => refuse(format!(
                    "{here:?} must validate one and only one schema (oneOf). Found {n} valid alternatives"
                )),
            }
        }
        if self.not.as_deref().is_some_and(fits) {
            refuse(format!("{here:?} must not validate the schema (not)"));
        }
        for schema in &self.all_of {
            schema.check_value(path, value, faults);
        }
    }
}

/// Whether a text has the form that `format` names. Formats that nobody checks fit everything, as upstream.
fn fits_format(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "cidr" => text.split_once('/').is_some_and(|(ip, bits)| {
            let max = ip.parse::<std::net::IpAddr>().map(|ip| if ip.is_ipv4() { 32 } else { 128 });
            max.is_ok_and(|max| bits.parse::<u8>().is_ok_and(|bits| bits <= max))
        }),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => {
            let hex: Vec<usize> = text.split('-').map(str::len).collect();
            hex == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
        }
        "byte" => {
            use base64::Engine as _;
            base64::prelude::BASE64_STANDARD.decode(text).is_ok()
        }
        _ => true,
    }
}

/// The value at a path such as `spec.items[0].name`; the object itself at the root.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let mut current = value;
    if path == "<nil>" {
        return Some(current);
    }
    for step in path.split('.') {
        let (key, indexes) = step.split_once('[').unwrap_or((step, ""));
        if !key.is_empty() {
            current = current.get(key)?;
        }
        for index in indexes.split('[').filter(|i| !i.is_empty()) {
            current = current.get(index.trim_end_matches(']').parse::<usize>().ok()?)?;
        }
    }
    Some(current)
}

//! `kubectl config set` and `unset`: one value by its path, such as `contexts.dev.namespace`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use serde_json::{Value, json};

use super::files::{LISTS, List};
use super::{Files, one, unexpected};
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;

/// Set an individual value in a kubeconfig file. PROPERTY_NAME is current-context, or the path of a field such as
/// contexts.NAME.namespace.
#[derive(Debug, Args)]
pub(crate) struct SetProperty {
    /// The path and the value
    #[arg(value_name = "PROPERTY_NAME PROPERTY_VALUE")]
    arguments: Vec<String>,
    /// Values of fields that hold bytes are given as they are, not in base64
    #[arg(long)]
    set_raw_bytes: bool,
}

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
enum Property<'a> {
    CurrentContext,
    List(List),
    Entry(List, &'a str),
    Field(List, &'a str, &'a str),
}

/// Names may hold dots: the last part is a field where it is one.
fn parse(path: &str) -> Result<Property<'_>, KubectlError> {
    if path == "current-context" {
        return Ok(Property::CurrentContext);
    }
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some(list) = LISTS.into_iter().find(|list| list.key == first) else {
        return Err(KubectlError::new(format!("unable to parse {path} after [] at api.Config")));
    };
    if rest.is_empty() {
        return Ok(Property::List(list));
    }
    let is_field = |field: &str| [list.texts, list.bytes, list.switches].iter().any(|fields| fields.contains(&field));
    Ok(match rest.rsplit_once('.') {
        Some((name, field)) if is_field(field) => Property::Field(list, name, field),
        _ => Property::Entry(list, rest),
    })
}

impl SetProperty {
    pub(super) fn run(self, context: &Context) -> Result<(), KubectlError> {
        let [path, value] = self.arguments.as_slice() else { return Err(unexpected(context, &self.arguments)) };
        if value.is_empty() {
            return Err(KubectlError::new("you cannot use set to unset a property"));
        }
        let mut files = Files::load(context)?;
        match parse(path)? {
            Property::CurrentContext => files.set_current_context(value)?,
            Property::List(_) | Property::Entry(..) => {
                return Err(KubectlError::new(format!("can't set a map to a value: {path}")));
            }
            Property::Field(list, name, field) => {
                let mut content = files.entry(list, name).unwrap_or_default();
                content.insert(field.to_owned(), self.value(list, field, value)?);
                files.set_entry(list, name, Some(content))?;
            }
        }
        context.printer.line(format!("Property {path:?} set."))
    }

    fn value(&self, list: List, field: &str, value: &str) -> Result<Value, KubectlError> {
        if list.switches.contains(&field) {
            return values::boolean(value)
                .map(|on| json!(on))
                .map_err(|_| KubectlError::new(format!("strconv.ParseBool: parsing {value:?}: invalid syntax")));
        }
        if !list.bytes.contains(&field) {
            return Ok(json!(value));
        }
        if self.set_raw_bytes {
            return Ok(json!(BASE64_STANDARD.encode(value)));
        }
        match BASE64_STANDARD.decode(value) {
            Ok(_) => Ok(json!(value)),
            Err(error) => Err(KubectlError::new(format!("error decoding input value: illegal base64 data: {error}"))),
        }
    }
}

pub(super) fn unset(context: &Context, arguments: &[String]) -> Result<(), KubectlError> {
    let path = one(context, arguments)?;
    if path.is_empty() {
        return Err(KubectlError::new("you must specify a property"));
    }
    let mut files = Files::load(context)?;
    match parse(path)? {
        Property::CurrentContext => files.set_current_context("")?,
        Property::List(list) => {
            let names: Vec<String> = files.entries(list).into_iter().map(|(name, ..)| name).collect();
            for name in names {
                files.set_entry(list, &name, None)?;
            }
        }
        Property::Entry(list, name) => {
            if files.entry(list, name).is_some() {
                files.set_entry(list, name, None)?;
            }
        }
        Property::Field(list, name, field) => {
            let Some(mut content) = files.entry(list, name) else {
                return Err(KubectlError::new(format!("current map key `{name}` is invalid")));
            };
            content.remove(field);
            files.set_entry(list, name, Some(content))?;
        }
    }
    context.printer.line(format!("Property {path:?} unset."))
}

#[cfg(test)]
mod tests {
    use super::super::files::{CONTEXTS, USERS};
    use super::*;

    #[test]
    fn names_may_hold_dots() {
        assert_eq!(parse("contexts.a.b.c.namespace").unwrap(), Property::Field(CONTEXTS, "a.b.c", "namespace"));
        assert_eq!(parse("contexts.a.b").unwrap(), Property::Entry(CONTEXTS, "a.b"));
        assert_eq!(parse("users").unwrap(), Property::List(USERS));
        assert_eq!(parse("x").unwrap_err().to_string(), "unable to parse x after [] at api.Config");
    }
}

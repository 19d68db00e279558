//! What a mutation makes of an object (upstream: `policy/mutating/patch`).

use apimachinery::apply::{Place, atomics, merge};
use apimachinery::cel::{Bindings, Cel};
use apimachinery::patch::apply_json_patch;
use apimachinery::{AdmissionRequest, ApiError, Reader, Strategy};
use registry::CustomType;
use serde_json::{Value, json};

use super::definition::Mutation;
use super::parameters::custom_type;

/// The rules of the kind that is changed.
pub(super) struct Kind {
    custom: Option<CustomType>,
    /// The schema of a built-in kind.
    schema: &'static str,
    resource: &'static apimachinery::Resource,
}

impl Kind {
    /// Of a request's object.
    pub(super) fn of(request: &AdmissionRequest<'_>, reader: &dyn Reader) -> Self {
        let resource = request.resource;
        // Another kind comes through the door of a subresource such as a scale.
        let other = resource.subresource(request.subresource).filter(|s| !s.version.is_empty());
        let schema = match other {
            Some(other) => api::RESOURCES.iter().find(|r| r.kind == other.kind).map_or("", |r| r.schema),
            None => resource.schema,
        };
        let custom = if resource.is_custom() { custom_type(resource, reader) } else { None };
        Self { custom, schema, resource }
    }

    fn place(&self) -> Place<'_> {
        let schemas = api::schemas();
        match &self.custom {
            Some(ty) => Place::Custom(schemas, ty.schema()),
            None => schemas.find(self.schema).map_or(Place::Unknown, |ty| Place::Type(schemas, ty)),
        }
    }

    /// Makes what a mutation made an object of the kind again.
    fn complete(&self, object: &mut Value) -> Result<(), ApiError> {
        let schemas = api::schemas();
        let unknown = match (&self.custom, schemas.find(self.schema)) {
            (Some(ty), _) => ty.decode(object).map_err(ApiError::internal).map(|_| Vec::new())?,
            (None, Some(ty)) => schemas.decode_fix(object, ty).map_err(ApiError::internal)?,
            (None, None) => Vec::new(),
        };
        if !unknown.is_empty() {
            let texts: Vec<String> = unknown.iter().map(ToString::to_string).collect();
            return Err(ApiError::internal(format!("strict decoding error: {}", texts.join(", "))));
        }
        match &self.custom {
            Some(ty) => Strategy::default(ty, object),
            None if self.schema == self.resource.schema => registry::strategy(self.resource).default(object),
            None => {}
        }
        Ok(())
    }
}

/// Why a mutation fails.
pub(super) enum Failure {
    /// The policy's own fault: it is as its failure policy says.
    Policy(String),
    /// What came out is no object.
    Broken(ApiError),
}

/// `object` as `mutation` changes it.
pub(super) fn mutated<'a>(
    mutation: &'a Mutation,
    bindings: &Bindings<'a>,
    object: &Value,
    kind: &Kind,
) -> Result<Value, Failure> {
    let mut made = match mutation {
        Mutation::Apply(expression) => {
            let config = expression.evaluate(bindings).map_err(Failure::Policy)?.to_json();
            applied(config, object, kind).map_err(Failure::Policy)?
        }
        Mutation::JsonPatch(expression) => {
            let patch = operations(&expression.evaluate(bindings).map_err(Failure::Policy)?);
            match patched(patch.map_err(Failure::Policy)?, object).map_err(Failure::Policy)? {
                Some(made) => made,
                None => return Ok(object.clone()),
            }
        }
    };
    kind.complete(&mut made).map_err(Failure::Broken)?;
    Ok(made)
}

fn applied(mut config: Value, object: &Value, kind: &Kind) -> Result<Value, String> {
    if !config.is_object() {
        return Err("unsupported return type from ApplyConfiguration expression: must evaluate to Object".to_owned());
    }
    for key in ["apiVersion", "kind"] {
        config[key] = object[key].clone();
    }
    let place = kind.place();
    let whole = atomics(&place, &config, "");
    if !whole.is_empty() {
        return Err(format!(
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {}",
            whole.join(", ")
        ));
    }
    merge(&place, object, &config).map_err(|errors| {
        format!("error applying patch: failed to convert patch object to typed object: {}", errors.join("\n"))
    })
}

/// The operations of a JSON patch; the value of one that has none is not there.
fn operations(value: &Cel<'_>) -> Result<Value, String> {
    let wrong = || "type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch".to_owned();
    let items = value.items().ok_or_else(wrong)?;
    let operation = |item: &Cel<'_>| match item.to_json() {
        Value::Object(fields) => Ok(Value::Object(fields)),
        _ => Err(wrong()),
    };
    items.iter().map(operation).collect()
}

/// `None` if a test of the patch fails: then nothing is changed.
fn patched(patch: Value, object: &Value) -> Result<Option<Value>, String> {
    let mut made = object.clone();
    match apply_json_patch(&mut made, &patch) {
        Ok(()) => {
            for key in ["apiVersion", "kind"] {
                made[key] = json!(object[key]);
            }
            Ok(Some(made))
        }
        Err(error) if error.is_failed_test() => Ok(None),
        Err(error) => Err(format!("JSON Patch: {error}")),
    }
}

//! Patches: JSON, merge and strategic merge, applied to the served version of the object.

use std::sync::Arc;

use apimachinery::{ApiError, Object, Reason};
use client::{PatchKind, Target};
use parking_lot::Mutex;
use serde_json::Value;

use super::{Engine, RequestContext, convert, metadata, scale};

impl Engine {
    /// Patches an object or a subresource.
    pub async fn patch(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        kind: PatchKind,
        patch: &Value,
    ) -> Result<Arc<Object>, ApiError> {
        let resource = target.resource;
        let rules = self.rules(resource)?;
        if resource.is_custom() && kind == PatchKind::Strategic {
            let [json, merge] = [PatchKind::Json, PatchKind::Merge].map(PatchKind::media_type);
            return Err(ApiError::unsupported_media_type(&[json, merge, "application/apply-patch+yaml"]));
        }
        let user = context.user.clone();
        let field_validation = context.field_validation;
        // Decoding warns of unknown fields; the last try's warnings are the ones that count.
        let warnings = Mutex::new(Vec::new());
        let make = |current: &Value| -> Result<Value, ApiError> {
            if target.subresource == "scale" {
                let object = Object::from_value(current).map_err(ApiError::internal)?;
                let scale = scale::read(resource, &rules, &object)?.value();
                return scale::apply(resource, &rules, current, &apply(kind, &scale, patch, None, target)?);
            }
            let storage = Object::from_value(current).map_err(ApiError::internal)?;
            let served = convert::from_storage(resource, Arc::new(storage))?.value();
            let mut patched = apply(kind, &served, patch, Some(resource.schema), target)?;
            metadata::check_kind(resource, &mut patched)?;
            let mut decoding = RequestContext::of(user.clone());
            decoding.field_validation = field_validation;
            self.decode(&mut decoding, resource, &mut patched)?;
            *warnings.lock() = decoding.warnings;
            convert::to_storage(resource, &mut patched);
            rules.default(&mut patched);
            Ok(patched)
        };
        let door = if target.subresource == "scale" { Target { subresource: "", ..target } } else { target };
        let object = self.change(context, door, &make).await?;
        context.warnings.extend(warnings.into_inner());
        let object = self.served(resource, object).await?;
        if target.subresource == "scale" {
            return scale::read(resource, &rules, &object);
        }
        Ok(object)
    }
}

fn apply(
    kind: PatchKind,
    current: &Value,
    patch: &Value,
    schema: Option<&str>,
    target: Target<'_>,
) -> Result<Value, ApiError> {
    use apimachinery::patch::{PatchError, apply_json_patch, apply_merge_patch, apply_strategic_patch};
    let mut patched = current.clone();
    let schemas = api::schemas();
    let applied = match (kind, schema.and_then(|name| schemas.find(name))) {
        (PatchKind::Json, _) => apply_json_patch(&mut patched, patch),
        (PatchKind::Strategic, Some(ty)) => apply_strategic_patch(schemas, ty, &mut patched, patch.clone()),
        (PatchKind::Merge | PatchKind::Strategic, _) => apply_merge_patch(&mut patched, patch.clone()),
    };
    applied.map(|()| patched).map_err(|error| match error {
        PatchError::Malformed(text) => ApiError::bad_request(text),
        PatchError::TooManyOperations(_) => ApiError::new(Reason::RequestEntityTooLarge, 413, error.to_string()),
        PatchError::Rejected(text) => {
            let text = format!("the server rejected our request due to an error in our request: {text}");
            let mut error = ApiError::new(Reason::Invalid, 422, text);
            error.name = target.name.to_owned();
            error
        }
    })
}

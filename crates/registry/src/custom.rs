//! The rules of custom resources, made of what their CustomResourceDefinition says
//! (upstream: `apiextensions-apiserver/pkg/registry/customresource`, `pkg/apiserver/customresource_handler.go`).

mod columns;
mod scale;

use apimachinery::conversion::ConversionWebhook;
use apimachinery::jsonpath::JsonPath;
use apimachinery::resource::CustomNames;
use apimachinery::schema::{StrictError, TypeMismatch};
use apimachinery::{FieldError, Object, Resource, Strategy, StructuralSchema, Subresource, WriteContext};
use jiff::Timestamp;
use serde_json::{Value, json};

pub use scale::ScalePaths;

use crate::columns::Column;
use crate::kinds::subdomain;
use crate::value::{child, flag, has, int, list, put, text};

/// One served version of a custom resource.
#[derive(Debug)]
pub struct CustomType {
    /// What it is called.
    pub resource: &'static Resource,
    /// The `apiVersion` in which its objects are stored.
    pub storage_version: String,
    /// Who brings objects from one version into another; without one only their `apiVersion` differs.
    pub conversion: Option<ConversionWebhook>,
    /// Whether its definition is being deleted: nothing may be created any more.
    pub terminating: bool,
    /// The sentence for the `Warning` header of every request, if the version is deprecated.
    pub deprecation_warning: Option<String>,
    /// Where the subresource `scale` finds its numbers.
    pub scale: Option<ScalePaths>,
    /// The `openAPIV3Schema`, as the definition has it.
    pub declared_schema: Value,
    schema: StructuralSchema,
    has_status: bool,
    columns: Vec<Column>,
    paths: Vec<JsonPath>,
    /// By the name in field selectors, `spec.colour`.
    selectable: Vec<(String, JsonPath)>,
}

/// The served versions of a definition that is established; none of another.
pub fn types_of(definition: &Value) -> Vec<CustomType> {
    let established = list(&definition["status"], "conditions")
        .iter()
        .any(|c| text(c, "type") == "Established" && text(c, "status") == "True");
    if !established {
        return Vec::new();
    }
    let versions = list(&definition["spec"], "versions").iter().filter(|version| flag(version, "served"));
    versions.map(|version| CustomType::new(definition, version)).collect()
}

/// The resource of a version of a definition, by the names that the cluster has accepted.
pub fn resource_of(definition: &Value, version: &Value) -> &'static Resource {
    let (spec, accepted) = (&definition["spec"], &definition["status"]["acceptedNames"]);
    let names = if text(accepted, "plural").is_empty() { &spec["names"] } else { accepted };
    let words = |key: &str| list(names, key).iter().filter_map(Value::as_str).collect();
    Resource::custom(&CustomNames {
        group: text(spec, "group"),
        version: text(version, "name"),
        kind: text(names, "kind"),
        plural: text(names, "plural"),
        singular: text(names, "singular"),
        short_names: words("shortNames"),
        categories: words("categories"),
        namespaced: text(spec, "scope") == "Namespaced",
        status: has(&version["subresources"], "status"),
        scale: has(&version["subresources"], "scale"),
    })
}

/// The resource in the version in which objects are stored, if the definition is established and serves it; else in any
/// served version. What controllers watch.
pub fn watched_resource(definition: &Value) -> Option<&'static Resource> {
    let types = types_of(definition);
    let stored = types.iter().find(|ty| ty.storage_version == ty.resource.api_version());
    stored.or(types.first()).map(|ty| ty.resource)
}

fn conversion_of(conversion: &Value) -> Option<ConversionWebhook> {
    let webhook = &conversion["webhook"];
    let spoken = list(webhook, "conversionReviewVersions").iter().find_map(|version| match version.as_str() {
        Some("v1") => Some("v1"),
        Some("v1beta1") => Some("v1beta1"),
        _ => None,
    });
    let review_version = spoken.filter(|_| text(conversion, "strategy") == "Webhook")?;
    Some(ConversionWebhook { client_config: webhook["clientConfig"].clone(), review_version })
}

impl CustomType {
    fn new(definition: &Value, version: &Value) -> Self {
        let spec = &definition["spec"];
        let resource = resource_of(definition, version);
        let stored = list(spec, "versions").iter().find(|v| flag(v, "storage")).map_or("", |v| text(v, "name"));
        let declared_schema = version["schema"]["openAPIV3Schema"].clone();
        let (columns, paths) = columns::of_version(version);
        let selectable = list(version, "selectableFields").iter().filter_map(|field| {
            let path = text(field, "jsonPath");
            let parsed = JsonPath::parse(&format!("{{{path}}}")).ok()?.allow_missing_keys(true);
            Some((path.trim_start_matches('.').to_owned(), parsed))
        });
        let warning = version["deprecationWarning"]
            .as_str()
            .map_or_else(|| format!("{} {} is deprecated", resource.api_version(), resource.kind), str::to_owned);
        Self {
            resource,
            storage_version: format!("{}/{stored}", resource.group),
            conversion: conversion_of(&spec["conversion"]),
            terminating: crate::rules::is_deleting(definition),
            deprecation_warning: flag(version, "deprecated").then_some(warning),
            scale: ScalePaths::of(&version["subresources"]["scale"]),
            schema: StructuralSchema::parse(&declared_schema),
            declared_schema,
            has_status: has(&version["subresources"], "status"),
            columns,
            paths,
            selectable: selectable.collect(),
        }
    }

    /// Makes a body what the schema says: types of the metadata are checked, unknown fields go and are given back.
    pub fn decode(&self, object: &mut Value) -> Result<Vec<StrictError>, TypeMismatch> {
        let mut unknown = Vec::new();
        if let Some(ty) = api::schemas().find("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
            && has(object, "metadata")
        {
            for error in api::schemas().decode_fix(&mut object["metadata"], ty)? {
                unknown.push(match error {
                    StrictError::Unknown(path) => StrictError::Unknown(format!("metadata.{path}")),
                    StrictError::Duplicate(path) => StrictError::Duplicate(format!("metadata.{path}")),
                });
            }
        }
        unknown.extend(self.schema.prune(object));
        Ok(unknown)
    }

    /// Makes an object of another version, converted, one of this: what the schema does not know goes.
    pub fn settle(&self, object: &mut Value) {
        self.schema.prune(object);
        put(object, "apiVersion", json!(self.resource.api_version()));
    }

    /// Brings an object that was stored under an earlier schema, or in another version, into this one.
    pub fn serve(&self, object: &mut Value) {
        self.settle(object);
        self.schema.default(object);
    }

    /// Its schema.
    pub fn schema(&self) -> &StructuralSchema {
        &self.schema
    }

    /// The columns of its Table.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }
}

impl Strategy for CustomType {
    fn default(&self, object: &mut Value) {
        self.schema.default(object);
    }

    fn prepare_for_create(&self, object: &mut Value, _context: &WriteContext<'_>) {
        if self.has_status {
            put(object, "status", Value::Null);
        }
        child(object, "metadata")["generation"] = json!(1);
    }

    fn prepare_for_update(&self, new: &mut Value, old: &Value, context: &WriteContext<'_>) {
        if context.subresource == Subresource::Status {
            let mut kept = old.clone();
            put(&mut kept, "status", new["status"].clone());
            put(child(&mut kept, "metadata"), "resourceVersion", new["metadata"]["resourceVersion"].clone());
            put(&mut kept, "apiVersion", new["apiVersion"].clone());
            *new = kept;
            return;
        }
        if self.has_status {
            put(new, "status", old["status"].clone());
        }
        let content = |object: &Value| {
            let mut content = object.clone();
            for key in ["metadata", "apiVersion"] {
                put(&mut content, key, Value::Null);
            }
            content
        };
        if content(new) != content(old) {
            let generation = int(&old["metadata"], "generation").unwrap_or_default() + 1;
            child(new, "metadata")["generation"] = json!(generation);
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        self.schema.validate(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, _subresource: Subresource<'_>) -> Vec<FieldError> {
        self.schema.validate_update(new, old)
    }

    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        subdomain(name, prefix)
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn selects_by(&self, field: &str) -> bool {
        self.selectable.iter().any(|(name, _)| name == field)
    }

    fn selected_value(&self, object: &Value, field: &str) -> String {
        let path = self.selectable.iter().find(|(name, _)| name == field).map(|(_, path)| path);
        path.and_then(|path| columns::first(path, object)).map_or_else(String::new, |value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    fn row(&self, object: &Object, now: Timestamp) -> Option<Vec<Value>> {
        let value = object.value();
        let cells = self.columns.iter().zip(&self.paths).map(|(column, path)| columns::cell(column, path, &value, now));
        Some(cells.collect())
    }
}

#[cfg(test)]
mod tests;

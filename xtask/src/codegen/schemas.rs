//! The types of the API, from what upstream's server publishes as OpenAPI and from what Go's reflection knows
//! (`xtask/golden/facts`). The text format is described where it is read, in `apimachinery::schema`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// What Go knows of one field.
struct GoField<'a> {
    go_type: &'a str,
    flags: &'a str,
    embedded: &'a str,
}

/// Schema and field name to Go's facts.
type GoFacts<'a> = BTreeMap<(&'a str, &'a str), GoField<'a>>;

/// Schemas whose JSON is anything at all.
const FREE: [&str; 1] = ["JSON"];
/// Schemas whose JSON is an object of another schema, a list of them, or something else.
const OBJECT_OR_OTHER: [&str; 3] = ["JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray"];

/// Writes `crates/api/src/schemas.txt` from the documents in `reference`.
pub(crate) fn generate(reference: &Path, repository: &Path) -> Result<()> {
    let schemas = read(&reference.join("openapi-v3-schemas.json"))?;
    let schemas = schemas.as_object().context("the schemas are an object")?;
    // Version 3 gives patch strategies and list types too; version 2 serves as a check that none is missing there.
    check_against_v2(schemas, &read(&reference.join("openapi-v2.json"))?)?;
    let facts_path = repository.join("xtask/golden/facts.txt");
    let facts_text =
        std::fs::read_to_string(&facts_path).with_context(|| format!("failed to read {}", facts_path.display()))?;
    let facts = go_facts(&facts_text)?;
    let mut out = String::new();
    for (name, schema) in schemas {
        write_type(&mut out, name, schema, &facts)?;
    }
    let path = repository.join("crates/api/src/schemas.txt");
    std::fs::write(&path, out).with_context(|| format!("failed to write {}", path.display()))
}

fn go_facts(text: &str) -> Result<GoFacts<'_>> {
    let mut facts = GoFacts::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [schema, field, go_type, flags, rest @ ..] = words.as_slice() else {
            bail!("{line:?} has less than four words");
        };
        let embedded = rest.first().copied().unwrap_or_default();
        facts.insert((schema, field), GoField { go_type, flags, embedded });
    }
    Ok(facts)
}

fn check_against_v2(schemas: &Map<String, Value>, v2: &Value) -> Result<()> {
    const FACTS: [&str; 4] = [
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-patch-strategy",
        "x-kubernetes-patch-merge-key",
    ];
    for (name, schema) in schemas {
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let other = &v2["definitions"][name]["properties"][field];
            for fact in FACTS {
                if other[fact] != property[fact] {
                    bail!("OpenAPI versions 2 and 3 differ in {fact} of {name} {field}");
                }
            }
        }
    }
    Ok(())
}

fn write_type(out: &mut String, name: &str, schema: &Value, facts: &GoFacts<'_>) -> Result<()> {
    out.push_str(&short(name));
    for gvk in list(&schema["x-kubernetes-group-version-kind"]) {
        let _ = write!(out, "\tk={}/{}/{}", text(&gvk["group"]), text(&gvk["version"]), text(&gvk["kind"]));
    }
    if schema["x-kubernetes-map-type"] == "atomic" {
        out.push_str("\tma");
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    match field_kind_of_named(name) {
        Some(kind) => {
            let _ = write!(out, "\tas={kind}");
        }
        None if FREE.contains(&last) && name.contains("apiextensions") => out.push_str("\tas=any"),
        None if OBJECT_OR_OTHER.contains(&last) => out.push_str("\tas=schema-or-other"),
        None => {}
    }
    if let Some(unions) = schema.get("x-kubernetes-unions") {
        let _ = write!(out, "\tu={unions}");
    }
    out.push('\n');
    let required: Vec<&str> = list(&schema["required"]).iter().map(text).collect();
    for (field, property) in schema["properties"].as_object().into_iter().flatten() {
        let go = facts.get(&(name, field.as_str()));
        write_field(out, field, property, required.contains(&field.as_str()), go)
            .with_context(|| format!("{name} {field}"))?;
    }
    Ok(())
}

fn write_field(out: &mut String, name: &str, property: &Value, required: bool, go: Option<&GoField<'_>>) -> Result<()> {
    let kind = kind_of(property)?;
    let mut flags = String::new();
    if required {
        flags.push('r');
    }
    if let Some(go) = go {
        flags.push_str(go.flags.trim_matches('-'));
    }
    let default = property.get("default");
    let zero = default.is_some_and(|d| matches!(d.to_string().as_str(), "\"\"" | "0" | "false" | "{}"));
    if zero {
        flags.push('d');
    }
    if flags.is_empty() {
        flags.push('-');
    }
    let _ = write!(out, "\t{name}\t{kind}\t{flags}");
    let attributes = [
        ("l", text(&property["x-kubernetes-list-type"]).to_owned()),
        ("k", words(&property["x-kubernetes-list-map-keys"], ",")),
        ("m", text(&property["x-kubernetes-map-type"]).to_owned()),
        ("s", text(&property["x-kubernetes-patch-strategy"]).to_owned()),
        ("p", text(&property["x-kubernetes-patch-merge-key"]).to_owned()),
        ("e", words(enumeration(property), "|")),
        ("i", go.map(|go| go.embedded.to_owned()).unwrap_or_default()),
        ("g", go.filter(|go| go_name(&kind) != go.go_type).map(|go| go.go_type.to_owned()).unwrap_or_default()),
    ];
    for (key, value) in attributes {
        if !value.is_empty() {
            let _ = write!(out, "\t{key}={value}");
        }
    }
    if let Some(default) = default.filter(|_| !zero) {
        let _ = write!(out, "\td={default}");
    }
    out.push('\n');
    Ok(())
}

/// The values of a field, of its items, or of the values of its map.
fn enumeration(property: &Value) -> &Value {
    [property, &property["items"], &property["additionalProperties"]]
        .into_iter()
        .map(|schema| &schema["enum"])
        .find(|values| !values.is_null())
        .unwrap_or(&Value::Null)
}

fn words(values: &Value, separator: &str) -> String {
    list(values).iter().map(text).collect::<Vec<_>>().join(separator)
}

/// The kind of a field as the text format names it.
fn kind_of(schema: &Value) -> Result<String> {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    if let Some(reference) = reference {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return Ok(field_kind_of_named(name).map_or_else(|| short(name), str::to_owned));
    }
    Ok(match (text(&schema["type"]), text(&schema["format"])) {
        ("string", "byte") => "bytes".to_owned(),
        ("string", _) => "string".to_owned(),
        ("boolean", _) => "bool".to_owned(),
        ("integer", "int32") => "int32".to_owned(),
        ("integer", "int64") => "int64".to_owned(),
        ("number", _) => "number".to_owned(),
        ("array", _) => format!("[]{}", kind_of(&schema["items"])?),
        ("object", _) if schema["additionalProperties"].is_object() => {
            format!("{{}}{}", kind_of(&schema["additionalProperties"])?)
        }
        ("object", _) => "object".to_owned(),
        (other, format) => bail!("type {other:?} with format {format:?} is unknown"),
    })
}

/// Named schemas that are scalars.
fn field_kind_of_named(name: &str) -> Option<&'static str> {
    Some(match name {
        "io.k8s.apimachinery.pkg.api.resource.Quantity" => "quantity",
        "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1" | "io.k8s.apimachinery.pkg.runtime.RawExtension" => "object",
        "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime" => "microtime",
        "io.k8s.apimachinery.pkg.apis.meta.v1.Time" => "time",
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString" => "int-or-string",
        _ => return None,
    })
}

/// The Go type that the decoder shows for a kind, unless it is a named one.
fn go_name(kind: &str) -> String {
    if let Some(item) = kind.strip_prefix("[]") {
        return format!("[]{}", go_name(item));
    }
    if let Some(value) = kind.strip_prefix("{}") {
        return format!("map[string]{}", go_name(value));
    }
    match kind {
        "bytes" => "[]uint8".to_owned(),
        "number" => "float64".to_owned(),
        "quantity" => "resource.Quantity".to_owned(),
        "time" => "v1.Time".to_owned(),
        "microtime" => "v1.MicroTime".to_owned(),
        "int-or-string" => "intstr.IntOrString".to_owned(),
        "object" => "runtime.RawExtension".to_owned(),
        other => match other.rsplit_once('/') {
            Some((_, name)) => name.to_owned(),
            None => other.to_owned(),
        },
    }
}

/// Schema names with their common beginnings taken off: `core/v1.Pod`, `meta/v1.ObjectMeta`.
fn short(name: &str) -> String {
    const BEGINNINGS: [&str; 4] = [
        "io.k8s.api.",
        "io.k8s.apimachinery.pkg.apis.",
        "io.k8s.apiextensions-apiserver.pkg.apis.",
        "io.k8s.kube-aggregator.pkg.apis.",
    ];
    for beginning in BEGINNINGS {
        if let Some(rest) = name.strip_prefix(beginning) {
            return rest.replacen('.', "/", 1);
        }
    }
    name.to_owned()
}

fn read(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("failed to parse {}", path.display()))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

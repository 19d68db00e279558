//! Our rules against what upstream's own code makes of the same objects (`xtask/golden/rules`).

use apimachinery::{FieldError, Object, Resource, Subresource, WriteContext, yaml};
use component_base::Random;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{columns, metadata, strategy};

/// The instant at which the rows are printed.
const NOW: &str = "2026-06-01T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().expect("the constant is a time")
}

/// The objects in a corpus, with `{{-65s}}` made a time before [`NOW`].
fn corpus(text: &str) -> Vec<Value> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (span, after) = after.split_once("}}").expect("braces are closed");
        out.push_str(before);
        let micro = span.starts_with('u');
        let then = now() - parse_span(span.trim_start_matches('u').trim_start_matches('-'));
        out.push_str(&then.strftime(if micro { "%Y-%m-%dT%H:%M:%S.%6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" }).to_string());
        rest = after;
    }
    out.push_str(rest);
    yaml::parse_all(&out).expect("the corpus is YAML")
}

/// `7h59m`, as Go reads it.
fn parse_span(text: &str) -> SignedDuration {
    let mut total = SignedDuration::ZERO;
    let mut number = 0;
    for c in text.chars() {
        let unit = match c {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            digit => {
                number = number * 10 + i64::from(digit.to_digit(10).expect("spans are digits and units"));
                continue;
            }
        };
        total += SignedDuration::from_secs(number * unit);
        number = 0;
    }
    total
}

fn results(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("the golden file is JSON")
}

fn resource_of(object: &Value) -> &'static Resource {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    api::find_kind(group, version, object["kind"].as_str().unwrap_or_default()).expect("the corpus has known kinds")
}

fn fix(object: &mut Value) {
    let ty = api::schemas().find(resource_of(object).schema).expect("the kind has a schema");
    api::schemas().decode_fix(object, ty).expect("upstream decoded it too");
}

/// What differs by design, or is random.
fn normal(mut object: Value) -> Value {
    if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        for key in ["uid", "creationTimestamp", "resourceVersion"] {
            metadata.remove(key);
        }
    }
    for time in ["/status/lastPhaseTransitionTime", "/status/conditions/0/lastTransitionTime"] {
        if let Some(time) = object.pointer_mut(time) {
            *time = Value::Null;
        }
    }
    for labels in ["/metadata/labels", "/spec/template/metadata/labels", "/spec/selector/matchLabels"] {
        if let Some(labels) = object.pointer_mut(labels).and_then(Value::as_object_mut) {
            for key in ["controller-uid", "batch.kubernetes.io/controller-uid"] {
                if labels.contains_key(key) {
                    labels.insert(key.to_owned(), json!("uid"));
                }
            }
        }
    }
    object
}

fn faults_of(ours: &[FieldError]) -> Vec<String> {
    let mut all: Vec<String> = ours.iter().map(|f| first_line(&f.to_string())).collect();
    all.sort();
    all
}

/// Go's diffs of whole objects are not ours; what is forbidden stands before them. Nor are whole templates as Go prints
/// them.
fn first_line(text: &str) -> String {
    let line = text.split('\n').next().unwrap_or_default();
    match (line.split_once("spec.template: Invalid value: {"), line.rsplit_once("}: ")) {
        (Some(_), Some((_, rule))) => format!("spec.template: Invalid value: {{}}: {rule}"),
        _ => line.to_owned(),
    }
}

fn faults_expected(golden: &Value) -> Vec<String> {
    let mut all: Vec<String> = golden["causes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| {
            let field = c["field"].as_str().unwrap_or_default();
            first_line(&format!(
                "{}: {}",
                if field.is_empty() { "<nil>" } else { field },
                c["message"].as_str().unwrap_or_default()
            ))
        })
        .collect();
    all.sort();
    all
}

struct Report(Vec<String>);

impl Report {
    fn check(&mut self, what: &str, ours: &Value, golden: &Value) {
        if ours != golden {
            self.0.push(format!("{what}\n  ours: {ours}\n  upstream: {golden}"));
        }
    }

    fn finish(self, total: usize) {
        assert!(self.0.is_empty(), "{} differences in {total} objects:\n{}", self.0.len(), self.0.join("\n"));
    }
}

fn check_outcome(report: &mut Report, what: &str, faults: &[FieldError], object: Value, golden: &Value) {
    let (ours, upstream) = (faults_of(faults), faults_expected(golden));
    report.check(&format!("{what}: faults"), &json!(ours), &json!(upstream));
    if upstream.is_empty() && golden["error"].is_null() {
        // As it is read back: decoding what is stored sets defaults again.
        let mut stored = golden["object"].clone();
        let rules = strategy(resource_of(&stored));
        rules.default(&mut stored);
        report.check(&format!("{what}: object"), &normal(object), &normal(stored));
    }
}

fn label(object: &Value) -> String {
    format!(
        "{} {}",
        object["kind"].as_str().unwrap_or_default(),
        object["metadata"]["name"].as_str().unwrap_or_default()
    )
}

#[test]
fn creates() {
    let objects = corpus(include_str!("../golden/create.yaml"));
    let golden = results(include_str!("../golden/create.json"));
    assert_eq!(objects.len(), golden.len());
    let random = Random::from_seed(1);
    let mut report = Report(Vec::new());
    for (mut object, golden) in objects.into_iter().zip(&golden) {
        let what = label(&object);
        let resource = resource_of(&object);
        let rules = strategy(resource);
        fix(&mut object);
        rules.default(&mut object);
        let defaulted = object.clone();
        report.check(&format!("{what}: defaults"), &normal(object.clone()), &normal(golden["defaulted"].clone()));
        rules.default(&mut object);
        report.check(&format!("{what}: defaults again"), &object, &defaulted);
        if resource.namespaced() && object["metadata"]["namespace"].is_null() {
            object["metadata"]["namespace"] = json!("default");
        }
        object["metadata"]["uid"] = json!("uid");
        let context = WriteContext { now: now(), random: &random, subresource: Subresource::None, user: "me" };
        rules.prepare_for_create(&mut object, &context);
        let mut faults = metadata::validate(&object["metadata"], resource.namespaced(), &|name, prefix| {
            rules.validate_name(name, prefix)
        });
        faults.extend(rules.validate(&object));
        if faults.is_empty() {
            let expected = golden["warnings"].as_array().cloned().unwrap_or_default();
            report.check(&format!("{what}: warnings"), &json!(rules.warnings(&object, None)), &Value::from(expected));
        }
        check_outcome(&mut report, &what, &faults, object, golden);
    }
    report.finish(golden.len());
}

#[test]
fn every_resource_has_as_many_cells_as_columns() {
    for resource in api::RESOURCES.iter().filter(|r| r.stored()) {
        let object = json!({
            "apiVersion": resource.api_version(), "kind": resource.kind,
            "metadata": {"name": "o", "creationTimestamp": "2026-06-01T11:00:00Z"},
        });
        let row = strategy(resource).row(&Object::from_value(&object).expect("the object is well-formed"), now());
        // Without a row the server shows the default ones.
        let cells = row.map_or(2, |cells| cells.len());
        assert_eq!(cells, columns(resource).len(), "{} {}", resource.api_version(), resource.plural);
    }
}

fn merge(target: &mut Value, change: &Value) {
    for (key, value) in change.as_object().into_iter().flatten() {
        match value {
            Value::Null => {
                target.as_object_mut().expect("objects are changed").remove(key);
            }
            Value::Object(_) if target[key].is_object() => merge(&mut target[key], value),
            _ => target[key] = value.clone(),
        }
    }
}

#[test]
fn updates() {
    let changes = corpus(include_str!("../golden/update.yaml"));
    let golden = results(include_str!("../golden/update.json"));
    assert_eq!(changes.len(), golden.len());
    let random = Random::from_seed(1);
    let mut report = Report(Vec::new());
    for (at, (change, golden)) in changes.iter().zip(&golden).enumerate() {
        let mut old = change["old"].clone();
        let resource = resource_of(&old);
        let rules = strategy(resource);
        let mut new = old.clone();
        merge(&mut new, &change["change"]);
        for object in [&mut old, &mut new] {
            fix(object);
            object["metadata"]["resourceVersion"] = json!("1");
            rules.default(object);
        }
        let door = change["subresource"].as_str().unwrap_or_default();
        let subresource = match door {
            "" => Subresource::None,
            "status" => Subresource::Status,
            other => Subresource::Other(other),
        };
        let what = format!("update {at}, {} {door} {}", label(&old), change["change"]);
        let context = WriteContext { now: now(), random: &random, subresource, user: "me" };
        rules.prepare_for_update(&mut new, &old, &context);
        let mut faults = metadata::validate_update(&new["metadata"], &old["metadata"]);
        faults.extend(rules.validate_update(&new, &old, subresource));
        if faults.is_empty() && subresource == Subresource::None {
            let expected = golden["warnings"].as_array().cloned().unwrap_or_default();
            report.check(
                &format!("{what}: warnings"),
                &json!(rules.warnings(&new, Some(&old))),
                &Value::from(expected),
            );
        }
        check_outcome(&mut report, &what, &faults, new, golden);
    }
    report.finish(golden.len());
}

#[test]
fn rows() {
    let objects = corpus(include_str!("../golden/rows.yaml"));
    let golden = results(include_str!("../golden/rows.json"));
    assert_eq!(objects.len(), golden.len());
    let mut report = Report(Vec::new());
    for (mut object, golden) in objects.into_iter().zip(&golden) {
        let what = label(&object);
        let resource = resource_of(&object);
        fix(&mut object);
        let rules = strategy(resource);
        rules.default(&mut object);
        let stored = Object::from_value(&object).expect("the object is well-formed");
        let ours = rules.row(&stored, now()).map_or(Value::Null, Value::from);
        let cells = match resource.kind {
            // A row does not know the list's other classes.
            "StorageClass" => json!(["o (default)", "p", "Delete", "Immediate", false, "65s"]),
            // Printed as a time of the present.
            "Role" | "ClusterRole" => json!(["o", object["metadata"]["creationTimestamp"]]),
            _ => golden["cells"].clone(),
        };
        report.check(&what, &ours, &cells);
        if let Some(cells) = ours.as_array() {
            assert_eq!(cells.len(), columns(resource).len(), "{what}: columns");
        }
    }
    report.finish(golden.len());
}

#[test]
fn strategic_patches() {
    let patches = corpus(include_str!("../golden/patch.yaml"));
    let golden = results(include_str!("../golden/patch.json"));
    assert_eq!(patches.len(), golden.len());
    let mut report = Report(Vec::new());
    for (patch, golden) in patches.iter().zip(&golden) {
        let mut document = patch["original"].clone();
        let ty = api::schemas().find(resource_of(&document).schema).expect("the kind has a schema");
        let done =
            apimachinery::patch::apply_strategic_patch(api::schemas(), ty, &mut document, patch["patch"].clone());
        let ours = match done {
            Ok(()) => json!({ "patched": document }),
            Err(e) => json!({ "error": e.to_string() }),
        };
        report.check(&patch["patch"].to_string(), &ours, golden);
    }
    report.finish(golden.len());
}

#[test]
fn text_is_kubectls() {
    let mut report = Report(Vec::new());
    for golden in results(include_str!("../golden/text.json")) {
        let ours = yaml::to_yaml(&golden["value"]);
        let upstream = golden["yaml"].as_str().unwrap_or_default();
        if ours != upstream {
            for (ours, upstream) in ours.lines().zip(upstream.lines()).filter(|(a, b)| a != b).take(12) {
                report.check("line", &json!(ours), &json!(upstream));
            }
            report.check("whole", &json!(ours), &json!(upstream));
        }
        match yaml::parse(upstream) {
            Ok(parsed) => report.check("read back", &parsed.value, &golden["value"]),
            Err(e) => report.check("read back", &json!(e.to_string()), &golden["value"]),
        }
    }
    report.finish(4);
}

#[test]
fn quantities() {
    let golden = results(include_str!("../golden/quantities.json"));
    let mut report = Report(Vec::new());
    for (text, expected) in golden[0].as_object().into_iter().flatten() {
        let mut expected = expected.clone();
        let ours = match text.parse::<apimachinery::Quantity>() {
            Ok(q) => {
                // Upstream's numbers overflow; ours stop at the largest one.
                for (key, number) in [("value", q.value()), ("milli", q.milli_value())] {
                    if number == i64::MAX || number == i64::MIN {
                        expected[key] = json!(number);
                    }
                }
                json!({ "text": q.to_string(), "value": q.value(), "milli": q.milli_value() })
            }
            Err(e) => json!({ "error": e.to_string() }),
        };
        let expected = &expected;
        report.check(text, &ours, expected);
    }
    report.finish(golden.len());
}

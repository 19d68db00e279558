//! Roles, ClusterRoles and what binds them.

use super::Case;
use super::fields::Fields;
use super::page::{Page, line};
use serde_json::Value;

/// A rule with one group, resource, name or path, and the verbs that hold for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Rule {
    verbs: Vec<String>,
    group: Option<String>,
    resource: Option<String>,
    name: Option<String>,
    path: Option<String>,
}

pub(super) fn role(case: &Case<'_>, page: &mut Page) {
    page.name(case.object);
    page.metadata(case.object);
    line!(page, 0, "PolicyRule:");
    line!(page, 1, "Resources\tNon-Resource URLs\tResource Names\tVerbs");
    line!(page, 1, "---------\t-----------------\t--------------\t-----");
    for rule in rules(case.object.list("rules")) {
        let list = |one: &Option<String>| format!("[{}]", one.as_deref().unwrap_or_default());
        let verbs = rule.verbs.join(" ");
        line!(page, 1, "{}\t{}\t{}\t[{verbs}]", resource(&rule), list(&rule.path), list(&rule.name));
    }
}

/// All rules, broken down and put together again by what they are about, in upstream's order.
fn rules(rules: &[Value]) -> Vec<Rule> {
    let strings = |rule: &Value, path: &str| -> Vec<String> {
        rule.list(path).iter().filter_map(Value::as_str).map(str::to_string).collect()
    };
    let mut compact: Vec<Rule> = Vec::new();
    let mut add = |rule: Rule, verb: &str| {
        // Paths are not put together: upstream compacts rules about resources only.
        let same = |there: &&mut Rule| {
            rule.path.is_none()
                && there.path.is_none()
                && (&there.group, &there.resource, &there.name) == (&rule.group, &rule.resource, &rule.name)
        };
        match compact.iter_mut().find(same) {
            Some(there) if there.verbs.iter().any(|known| known == verb) => {}
            Some(there) => there.verbs.push(verb.into()),
            None => compact.push(Rule { verbs: vec![verb.into()], ..rule }),
        }
    };
    for rule in rules {
        let verbs = strings(rule, "verbs");
        let names = strings(rule, "resourceNames");
        let names = if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
        for group in strings(rule, "apiGroups") {
            for resource in strings(rule, "resources") {
                for verb in &verbs {
                    for name in &names {
                        let (group, resource) = (Some(group.clone()), Some(resource.clone()));
                        add(Rule { group, resource, name: name.clone(), ..Rule::default() }, verb);
                    }
                }
            }
        }
        for path in strings(rule, "nonResourceURLs") {
            for verb in &verbs {
                add(Rule { path: Some(path.clone()), ..Rule::default() }, verb);
            }
        }
    }
    compact.sort_by_key(sort_text);
    compact
}

/// The text of Go's generated `String`, by which upstream sorts.
fn sort_text(rule: &Rule) -> String {
    let one = |one: &Option<String>| one.clone().unwrap_or_default();
    format!(
        "&PolicyRule{{Verbs:[{}],APIGroups:[{}],Resources:[{}],ResourceNames:[{}],NonResourceURLs:[{}],}}",
        rule.verbs.join(" "),
        one(&rule.group),
        one(&rule.resource),
        one(&rule.name),
        one(&rule.path)
    )
}

/// `resource.group/subresource`
fn resource(rule: &Rule) -> String {
    let whole = rule.resource.as_deref().unwrap_or_default();
    let (resource, subresource) = match whole.split_once('/') {
        Some((resource, subresource)) => (resource, format!("/{subresource}")),
        None => (whole, String::new()),
    };
    match rule.group.as_deref() {
        None | Some("") => format!("{resource}{subresource}"),
        Some(group) => format!("{resource}.{group}{subresource}"),
    }
}

pub(super) fn binding(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.name(object);
    page.metadata(object);
    line!(page, 0, "Role:");
    page.field(1, "Kind", object.text("roleRef/kind"));
    page.field(1, "Name", object.text("roleRef/name"));
    line!(page, 0, "Subjects:");
    line!(page, 1, "Kind\tName\tNamespace");
    line!(page, 1, "----\t----\t---------");
    for subject in object.list("subjects") {
        let (kind, name) = (subject.text("kind"), subject.text("name"));
        line!(page, 1, "{kind}\t{name}\t{}", subject.text("namespace"));
    }
}

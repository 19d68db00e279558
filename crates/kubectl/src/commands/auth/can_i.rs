//! `kubectl auth can-i`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use crate::commands::create::known_type;
use crate::context::Context;
use crate::error::KubectlError;
use crate::output::columns::ColumnWriter;
use crate::resource::Requests;

/// Verbs of resources and of other paths; with another one a warning is printed.
const RESOURCE_VERBS: [&str; 16] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "use",
    "bind",
    "impersonate",
    "*",
    "approve",
    "sign",
    "escalate",
    "attest",
];
const PATH_VERBS: [&str; 8] = ["get", "put", "post", "head", "options", "delete", "patch", "*"];

/// Check whether an action is allowed. The exit code is 1 where it is not.
#[derive(Debug, Args)]
pub(crate) struct CanI {
    /// What is to be done to what
    #[arg(value_name = "VERB [TYPE | TYPE/NAME | NONRESOURCEURL]")]
    arguments: Vec<String>,
    /// In all namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Show everything that is allowed
    #[arg(long)]
    list: bool,
    /// No line of headers
    #[arg(long)]
    no_headers: bool,
    /// Print nothing; the exit code tells
    #[arg(long, short)]
    quiet: bool,
    /// Such as log or scale
    #[arg(long)]
    subresource: Option<String>,
}

/// What is asked about.
#[derive(Default)]
struct Asked {
    group: String,
    resource: String,
    name: String,
    /// None where the server does not know the type.
    namespaced: Option<bool>,
}

impl CanI {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        if self.list {
            return self.print_list(context).await;
        }
        let [verb, what] = self.arguments.as_slice() else {
            return Err(KubectlError::new(
                "you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' \
                 for help and examples.",
            ));
        };
        let warn = |text: String| context.printer.err_line(format!("Warning: {text}\n"));
        let subresource = self.subresource.clone().unwrap_or_default();
        let spec = if what.starts_with('/') {
            if !subresource.is_empty() {
                return Err(KubectlError::new("--subresource can not be used with NonResourceURL"));
            }
            if !PATH_VERBS.contains(&verb.as_str()) {
                warn(format!("verb '{verb}' is not a known verb"));
            }
            json!({"nonResourceAttributes": {"verb": verb, "path": what}})
        } else {
            let asked = self.asked(context, what).await?;
            let namespace = if self.all_namespaces { "" } else { context.namespace()? };
            if !self.all_namespaces {
                if asked.namespaced == Some(false) {
                    let group =
                        if asked.group.is_empty() { String::new() } else { format!(" in group '{}'", asked.group) };
                    warn(format!("resource '{}' is not namespace scoped{group}", asked.resource));
                }
                if !RESOURCE_VERBS.contains(&verb.as_str()) {
                    warn(format!("verb '{verb}' is not a known verb"));
                }
            }
            json!({"resourceAttributes": {
                "namespace": namespace, "verb": verb, "group": asked.group, "resource": asked.resource,
                "subresource": subresource, "name": asked.name,
            }})
        };
        if self.no_headers {
            return Err(KubectlError::new("--no-headers cannot be set without --list specified"));
        }
        let status = review(context, "selfsubjectaccessreviews", "SelfSubjectAccessReview", spec).await?;
        let allowed = status["allowed"] == true;
        if !self.quiet {
            let mut text = if allowed { "yes" } else { "no" }.to_owned();
            if !allowed {
                for key in ["reason", "evaluationError"] {
                    if let Some(why) = status[key].as_str().filter(|why| !why.is_empty()) {
                        text.push_str(&format!(" - {why}"));
                    }
                }
            }
            context.printer.line(text)?;
        }
        if allowed { Ok(()) } else { Err(KubectlError::Exit { text: String::new(), code: 1 }) }
    }

    async fn asked(&self, context: &Context, what: &str) -> Result<Asked, KubectlError> {
        let (ty, name) = what.split_once('/').unwrap_or((what, ""));
        let name = name.to_owned();
        if ty == "*" {
            return Ok(Asked { resource: ty.to_owned(), name, ..Asked::default() });
        }
        // Kinds are no names of resources here.
        let lower = ty.to_lowercase();
        match context.resource(&lower).await {
            Ok(found) => Ok(Asked {
                group: found.group.clone(),
                resource: found.plural.clone(),
                name,
                namespaced: Some(found.namespaced),
            }),
            Err(KubectlError::Message(_)) => {
                if !matches!(lower.as_str(), "users" | "groups") {
                    let (resource, group) = lower.split_once('.').unwrap_or((&lower, ""));
                    let group = if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
                    context
                        .printer
                        .err_line(format!("Warning: the server doesn't have a resource type '{resource}'{group}\n"));
                }
                Ok(Asked { resource: ty.to_owned(), name, ..Asked::default() })
            }
            Err(error) => Err(error),
        }
    }

    async fn print_list(&self, context: &Context) -> Result<(), KubectlError> {
        if !self.arguments.is_empty() {
            return Err(KubectlError::new("list option must be specified with no arguments"));
        }
        if self.quiet || self.all_namespaces || self.subresource.as_ref().is_some_and(|sub| !sub.is_empty()) {
            return Err(KubectlError::new(
                "list option can't be specified with neither quiet, all-namespaces nor subresource options",
            ));
        }
        let spec = json!({"namespace": context.namespace()?});
        let status = review(context, "selfsubjectrulesreviews", "SelfSubjectRulesReview", spec).await?;
        if status["incomplete"] == true {
            let why = status["evaluationError"].as_str().unwrap_or_default();
            context.printer.err_line(format!("Warning: the list may be incomplete: {why}"));
        }
        let mut writer = ColumnWriter::default();
        if !self.no_headers {
            let headers = ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"];
            writer.row(headers.map(str::to_owned).to_vec());
        }
        for rule in rules(&status) {
            writer.row(vec![rule.shown(), list(&rule.urls), list(&rule.names), list(&rule.verbs)]);
        }
        context.printer.out(writer.flush())
    }
}

async fn review(context: &Context, plural: &str, kind: &str, spec: Value) -> Result<Value, KubectlError> {
    let resource = known_type("authorization.k8s.io", "v1", plural)?;
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec});
    let mut answer = Requests::new(context.client()?).create(&resource, "", &review).await?;
    Ok(answer["status"].take())
}

/// One line of the list.
#[derive(Debug, Default, Clone)]
struct Rule {
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    urls: Vec<String>,
    verbs: Vec<String>,
}

impl Rule {
    /// `pods/log`, `deployments.apps/scale`.
    fn shown(&self) -> String {
        let Some(resource) = self.resources.first() else { return String::new() };
        let (name, sub) = resource.split_once('/').map_or((resource.as_str(), None), |(name, sub)| (name, Some(sub)));
        let mut shown = name.to_owned();
        if let Some(group) = self.groups.first().filter(|group| !group.is_empty()) {
            shown.push_str(&format!(".{group}"));
        }
        if let Some(sub) = sub {
            shown.push_str(&format!("/{sub}"));
        }
        shown
    }

    /// As Go prints the rule, which is what upstream sorts by.
    fn key(&self) -> String {
        format!(
            "Verbs:{},APIGroups:{},Resources:{},ResourceNames:{},NonResourceURLs:{},",
            list(&self.verbs),
            list(&self.groups),
            list(&self.resources),
            list(&self.names),
            list(&self.urls)
        )
    }
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.join(" "))
}

/// The rules taken apart and put together again by resource (upstream: `rbac.CompactRules`).
fn rules(status: &Value) -> Vec<Rule> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut compact: BTreeMap<(String, String, String), Rule> = BTreeMap::new();
    for rule in status["resourceRules"].as_array().into_iter().flatten() {
        let names = match texts(&rule["resourceNames"]) {
            names if names.is_empty() => vec![String::new()],
            names => names,
        };
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for name in &names {
                    let key = (group.clone(), resource.clone(), name.clone());
                    let entry = compact.entry(key).or_insert_with(|| Rule {
                        groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        names: Some(name.clone()).filter(|name| !name.is_empty()).into_iter().collect(),
                        ..Rule::default()
                    });
                    for verb in texts(&rule["verbs"]) {
                        if !entry.verbs.contains(&verb) {
                            entry.verbs.push(verb);
                        }
                    }
                }
            }
        }
    }
    let mut all: Vec<Rule> = compact.into_values().collect();
    for rule in status["nonResourceRules"].as_array().into_iter().flatten() {
        for url in texts(&rule["nonResourceURLs"]) {
            for verb in texts(&rule["verbs"]) {
                all.push(Rule { urls: vec![url.clone()], verbs: vec![verb], ..Rule::default() });
            }
        }
    }
    all.sort_by_key(Rule::key);
    all
}

//! `kubectl create role` and `kubectl create clusterrole`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values::split_list;
use crate::write::CreateFlags;

/// The verbs that resources know; another gets a warning.
const VERBS: [&str; 14] = [
    "*",
    "get",
    "delete",
    "list",
    "create",
    "update",
    "patch",
    "watch",
    "proxy",
    "deletecollection",
    "use",
    "bind",
    "escalate",
    "impersonate",
];
/// The verbs of paths that are no resources.
const PATH_VERBS: [&str; 8] = ["*", "get", "post", "put", "delete", "patch", "head", "options"];
const RBAC: &str = "rbac.authorization.k8s.io";
/// Verbs that mean something for these types alone, by group and plural; most of them are not in discovery.
const SPECIAL_VERBS: [(&str, &[(&str, &str)]); 4] = [
    ("use", &[("policy", "podsecuritypolicies"), ("extensions", "podsecuritypolicies")]),
    ("bind", &[(RBAC, "roles"), (RBAC, "clusterroles")]),
    ("escalate", &[(RBAC, "roles"), (RBAC, "clusterroles")]),
    ("impersonate", &[("", "users"), ("", "serviceaccounts"), ("", "groups"), ("authentication.k8s.io", "userextras")]),
];

/// What one rule grants.
#[derive(Debug, Args)]
struct RuleFlags {
    /// What may be done: get, list, watch, create …; * for everything
    #[arg(long = "verb")]
    verbs: Vec<String>,
    /// Resources, as pods, deployments.apps, pods/log; * for all
    #[arg(long = "resource")]
    resources: Vec<String>,
    /// Only objects of this name
    #[arg(long = "resource-name")]
    resource_names: Vec<String>,
}

/// Create a role with a single rule.
#[derive(Debug, Args)]
pub(crate) struct CreateRole {
    /// Its name
    #[arg(value_name = "NAME --verb=VERB --resource=RESOURCE.GROUP/SUBRESOURCE [--resource-name=NAME]")]
    arguments: Vec<String>,
    #[command(flatten)]
    rule: RuleFlags,
    #[command(flatten)]
    flags: CreateFlags,
}

/// Create a cluster role.
#[derive(Debug, Args)]
pub(crate) struct CreateClusterRole {
    /// Its name
    #[arg(value_name = "NAME --verb=VERB --resource=RESOURCE.GROUP/SUBRESOURCE [--resource-name=NAME]")]
    arguments: Vec<String>,
    #[command(flatten)]
    rule: RuleFlags,
    /// Paths of the server that are no resources, as /healthz or /metrics/*
    #[arg(long = "non-resource-url")]
    non_resource_urls: Vec<String>,
    /// Take the rules of all cluster roles with these labels, as KEY=VALUE
    #[arg(long)]
    aggregation_rule: Vec<String>,
    #[command(flatten)]
    flags: CreateFlags,
}

impl CreateRole {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let verbs = self.rule.verbs();
        if verbs.is_empty() {
            return Err(KubectlError::new("at least one verb must be specified"));
        }
        warn_of_odd_verbs(context, &verbs);
        let resources = self.rule.resources();
        if resources.is_empty() {
            return Err(KubectlError::new("at least one resource must be specified"));
        }
        let resources = known(context, &verbs, &resources).await?;
        let rules = rules(&verbs, &resources, &unique(&self.rule.resource_names), &[]);
        let object = json!({"apiVersion": format!("{RBAC}/v1"), "kind": "Role", "metadata": {"name": name},
            "rules": rules});
        create_object(context, &self.flags, &known_type(RBAC, "v1", "roles")?, object, "").await
    }
}

impl CreateClusterRole {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let mut object = json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": name}});
        let aggregated = pairs(&self.aggregation_rule).map_err(|text| {
            KubectlError::usage(
                &context.command_path,
                format!(
                    "invalid argument {text:?} for \"--aggregation-rule\" flag: malformed pair, expect string=string"
                ),
            )
        })?;
        if aggregated.is_empty() {
            object["rules"] = json!(self.rules(context).await?);
        } else {
            let other = [&self.non_resource_urls, &self.rule.verbs, &self.rule.resources, &self.rule.resource_names];
            if other.iter().any(|values| !values.is_empty()) {
                return Err(KubectlError::new(
                    "aggregation rule must be specified without nonResourceURLs, verbs, resources or resourceNames",
                ));
            }
            object["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": aggregated}]});
            object["rules"] = Value::Null;
        }
        create_object(context, &self.flags, &known_type(RBAC, "v1", "clusterroles")?, object, "").await
    }

    async fn rules(&self, context: &Context) -> Result<Vec<Value>, KubectlError> {
        let verbs = self.rule.verbs();
        let (resources, urls) = (self.rule.resources(), unique(&split_list(&self.non_resource_urls)));
        if verbs.is_empty() {
            return Err(KubectlError::new("at least one verb must be specified"));
        }
        if resources.is_empty() && urls.is_empty() {
            return Err(KubectlError::new("one of resource or nonResourceURL must be specified"));
        }
        if !resources.is_empty() {
            warn_of_odd_verbs(context, &verbs);
        }
        let resources = known(context, &verbs, &resources).await?;
        check_paths(&verbs, &urls).map_err(KubectlError::new)?;
        Ok(rules(&verbs, &resources, &unique(&self.rule.resource_names), &urls))
    }
}

impl RuleFlags {
    /// The verbs, each once; `*` stands for all.
    fn verbs(&self) -> Vec<String> {
        let verbs = split_list(&self.verbs);
        if verbs.iter().any(|verb| verb == "*") { vec!["*".to_owned()] } else { unique(&verbs) }
    }

    /// The resources; `*` stands for all.
    fn resources(&self) -> Vec<Wanted> {
        let all: Vec<Wanted> = split_list(&self.resources).iter().map(|text| Wanted::parse(text)).collect();
        let everything = |wanted: &&Wanted| wanted.is_everything();
        all.iter().find(everything).map_or_else(|| all.clone(), |wanted| vec![wanted.clone()])
    }
}

/// A resource as the user names it: `deployments.apps/scale`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    /// `deployments.apps`.
    name: String,
    subresource: String,
}

impl Wanted {
    fn parse(text: &str) -> Self {
        let (name, subresource) = text.split_once('/').unwrap_or((text, ""));
        Self { name: name.to_owned(), subresource: subresource.to_owned() }
    }

    fn is_everything(&self) -> bool {
        self.name == "*" && self.subresource.is_empty()
    }

    /// Group and plural as they stand there.
    fn literal(&self) -> (String, String) {
        let (resource, group) = self.name.split_once('.').unwrap_or((&self.name, ""));
        (group.to_owned(), resource.to_owned())
    }
}

/// Group and resource, with the subresource, of what is wanted: what the server has gets its full name.
async fn known(context: &Context, verbs: &[String], wanted: &[Wanted]) -> Result<Vec<(String, String)>, KubectlError> {
    let (mut all, mut checked) = (Vec::new(), true);
    for one in wanted {
        let (group, resource) = one.literal();
        if resource.is_empty() {
            return Err(KubectlError::new("resource must be specified if apiGroup/subresource specified"));
        }
        // Whatever follows a `*` is taken as it is.
        checked &= resource != "*";
        let found = context.resource(&one.name).await;
        let (group, resource) = match &found {
            Ok(ty) => (ty.group.clone(), ty.plural.clone()),
            Err(_) => (group, resource),
        };
        if checked {
            let special = check_special(verbs, &group, &resource).map_err(KubectlError::new)?;
            if !special {
                found?;
            }
        }
        let path = if one.subresource.is_empty() { resource } else { format!("{resource}/{}", one.subresource) };
        all.push((group, path));
    }
    Ok(all)
}

/// Whether the type need not be known, since a verb is made for it. `Err` if a verb is made for others.
fn check_special(verbs: &[String], group: &str, resource: &str) -> Result<bool, String> {
    let mut special = false;
    for (verb, types) in SPECIAL_VERBS.iter().filter(|(verb, _)| verbs.iter().any(|given| given == verb)) {
        if !types.contains(&(group, resource)) {
            return Err(format!("can not perform '{verb}' on '{resource}' in group '{group}'"));
        }
        special = true;
    }
    Ok(special)
}

fn warn_of_odd_verbs(context: &Context, verbs: &[String]) {
    for verb in verbs.iter().filter(|verb| !VERBS.contains(&verb.as_str())) {
        context.printer.err_line(format!("Warning: '{verb}' is not a standard resource verb"));
    }
}

fn check_paths(verbs: &[String], paths: &[String]) -> Result<(), String> {
    if paths.is_empty() {
        return Ok(());
    }
    if let Some(verb) = verbs.iter().find(|verb| !PATH_VERBS.contains(&verb.as_str())) {
        return Err(format!("invalid verb: '{verb}' for nonResourceURL"));
    }
    for path in paths.iter().filter(|path| *path != "*") {
        if !path.starts_with('/') {
            return Err("nonResourceURL should start with /".to_owned());
        }
        if path.strip_suffix('*').unwrap_or(path).contains('*') {
            return Err("nonResourceURL only supports wildcard matches when '*' is at the end".to_owned());
        }
    }
    Ok(())
}

/// A rule for each group, and one for paths.
fn rules(verbs: &[String], resources: &[(String, String)], names: &[String], paths: &[String]) -> Vec<Value> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (group, resource) in resources {
        let of_group = groups.entry(group).or_default();
        if !of_group.contains(&resource.as_str()) {
            of_group.push(resource);
        }
    }
    let mut rules = Vec::new();
    for (group, resources) in groups {
        let mut rule = json!({"verbs": verbs, "apiGroups": [group], "resources": resources});
        if !names.is_empty() {
            rule["resourceNames"] = json!(names);
        }
        rules.push(rule);
    }
    if !paths.is_empty() {
        rules.push(json!({"verbs": verbs, "nonResourceURLs": paths}));
    }
    rules
}

/// Each text once, in the order of their first appearance.
fn unique(texts: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for text in texts {
        if !all.contains(text) {
            all.push(text.clone());
        }
    }
    all
}

/// `KEY=VALUE` pairs, in commas or as flags of their own. `Err` has the text that is none.
fn pairs(texts: &[String]) -> Result<BTreeMap<&str, &str>, String> {
    let all = texts.iter().flat_map(|text| text.split(',')).filter(|pair| !pair.is_empty());
    all.map(|pair| pair.split_once('=').map(|(key, value)| (key.trim(), value.trim())).ok_or_else(|| pair.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn each_group_has_a_rule() {
        let resources = [("", "pods"), ("apps", "deployments"), ("", "pods"), ("", "pods/log")];
        let resources: Vec<_> = resources.map(|(group, name)| (group.to_owned(), name.to_owned())).to_vec();
        let expected = [
            json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "pods/log"], "resourceNames": ["a"]}),
            json!({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["a"]}),
            json!({"verbs": ["get"], "nonResourceURLs": ["/healthz"]}),
        ];
        assert_eq!(rules(&texts(&["get"]), &resources, &texts(&["a"]), &texts(&["/healthz"])), expected);
    }

    #[test]
    fn some_verbs_are_for_some_types() {
        let judge = |verb: &str, group: &str, name: &str| check_special(&texts(&["get", verb]), group, name);
        assert_eq!(judge("list", "", "pods"), Ok(false));
        assert_eq!(judge("impersonate", "", "users"), Ok(true));
        let refused = "can not perform 'bind' on 'pods' in group ''";
        assert_eq!(judge("bind", "", "pods"), Err(refused.to_owned()));
    }

    #[test]
    fn paths_end_with_their_star() {
        let judge = |verb: &str, path: &str| check_paths(&texts(&[verb]), &texts(&[path]));
        assert_eq!(judge("get", "/metrics/*"), Ok(()));
        assert_eq!(judge("get", "*"), Ok(()));
        assert_eq!(judge("watch", "/x"), Err("invalid verb: 'watch' for nonResourceURL".to_owned()));
        assert_eq!(judge("get", "x"), Err("nonResourceURL should start with /".to_owned()));
        let middle = "nonResourceURL only supports wildcard matches when '*' is at the end";
        assert_eq!(judge("get", "/a/*/b"), Err(middle.to_owned()));
    }

    #[test]
    fn everything_stands_for_all() {
        let flags = |resources: &[&str], verbs: &[&str]| RuleFlags {
            verbs: texts(verbs),
            resources: texts(resources),
            resource_names: Vec::new(),
        };
        let rule = flags(&["pods,*", "deployments.apps/scale"], &["get,*"]);
        assert_eq!((rule.verbs(), rule.resources()), (texts(&["*"]), vec![Wanted::parse("*")]));
        let rule = flags(&["deployments.apps/scale"], &["get", "get,list"]);
        assert_eq!(rule.verbs(), texts(&["get", "list"]));
        let [scale] = rule.resources().try_into().expect("one");
        assert_eq!((scale.literal(), scale.subresource.as_str()), (("apps".into(), "deployments".into()), "scale"));
    }
}

//! `kubectl create ingress`.

use apimachinery::IntOrString;
use clap::Args;
use serde_json::{Map, Value, json};

use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::write::CreateFlags;

/// Create an ingress with the specified name.
#[derive(Debug, Args)]
pub(crate) struct CreateIngress {
    /// Its name
    #[arg(value_name = "NAME --rule=HOST/PATH=SERVICE:PORT[,tls[=SECRET]]")]
    arguments: Vec<String>,
    /// An annotation, as KEY=VALUE
    #[arg(long = "annotation")]
    annotations: Vec<String>,
    /// The ingress class
    #[arg(long, default_value = "", hide_default_value = true)]
    class: String,
    /// Where requests go that no rule fits, as SERVICE:PORT
    #[arg(long, default_value = "", hide_default_value = true)]
    default_backend: String,
    /// A rule, as HOST/PATH=SERVICE:PORT[,tls[=SECRET]]; a path that ends with * is a prefix
    #[arg(long = "rule")]
    rules: Vec<String>,
    #[command(flatten)]
    flags: CreateFlags,
}

impl CreateIngress {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let spec = self.spec().map_err(KubectlError::new)?;
        let mut metadata = json!({"name": name});
        let annotations = self.annotations().map_err(KubectlError::new)?;
        if !annotations.is_empty() {
            metadata["annotations"] = Value::Object(annotations);
        }
        let object =
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec});
        let resource = known_type("networking.k8s.io", "v1", "ingresses")?;
        create_object(context, &self.flags, &resource, object, "failed to create ingress:").await
    }

    fn annotations(&self) -> Result<Map<String, Value>, String> {
        let pair = |text: &String| {
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| format!("annotation {text} is invalid and should be in format key=[value]"))?;
            Ok((key.to_owned(), json!(value)))
        };
        self.annotations.iter().map(pair).collect()
    }

    fn spec(&self) -> Result<Value, String> {
        if self.default_backend.is_empty() && self.rules.is_empty() {
            return Err("not enough information provided: every ingress has to either specify a default-backend (which catches all \
                traffic) or a list of rules (which catch specific paths)"
                .to_owned());
        }
        let rules = self.rules.iter().map(|text| {
            Rule::parse(text).ok_or_else(|| {
                format!("rule {text} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]")
            })
        });
        let rules: Vec<Rule<'_>> = rules.collect::<Result<_, _>>()?;
        self.annotations()?;
        let mut spec = json!({});
        if !self.class.is_empty() {
            spec["ingressClassName"] = json!(self.class);
        }
        if !self.default_backend.is_empty() {
            let parts: Vec<&str> = self.default_backend.split(':').collect();
            let [service, port] = parts[..] else {
                return Err("default-backend should be in format servicename:serviceport".to_owned());
            };
            spec["defaultBackend"] = backend(service, port);
        }
        let tls = tls(&rules);
        if !tls.is_empty() {
            spec["tls"] = json!(tls);
        }
        if !rules.is_empty() {
            spec["rules"] = json!(by_host(&rules));
        }
        Ok(spec)
    }
}

/// What `--rule` says.
#[derive(Debug, PartialEq, Eq)]
struct Rule<'a> {
    host: &'a str,
    path: &'a str,
    is_prefix: bool,
    service: &'a str,
    port: &'a str,
    /// The secret, `""` for the controller's own certificate; `None` without TLS.
    tls: Option<&'a str>,
}

impl<'a> Rule<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        let (target, tls) = match text.split_once(',') {
            Some((target, tls)) => (target, Some(tls)),
            None => (text, None),
        };
        let (place, backend) = target.split_once('=')?;
        let slash = place.find('/')?;
        let (host, path) = place.split_at(slash);
        let (service, port) = backend.split_once(':')?;
        let host_is_right = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_*-.".contains(&byte));
        if !host_is_right || [service, port].iter().any(|name| name.is_empty() || !word(name)) {
            return None;
        }
        let tls = match tls {
            None => None,
            Some("tls") => Some(""),
            Some(named) => Some(named.strip_prefix("tls=").filter(|secret| word(secret))?),
        };
        let (path, is_prefix) = path.strip_suffix('*').map_or((path, false), |path| (path, true));
        Some(Self { host, path, is_prefix, service, port, tls })
    }
}

fn backend(service: &str, port: &str) -> Value {
    let port = match IntOrString::parse(port) {
        IntOrString::Int(number) => json!({"number": number}),
        IntOrString::String(name) => json!({"name": name}),
    };
    json!({"service": {"name": service, "port": port}})
}

/// The paths of each host, in the order in which the hosts are named first.
fn by_host(rules: &[Rule<'_>]) -> Vec<Value> {
    let mut hosts: Vec<(&str, Vec<Value>)> = Vec::new();
    for rule in rules {
        let kind = if rule.is_prefix { "Prefix" } else { "Exact" };
        let path = json!({"path": rule.path, "pathType": kind, "backend": backend(rule.service, rule.port)});
        match hosts.iter_mut().find(|(host, _)| *host == rule.host) {
            Some((_, paths)) => paths.push(path),
            None => hosts.push((rule.host, vec![path])),
        }
    }
    let rule = |(host, paths): (&str, Vec<Value>)| {
        let mut rule = json!({"http": {"paths": paths}});
        if !host.is_empty() {
            rule["host"] = json!(host);
        }
        rule
    };
    hosts.into_iter().map(rule).collect()
}

/// The hosts of each secret. A host counts once, with the first secret that is named for it.
fn tls(rules: &[Rule<'_>]) -> Vec<Value> {
    let mut seen: Vec<&str> = Vec::new();
    let mut secrets: Vec<(&str, Vec<&str>)> = Vec::new();
    for (host, secret) in rules.iter().filter_map(|rule| Some((rule.host, rule.tls?))) {
        if seen.contains(&host) {
            continue;
        }
        seen.push(host);
        match secrets.iter_mut().find(|(known, _)| *known == secret) {
            Some((_, hosts)) => hosts.push(host),
            None if host.is_empty() && secret.is_empty() => {}
            None => secrets.push((secret, if host.is_empty() { vec![] } else { vec![host] })),
        }
    }
    let entry = |(secret, hosts): (&str, Vec<&str>)| {
        let mut entry = json!({});
        if !hosts.is_empty() {
            entry["hosts"] = json!(hosts);
        }
        if !secret.is_empty() {
            entry["secretName"] = json!(secret);
        }
        entry
    };
    secrets.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a>(texts: &[&'a str]) -> Vec<Rule<'a>> {
        texts.iter().map(|text| Rule::parse(text).unwrap_or_else(|| panic!("{text}"))).collect()
    }

    #[test]
    fn rules_of_a_host_are_together() {
        let rules = parse(&["foo.com/=web:80", "/all*=other:http", "foo.com/admin*=admin:8080"]);
        let path = |path, kind, backend: Value| json!({"path": path, "pathType": kind, "backend": backend});
        let expected = json!([
            {"host": "foo.com", "http": {"paths": [
                path("/", "Exact", backend("web", "80")), path("/admin", "Prefix", backend("admin", "8080"))]}},
            {"http": {"paths": [path("/all", "Prefix", json!({"service": {"name": "other", "port": {"name": "http"}}}))]}},
        ]);
        assert_eq!(json!(by_host(&rules)), expected);
    }

    #[test]
    fn hosts_of_a_secret_are_together() {
        let rules =
            parse(&["a.com/=s:1,tls=x", "b.com/=s:1,tls=x", "a.com/b=s:1,tls=y", "c.com/=s:1,tls", "d.com/=s:1"]);
        let expected = json!([{"hosts": ["a.com", "b.com"], "secretName": "x"}, {"hosts": ["c.com"]}]);
        assert_eq!(json!(tls(&rules)), expected);
    }

    #[test]
    fn what_is_no_rule() {
        for text in ["foo.com=s:1", "foo.com/", "/=s", "/=:1", "/=s:", "f oo/=s:1", "/=s:1,ssl"] {
            assert_eq!(Rule::parse(text), None, "{text}");
        }
    }
}

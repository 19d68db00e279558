//! What a request's method and path ask for (upstream: `apiserver/pkg/endpoints/request/requestinfo.go`).

use std::collections::BTreeMap;

use apimachinery::{ApiError, Resource};
use client::Target;
use http::Method;

use super::aggregate::RemoteRoute;
use crate::authorization::Attributes;
use crate::catalog::Catalog;
use crate::local::selected_name;

/// A request's path, parsed.
#[derive(Debug, Clone)]
pub(crate) enum Route {
    /// A resource of the API.
    Resource(ResourceRoute),
    /// What another server serves.
    Remote(RemoteRoute),
    /// Anything else: `/version`, `/healthz`, discovery.
    Path(String),
}

/// A path that names a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResourceRoute {
    pub(crate) verb: &'static str,
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
    /// What follows the subresource: the path of `proxy`.
    pub(crate) rest: String,
    /// The one object that a list or watch selects by its name; empty if it selects others. Who may read only that one may
    /// list it so.
    pub(crate) selected: String,
}

impl ResourceRoute {
    /// The target of the engine's calls.
    pub(crate) fn target(&self) -> Target<'_> {
        Target { resource: self.resource, namespace: &self.namespace, name: &self.name, subresource: &self.subresource }
    }
}

impl Route {
    /// What the authorizer is asked.
    pub(crate) fn attributes(&self, method: &Method) -> Attributes {
        match self {
            Self::Resource(route) => {
                let mut attributes = crate::local::attributes(route.verb, route.target());
                if attributes.name.is_empty() {
                    attributes.name.clone_from(&route.selected);
                }
                attributes
            }
            Self::Remote(route) => route.attributes.clone(),
            Self::Path(path) => {
                Attributes { verb: method.as_str().to_lowercase(), path: path.clone(), ..Attributes::default() }
            }
        }
    }

    /// Parses a request. Paths of resources that do not exist are not found.
    pub(crate) fn parse(method: &Method, path: &str, query: &Query, catalog: &Catalog) -> Result<Self, ApiError> {
        let parts: Vec<String> = path.split('/').filter(|p| !p.is_empty()).map(percent_decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return Ok(Self::Path(path.to_owned())),
        };
        let (watch_path, rest) = match rest {
            ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
            rest => (false, rest),
        };
        let (namespace, rest) = match rest {
            // The subresources of Namespaces look like resources in one.
            ["namespaces", _, "status" | "finalize"] => ("", rest),
            ["namespaces", namespace, plural, ..] if !plural.is_empty() => (*namespace, &rest[2..]),
            rest => ("", rest),
        };
        let plural = rest.first().copied().unwrap_or_default();
        let resource = catalog.find(group, version, plural).ok_or_else(ApiError::path_not_found)?;
        let name = rest.get(1).copied().unwrap_or_default();
        let subresource = rest.get(2).copied().unwrap_or_default();
        if !namespace.is_empty() && !resource.namespaced() {
            return Err(ApiError::path_not_found());
        }
        if !subresource.is_empty() && resource.subresource(subresource).is_none() {
            return Err(ApiError::path_not_found());
        }
        if namespace.is_empty() && resource.namespaced() && !name.is_empty() {
            return Err(ApiError::path_not_found());
        }
        let watches = watch_path || query.flag("watch");
        let verb = match *method {
            Method::GET | Method::HEAD if watches && subresource.is_empty() => "watch",
            Method::GET | Method::HEAD if name.is_empty() => "list",
            Method::GET | Method::HEAD => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if name.is_empty() => "deletecollection",
            Method::DELETE => "delete",
            // Only a proxy knows what to do with others; upstream has no verb for them either.
            _ if subresource == "proxy" => "",
            _ => return Err(ApiError::method_not_allowed()),
        };
        let rest = rest.get(3..).map(|tail| tail.join("/")).unwrap_or_default();
        if !rest.is_empty() && subresource != "proxy" {
            return Err(ApiError::path_not_found());
        }
        let selected = match verb {
            "list" | "watch" => query.selected_name().unwrap_or_default(),
            _ => String::new(),
        };
        Ok(Self::Resource(ResourceRoute {
            selected,
            verb,
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
            rest,
        }))
    }
}

/// A parsed query string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    /// Parses `a=b&c=d`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in text.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| percent_decode(&text.replace('+', " "));
            map.entry(decode(key)).or_default().push(decode(value));
        }
        Self(map)
    }

    /// The first value; empty if there is none.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(|values| values.first()).map_or("", String::as_str)
    }

    /// All values.
    pub(crate) fn all(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether the key is there, with whatever value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether the key is there and not `false` or `0`.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.0.get(key).and_then(|values| values.first()).is_some_and(|v| !matches!(v.as_str(), "false" | "0"))
    }

    /// The name of the one object that the field selector lets through, if it names one.
    pub(crate) fn selected_name(&self) -> Option<String> {
        selected_name(self.text("fieldSelector"))
    }

    /// A number, if the key is there.
    pub(crate) fn number<N: std::str::FromStr>(&self, key: &str) -> Result<Option<N>, ApiError> {
        match self.text(key) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                ApiError::bad_request(format!("the query parameter {key} is {text:?}, which is not a number in range"))
            }),
        }
    }
}

pub(super) fn percent_decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = |b: u8| (b as char).to_digit(16).and_then(|d| u8::try_from(d).ok());
        match (bytes[i], bytes.get(i + 1).copied().and_then(hex), bytes.get(i + 2).copied().and_then(hex)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high * 16 + low);
                i += 3;
            }
            (byte, ..) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;

//! What a path asks for, by its form alone: here nobody knows which resources there are
//! (upstream: `apiserver/pkg/endpoints/request/requestinfo.go`).

use http::Method;

use super::super::request::Query;
use crate::authorization::Attributes;

/// The attributes of a request to a resource; `rest` is what follows the version in its path.
pub(super) fn of_resource(method: &Method, group: &str, version: &str, rest: &[&str], query: &Query) -> Attributes {
    let mut verb = match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    };
    let (special, rest) = match rest {
        [word @ ("watch" | "proxy"), rest @ ..] if !rest.is_empty() => (Some(*word), rest),
        rest => (None, rest),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, below, ..] if !matches!(*below, "status" | "finalize") => (*namespace, &rest[2..]),
        ["namespaces", namespace, ..] => (*namespace, rest),
        rest => ("", rest),
    };
    let at = |index: usize| rest.get(index).copied().unwrap_or_default();
    let mut name = at(1).to_owned();
    let subresource = if special.is_none() { at(2) } else { "" };
    match (verb, special) {
        (_, Some(word)) => verb = word,
        ("get", None) if name.is_empty() => {
            verb = if query.flag("watch") { "watch" } else { "list" };
            name = query.selected_name().unwrap_or_default();
        }
        ("delete", None) if name.is_empty() => verb = "deletecollection",
        _ => {}
    }
    Attributes {
        verb: verb.to_owned(),
        group: group.to_owned(),
        version: version.to_owned(),
        resource: at(0).to_owned(),
        subresource: subresource.to_owned(),
        namespace: namespace.to_owned(),
        name,
        path: String::new(),
    }
}

use http::Method;

use super::{Query, Route};

fn route(method: Method, path: &str, query: &str) -> String {
    match Route::parse(&method, path, &Query::parse(query), &crate::catalog::Catalog::default()) {
        Ok(Route::Resource(r)) => {
            format!("{} {} {}/{}/{} {}", r.verb, r.resource.plural, r.namespace, r.name, r.subresource, r.rest)
        }
        Ok(Route::Path(path)) => format!("path {path}"),
        Ok(Route::Remote(_)) => "remote".to_owned(),
        Err(error) => format!("{}", error.code),
    }
}

#[test]
fn paths_mean_what_they_mean_upstream() {
    for (method, path, query, expected) in [
        (Method::GET, "/api/v1/pods", "", "list pods // "),
        (Method::GET, "/api/v1/namespaces/dev/pods", "watch=true", "watch pods dev// "),
        (Method::GET, "/api/v1/watch/namespaces/dev/pods/x", "", "watch pods dev/x/ "),
        (Method::GET, "/api/v1/namespaces/dev", "", "get namespaces /dev/ "),
        (Method::PUT, "/api/v1/namespaces/dev/finalize", "", "update namespaces /dev/finalize "),
        (Method::GET, "/api/v1/namespaces/dev/pods/x/log", "follow=1", "get pods dev/x/log "),
        (Method::POST, "/api/v1/namespaces/dev/pods/x/exec", "", "create pods dev/x/exec "),
        (Method::GET, "/api/v1/namespaces/dev/services/x/proxy/a/b", "", "get services dev/x/proxy a/b"),
        (Method::DELETE, "/apis/apps/v1/namespaces/dev/deployments", "", "deletecollection deployments dev// "),
        (Method::PATCH, "/apis/apps/v1/namespaces/dev/deployments/x/scale", "", "patch deployments dev/x/scale "),
        (Method::GET, "/apis/apps/v1", "", "path /apis/apps/v1"),
        (Method::GET, "/healthz", "", "path /healthz"),
        (Method::GET, "/api/v1/nothing", "", "404"),
        (Method::GET, "/api/v1/namespaces/dev/nodes", "", "404"),
        (Method::GET, "/api/v1/namespaces/dev/pods/x/nothing", "", "404"),
    ] {
        assert_eq!(route(method.clone(), path, query), expected, "{method} {path}?{query}");
    }
}

#[test]
fn a_list_of_one_object_is_asked_about_as_that_object() {
    for (path, query, name) in [
        ("/api/v1/namespaces/dev/configmaps", "fieldSelector=metadata.name%3Dtrust", "trust"),
        ("/api/v1/namespaces/dev/configmaps", "watch=1&fieldSelector=a%21%3Db,metadata.name%3D%3Dtrust", "trust"),
        ("/api/v1/namespaces/dev/configmaps", "fieldSelector=metadata.name%21%3Dtrust", ""),
        ("/api/v1/namespaces/dev/configmaps", "fieldSelector=metadata.name%3Da/b", ""),
        ("/api/v1/namespaces/dev/configmaps/other", "fieldSelector=metadata.name%3Dtrust", "other"),
    ] {
        let catalog = crate::catalog::Catalog::default();
        let route = Route::parse(&Method::GET, path, &Query::parse(query), &catalog).unwrap();
        assert_eq!(route.attributes(&Method::GET).name, name, "{path}?{query}");
    }
}

#[test]
fn queries_are_decoded() {
    let query = Query::parse("labelSelector=a%3Db%2Cc+in+(d)&watch&command=sh&command=-c");
    assert_eq!(query.text("labelSelector"), "a=b,c in (d)");
    assert!(query.flag("watch"));
    assert_eq!(query.all("command"), ["sh", "-c"]);
    assert!(query.number::<u32>("watch").unwrap().is_none());
    assert!(Query::parse("limit=x").number::<u32>("limit").is_err());
}

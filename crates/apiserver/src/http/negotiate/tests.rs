use http::HeaderMap;

use super::{Encoding, Form, Shape, encoding_of_failures, negotiate};

fn form(accept: &str) -> Option<Form> {
    let mut headers = HeaderMap::new();
    headers.insert("accept", accept.parse().unwrap());
    negotiate(&headers).ok()
}

#[test]
fn the_first_served_form_wins() {
    let json = |shape| Some(Form { encoding: Encoding::Json, shape });
    assert_eq!(form("application/json"), json(Shape::Whole));
    assert_eq!(form("*/*"), json(Shape::Whole));
    let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
    assert_eq!(form(kubectl), json(Shape::Table));
    assert_eq!(form("application/vnd.kubernetes.protobuf,application/json"), json(Shape::Whole));
    assert_eq!(form("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"), json(Shape::Metadata));
    assert_eq!(
        form("application/json;q=0.1, application/yaml"),
        Some(Form { encoding: Encoding::Yaml, shape: Shape::Whole })
    );
    assert_eq!(form("text/html"), None);
    assert_eq!(form("application/vnd.kubernetes.protobuf"), None);
}

#[test]
fn a_failure_is_told_whatever_is_accepted() {
    let encoding = |accept: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("accept", accept.parse().unwrap());
        encoding_of_failures(&headers)
    };
    assert_eq!(encoding("application/yaml"), Encoding::Yaml);
    assert_eq!(encoding("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), Encoding::Json);
    assert_eq!(encoding("text/html, application/yaml;q=0.1"), Encoding::Yaml);
    assert_eq!(encoding("application/vnd.kubernetes.protobuf"), Encoding::Json);
}

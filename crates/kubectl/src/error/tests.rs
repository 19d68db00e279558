use apimachinery::{ApiError, FieldError, FieldPath};
use expect_test::{Expect, expect};

use super::*;

fn check(error: KubectlError, expected: Expect) {
    expected.assert_eq(&error.printed());
}

#[test]
fn texts_that_scripts_know() {
    check(KubectlError::new("no"), expect![["error: no\n"]]);
    check(
        ApiError::not_found("apps", "deployments", "x").into(),
        expect![["Error from server (NotFound): deployments.apps \"x\" not found\n"]],
    );
    check(ApiError::unauthorized().into(), expect![["error: You must be logged in to the server (Unauthorized)\n"]]);
    check(
        RestError::Unreachable {
            method: "Get".into(),
            url: "http://localhost:8080/api".into(),
            authority: "localhost:8080".into(),
            reason: "dial tcp 127.0.0.1:8080: connect: connection refused".into(),
        }
        .into(),
        expect![[
            "The connection to the server localhost:8080 was refused - did you specify the right host or port?\n"
        ]],
    );
    check(
        KubectlError::usage("kubectl get", "Required resource not specified."),
        expect![[r#"
        error: Required resource not specified.
        See 'kubectl get -h' for help and examples
    "#]],
    );
}

#[test]
fn an_invalid_object_is_told_fault_by_fault() {
    let fault = |field: &'static str| FieldError::required(&FieldPath::new(field), "must be set");
    check(
        ApiError::invalid("apps", "Deployment", "x", &[fault("a")]).into(),
        expect![["The Deployment \"x\" is invalid: a: Required value: must be set\n"]],
    );
    check(
        ApiError::invalid("apps", "Deployment", "x", &[fault("a"), fault("b")]).into(),
        expect![[r#"
        The Deployment "x" is invalid: 
        * a: Required value: must be set
        * b: Required value: must be set
    "#]],
    );
}

#[test]
fn several_errors_get_a_line_each() {
    let many = KubectlError::all(vec![ApiError::not_found("", "pods", "a").into(), KubectlError::new("b")]);
    check(
        many.unwrap_err(),
        expect![[r#"
        Error from server (NotFound): pods "a" not found
        b
    "#]],
    );
}

#[test]
fn the_source_is_named() {
    let error: KubectlError = ApiError::already_exists("", "pods", "a").into();
    check(
        error.about_source("creating", "x.yaml"),
        expect![["Error from server (AlreadyExists): error when creating \"x.yaml\": pods \"a\" already exists\n"]],
    );
}

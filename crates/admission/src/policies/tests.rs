use api::resources::{
    CONFIGMAPS, CUSTOMRESOURCEDEFINITIONS, DEPLOYMENTS, MUTATINGADMISSIONPOLICIES, MUTATINGADMISSIONPOLICYBINDINGS,
    NAMESPACES, VALIDATINGADMISSIONPOLICIES, VALIDATINGADMISSIONPOLICYBINDINGS,
};
use apimachinery::{Admission, ApiError, Operation, Reason, Resource};
use serde_json::{Value, json};

use super::{MutatingAdmissionPolicy, ValidatingAdmissionPolicy};
use crate::tests::{World, request};

/// A policy for ConfigMaps, or for Deployments, with these fields of its spec.
fn policy(name: &str, spec: Value) -> Value {
    let mut policy = json!({"metadata": {"name": name}, "spec": {
        "failurePolicy": "Fail", "reinvocationPolicy": "Never",
        "matchConstraints": {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "resourceRules": [{"operations": ["CREATE"], "apiGroups": ["*"], "apiVersions": ["*"],
                "resources": ["configmaps", "deployments"]}]},
    }});
    merge(&mut policy["spec"], &spec);
    policy
}

fn binding(policy: &str, spec: Value) -> Value {
    let mut binding = json!({"metadata": {"name": "b"}, "spec": {"policyName": policy, "validationActions": ["Deny"]}});
    merge(&mut binding["spec"], &spec);
    binding
}

fn merge(into: &mut Value, more: &Value) {
    for (key, value) in more.as_object().into_iter().flatten() {
        into[key] = value.clone();
    }
}

fn config_map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "dev",
        "labels": {"app": "a"}}, "data": {"size": "7"}})
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "dev"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

struct Admitted {
    result: Result<(), ApiError>,
    object: Value,
    warnings: Vec<String>,
}

/// Creates `object` in a world of policies, bindings and parameters.
fn create(resource: &'static Resource, mut object: Value, policies: &[Value], bindings: &[Value]) -> Admitted {
    let limits = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "limits", "namespace": "dev", "labels": {"of": "sizes"}}, "data": {"most": "5"}});
    let namespace = json!({"metadata": {"name": "dev", "labels": {"team": "a"}, "managedFields": []}});
    let world = World::of(&[
        (VALIDATINGADMISSIONPOLICIES, policies),
        (VALIDATINGADMISSIONPOLICYBINDINGS, bindings),
        (MUTATINGADMISSIONPOLICIES, policies),
        (MUTATINGADMISSIONPOLICYBINDINGS, bindings),
        (CONFIGMAPS, &[limits]),
        (NAMESPACES, &[namespace]),
        (CUSTOMRESOURCEDEFINITIONS, &[]),
    ]);
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let mut warnings = Vec::new();
    let mut request = request(Operation::Create, resource, "dev", &name, &mut object, &mut warnings);
    let mutates = policies.iter().any(|policy| policy["spec"]["mutations"].is_array());
    let result = if mutates {
        MutatingAdmissionPolicy.admit(&mut request, &world)
    } else {
        ValidatingAdmissionPolicy.validate(&mut request, &world)
    };
    Admitted { result, object, warnings }
}

fn judged(spec: Value, of_binding: Value) -> Admitted {
    create(CONFIGMAPS, config_map(), &[policy("p", spec)], &[binding("p", of_binding)])
}

fn validation(expression: &str) -> Value {
    json!({"validations": [{"expression": expression}]})
}

#[test]
fn what_a_policy_wants_decides() {
    let cases = [
        (validation("object.data.size == '7'"), None),
        (validation("object.data.size == '8'"), Some("failed expression: object.data.size == '8'")),
        (validation("oldObject == null && request.operation == 'CREATE' && request.dryRun == false"), None),
        (
            validation("namespaceObject.metadata.labels.team == 'a' && !has(namespaceObject.metadata.managedFields)"),
            None,
        ),
        (validation("request.kind.kind == 'ConfigMap' && request.resource.resource == 'configmaps'"), None),
        (json!({"validations": [{"expression": "false", "message": " no way "}]}), Some("no way")),
        (
            json!({"validations": [{"expression": "false", "message": "m", "messageExpression": "'of ' + object.data.size"}]}),
            Some("of 7"),
        ),
        (
            json!({"validations": [{"expression": "false", "message": "m", "messageExpression": "object.data.none"}]}),
            Some("m"),
        ),
        (
            json!({"variables": [{"name": "a", "expression": "int(object.data.size)"},
                {"name": "b", "expression": "variables.a + 1"}], "validations": [{"expression": "variables.b == 8"}]}),
            None,
        ),
        (
            json!({"variables": [{"name": "a", "expression": "object.data.none"}],
                "validations": [{"expression": "true || variables.a"}, {"expression": "variables.a"}]}),
            Some(
                "expression 'variables.a' resulted in error: composited variable \"a\" fails to evaluate: no such key: none",
            ),
        ),
        (
            validation("object.data.none == '1'"),
            Some("expression 'object.data.none == '1'' resulted in error: no such key: none"),
        ),
        (json!({"failurePolicy": "Ignore", "validations": [{"expression": "object.data.none == '1'"}]}), None),
        (
            json!({"matchConditions": [{"name": "n", "expression": "object.data.size != '7'"}],
                "validations": [{"expression": "false"}]}),
            None,
        ),
        (
            json!({"matchConditions": [{"name": "n", "expression": "object.data.none == ''"},
                {"name": "m", "expression": "false"}], "validations": [{"expression": "false"}]}),
            None,
        ),
        (
            json!({"auditAnnotations": [{"key": "k", "valueExpression": "1"}], "validations": []}),
            Some(
                "valueExpression '1' resulted in unsupported return type: int. Return type must be either string or null.",
            ),
        ),
    ];
    for (spec, wanted) in cases {
        let shown = spec.to_string();
        let admitted = judged(spec, json!({}));
        let why = admitted.result.err().map(|error| error.message);
        let wanted = wanted.map(|why| {
            format!(
                "configmaps \"c\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: {why}"
            )
        });
        assert_eq!(why, wanted, "{shown}");
    }
}

#[test]
fn a_refusal_has_its_reason_and_a_warning_lets_pass() {
    let error = judged(validation("false"), json!({})).result.expect_err("it is refused");
    assert_eq!((error.reason, error.code, error.kind.as_str()), (Reason::Invalid, 422, "configmaps"));
    assert!(error.causes[0].message.starts_with("ValidatingAdmissionPolicy 'p' with binding 'b' denied"));
    let spec = json!({"validations": [{"expression": "false", "reason": "Forbidden"}]});
    let error = judged(spec, json!({})).result.expect_err("it is refused");
    assert_eq!((error.reason, error.code), (Reason::Forbidden, 403));
    let warned = judged(validation("false"), json!({"validationActions": ["Warn", "Audit"]}));
    assert_eq!(warned.result, Ok(()));
    let wanted = "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': failed expression: false";
    assert_eq!(warned.warnings, [wanted]);
}

#[test]
fn a_binding_narrows_what_a_policy_is_about() {
    let resources = |more: Value| {
        let mut all = json!({"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}});
        merge(&mut all, &more);
        json!({"matchResources": all})
    };
    let rule = |resource: &str, names: Value| json!([{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": [resource], "resourceNames": names}]);
    let cases = [
        (json!({}), true),
        (resources(json!({})), true),
        (resources(json!({"namespaceSelector": {"matchLabels": {"team": "b"}}})), false),
        (resources(json!({"objectSelector": {"matchLabels": {"app": "b"}}})), false),
        (resources(json!({"resourceRules": rule("secrets", json!([]))})), false),
        (resources(json!({"resourceRules": rule("configmaps", json!(["c"]))})), true),
        (resources(json!({"resourceRules": rule("configmaps", json!(["d"]))})), false),
        (resources(json!({"excludeResourceRules": rule("configmaps", json!(["c"]))})), false),
        (json!({"policyName": "another"}), false),
    ];
    for (spec, refused) in cases {
        assert_eq!(judged(validation("false"), spec.clone()).result.is_err(), refused, "{spec}");
    }
    let exempt =
        create(VALIDATINGADMISSIONPOLICIES, json!({}), &[policy("p", validation("false"))], &[binding("p", json!({}))]);
    assert_eq!(exempt.result, Ok(()), "a policy can always be taken away");
}

#[test]
fn parameters_come_from_other_objects() {
    let of = |kind: &str| {
        json!({"paramKind": {"apiVersion": "v1", "kind": kind},
            "validations": [{"expression": "params != null && int(object.data.size) <= int(params.data.most)"}]})
    };
    let too_large = "failed expression: params != null && int(object.data.size) <= int(params.data.most)";
    let cases = [
        ("ConfigMap", json!({"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}}), Some(too_large)),
        (
            "ConfigMap",
            json!({"paramRef": {"selector": {"matchLabels": {"of": "sizes"}}, "namespace": "dev",
                "parameterNotFoundAction": "Deny"}}),
            Some(too_large),
        ),
        ("ConfigMap", json!({"paramRef": {"name": "none", "parameterNotFoundAction": "Allow"}}), None),
        (
            "ConfigMap",
            json!({"paramRef": {"name": "none", "parameterNotFoundAction": "Deny"}}),
            Some("failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"),
        ),
        ("ConfigMap", json!({}), Some(too_large)),
    ];
    for (kind, spec, wanted) in cases {
        let why = judged(of(kind), spec.clone()).result.err().map(|error| error.message);
        let wanted = wanted.map(|why| {
            format!(
                "configmaps \"c\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: {why}"
            )
        });
        assert_eq!(why, wanted, "{spec}");
    }
    let error = judged(of("Nothing"), json!({})).result.expect_err("the kind is unknown");
    let wanted = "configmaps \"c\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: failed to configure \
                  policy: failed to find resource referenced by paramKind: '/v1, Kind=Nothing'";
    assert_eq!(error.message, wanted);
}

fn apply(expression: &str) -> Value {
    json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}})
}

fn json_patch(expression: &str) -> Value {
    json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}})
}

#[test]
fn a_policy_changes_what_is_written() {
    let sidecar = "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{containers: [\
        Object.spec.template.spec.containers{name: 'side', image: 'proxy'}, \
        Object.spec.template.spec.containers{name: 'c', image: object.spec.template.spec.containers[0].image + ':v1'}]}}}}";
    let spec = json!({"mutations": [
        apply(sidecar),
        apply("Object{metadata: Object.metadata{labels: {'n': string(object.spec.template.spec.containers.size())}}}"),
        json_patch("[JSONPatch{op: 'test', path: '/spec/replicas', value: 3}, \
                    JSONPatch{op: 'replace', path: '/spec/replicas', value: 4}]"),
        json_patch("[JSONPatch{op: 'test', path: '/spec/replicas', value: 3}, \
                    JSONPatch{op: 'replace', path: '/spec/replicas', value: 9}]"),
        json_patch("[JSONPatch{op: 'add', path: '/metadata/annotations', value: {'a/b': 'x'}}]"),
    ]});
    let made = create(DEPLOYMENTS, deployment(), &[policy("p", spec)], &[binding("p", json!({}))]);
    assert_eq!(made.result, Ok(()));
    let containers = &made.object["spec"]["template"]["spec"]["containers"];
    let shown: Vec<_> = containers.as_array().into_iter().flatten().map(|c| (&c["name"], &c["image"])).collect();
    assert_eq!(shown, [(&json!("c"), &json!("i:v1")), (&json!("side"), &json!("proxy"))]);
    assert_eq!(containers[1]["imagePullPolicy"], "Always", "defaults are filled in");
    assert_eq!(made.object["metadata"]["labels"], json!({"n": "2"}));
    assert_eq!(made.object["metadata"]["annotations"], json!({"a/b": "x"}));
    assert_eq!(made.object["spec"]["replicas"], 4, "a patch whose test fails changes nothing");
}

#[test]
fn a_mutation_that_fails_refuses_unless_it_may() {
    let cases = [
        (
            apply(
                "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{containers: [\
                Object.spec.template.spec.containers{name: 'c', args: ['x']}]}}}}",
            ),
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: \
             .spec.template.spec.containers[0].args",
        ),
        (
            json_patch("[JSONPatch{op: 'remove', path: '/spec/nothing'}]"),
            "JSON Patch: error in remove for path: '/spec/nothing': Unable to remove nonexistent key: nothing: missing value",
        ),
        (apply("object.spec.none"), "expression 'object.spec.none' resulted in error: no such key: none"),
    ];
    for (mutation, why) in cases {
        let spec = |failure: &str| json!({"failurePolicy": failure, "mutations": [mutation]});
        let run = |failure: &str| {
            create(DEPLOYMENTS, deployment(), &[policy("p", spec(failure))], &[binding("p", json!({}))]).result
        };
        let error = run("Fail").expect_err(why);
        assert_eq!((error.reason, error.code), (Reason::Invalid, 403));
        assert!(error.message.starts_with("policy 'p' with binding 'b' denied request: "), "{}", error.message);
        assert!(error.message.contains(why), "{}", error.message);
        assert_eq!(run("Ignore"), Ok(()));
    }
}

#[test]
fn one_that_wants_it_is_asked_again_after_a_change() {
    let count = "Object{metadata: Object.metadata{labels: {'n': string(object.metadata.labels.size())}}}";
    let add = "Object{metadata: Object.metadata{labels: {'z': 'z'}}}";
    let run = |again: &str| {
        let policies = [
            policy("a", json!({"reinvocationPolicy": again, "mutations": [apply(count)]})),
            policy("b", json!({"mutations": [apply(add)]})),
        ];
        let mut bindings = [binding("a", json!({})), binding("b", json!({}))];
        bindings[1]["metadata"]["name"] = json!("c");
        create(CONFIGMAPS, config_map(), &policies, &bindings).object["metadata"]["labels"]["n"].clone()
    };
    assert_eq!((run("Never"), run("IfNeeded")), (json!("1"), json!("3")));
}

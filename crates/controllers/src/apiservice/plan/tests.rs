use super::*;

fn api_service() -> Value {
    json!({"spec": {"service": {"name": "api", "namespace": "dev", "port": 7443}}})
}

fn service(port: u16) -> Value {
    json!({"spec": {"type": "ClusterIP", "ports": [{"port": 80, "name": "web"}, {"port": port, "name": "tls"}]}})
}

fn slice(ready: Value, port: &str) -> Value {
    json!({"endpoints": [{"addresses": ["10.244.0.9"], "conditions": ready}], "ports": [{"name": port, "port": 443}]})
}

#[test]
fn objects_tell_why_a_server_can_not_be_reached() {
    let ready = json!({"ready": true});
    let cases = [
        (None, vec![], Some(("ServiceNotFound", "service/api in \"dev\" is not present"))),
        (
            Some(service(443)),
            vec![slice(ready.clone(), "tls")],
            Some(("ServicePortError", "service/api in \"dev\" is not listening on port 7443")),
        ),
        (
            Some(service(7443)),
            vec![],
            Some(("EndpointsNotFound", "cannot find endpointslices for service/api in \"dev\"")),
        ),
        (
            Some(service(7443)),
            vec![slice(json!({"ready": false}), "tls"), slice(ready.clone(), "web")],
            Some((
                "MissingEndpoints",
                "endpointslices for service/api in \"dev\" have no addresses with port name \"tls\"",
            )),
        ),
        (Some(service(7443)), vec![slice(ready, "tls")], None),
        (Some(service(7443)), vec![slice(json!({}), "tls")], None),
        (Some(json!({"spec": {"type": "ExternalName", "externalName": "api.example.com"}})), vec![], None),
    ];
    for (service, slices, wanted) in cases {
        let observed = Observed { api_service: &api_service(), service: service.as_ref(), slices: &slices };
        let wanted = wanted.map(|(reason, message)| Finding::unavailable(reason, message.to_owned()));
        assert_eq!(find(&observed), wanted, "{service:?} {slices:?}");
    }
}

#[test]
fn what_is_local_is_available() {
    let observed = Observed { api_service: &json!({"spec": {}}), service: None, slices: &[] };
    let found = find(&observed).expect("nobody has to be asked");
    let told = (found.is_available(), found.reason, found.message.as_str());
    assert_eq!(told, (true, "Local", "Local APIServices are always available"));
}

#[test]
fn a_transition_is_a_change_of_the_status_and_other_conditions_stay() {
    let [first, second]: [Timestamp; 2] =
        ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"].map(|text| text.parse().expect("a time"));
    let mut object = api_service();
    object["status"] = json!({"conditions": [{"type": "Other", "status": "True"}]});
    let failed = with_condition(&object, &Finding::no_answer("no".to_owned()), first);
    let again = with_condition(&failed, &Finding::no_answer("still no".to_owned()), second);
    let passed = with_condition(&again, &Finding::passed(), second);
    let told = |object: &Value| {
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        assert_eq!((conditions.len(), &conditions[0]["type"]), (2, &json!("Other")));
        let text = |key: &str| conditions[1][key].as_str().unwrap_or_default().to_owned();
        ["status", "reason", "message", "lastTransitionTime"].map(text)
    };
    assert_eq!(told(&failed), ["False", "FailedDiscoveryCheck", "no", "2026-01-01T00:00:00Z"]);
    assert_eq!(told(&again), ["False", "FailedDiscoveryCheck", "still no", "2026-01-01T00:00:00Z"]);
    assert_eq!(told(&passed), ["True", "Passed", "all checks passed", "2026-01-02T00:00:00Z"]);
}

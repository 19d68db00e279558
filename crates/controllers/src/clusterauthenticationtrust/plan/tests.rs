use super::*;

fn pem(content: &str) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{content}\n{END}")
}

#[test]
fn the_map_says_whom_to_trust_and_by_which_headers() {
    let (ca, front) = (pem("Y2E="), pem("ZnJvbnQ="));
    let trust = Trust { client_ca: &ca, front_proxy_ca: &front };
    let wanted = json!({
        "client-ca-file": ca,
        "requestheader-client-ca-file": front,
        "requestheader-allowed-names": "[\"front-proxy-client\"]",
        "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
        "requestheader-group-headers": "[\"X-Remote-Group\"]",
        "requestheader-uid-headers": "[\"X-Remote-Uid\"]",
        "requestheader-username-headers": "[\"X-Remote-User\"]",
    });
    assert_eq!(data(&Value::Null, &trust), wanted);
    assert_eq!(data(&wanted, &trust), wanted, "what is right stays");
}

#[test]
fn what_others_have_written_stays_and_nonsense_goes() {
    let [ca, front, other] = ["Y2E=", "ZnJvbnQ=", "b3RoZXI="].map(pem);
    let trust = Trust { client_ca: &ca, front_proxy_ca: &front };
    let current = json!({
        "client-ca-file": format!("{other}{ca}nonsense"),
        "requestheader-allowed-names": "[\"other\",\"front-proxy-client\"]",
        "requestheader-group-headers": "nonsense",
        "unknown": "x",
    });
    let data = data(&current, &trust);
    assert_eq!(data["client-ca-file"], format!("{other}{ca}"));
    assert_eq!(data["requestheader-allowed-names"], "[\"other\",\"front-proxy-client\"]");
    assert_eq!(data["requestheader-group-headers"], "[\"X-Remote-Group\"]");
    assert_eq!(data["unknown"], Value::Null);
}

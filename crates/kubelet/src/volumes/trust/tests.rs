use std::collections::BTreeSet;
use std::sync::Arc;

use registry::pem;
use serde_json::{Value, json};

use super::TrustBundles;

fn block(content: &str) -> String {
    pem::encode("CERTIFICATE", content.as_bytes())
}

fn bundles(salt: u64) -> TrustBundles {
    let all = [
        ("one", "", json!({}), format!("# a comment\n{}{}", block("a"), block("b"))),
        ("example.com:s:alive", "example.com/s", json!({"alive": "true"}), format!("{}{}", block("b"), block("c"))),
        ("example.com:s:also", "example.com/s", json!({"alive": "true"}), format!("{}{}", block("d"), block("b"))),
        ("example.com:s:dead", "example.com/s", json!({"alive": "false"}), block("e")),
    ];
    let made = all.map(|(name, signer, labels, trust)| {
        let spec = json!({"signerName": (!signer.is_empty()).then_some(signer), "trustBundle": trust});
        let bundle = json!({"metadata": {"name": name, "labels": labels}, "spec": spec});
        Arc::new(serde_json::from_value(bundle).expect("a bundle"))
    });
    TrustBundles { all: made.into(), salt }
}

fn anchors(salt: u64, wanted: &Value) -> Result<Vec<String>, String> {
    let wanted = serde_json::from_value(wanted.clone()).expect("a projection");
    let text = String::from_utf8(bundles(salt).anchors(&wanted)?).expect("text");
    assert_eq!(text, pem::blocks(&text).iter().map(|b| pem::encode(&b.label, &b.bytes)).collect::<String>());
    Ok(pem::blocks(&text).into_iter().map(|b| String::from_utf8_lossy(&b.bytes).into_owned()).collect())
}

#[test]
fn bundles_are_chosen_and_each_anchor_comes_once() {
    let of = |labels: Value| json!({"signerName": "example.com/s", "labelSelector": labels, "path": "p"});
    let none = "combination of signerName and labelSelector matched zero ClusterTrustBundles";
    let missing = "while getting ClusterTrustBundle: clustertrustbundle.certificates.k8s.io \"two\" not found";
    for (wanted, expected) in [
        (json!({"name": "one", "path": "p"}), Ok("ab")),
        (json!({"name": "two", "path": "p"}), Err(missing)),
        (json!({"name": "two", "optional": true, "path": "p"}), Ok("")),
        (of(json!({})), Ok("bcde")),
        (of(json!({"matchLabels": {"alive": "true"}})), Ok("bcd")),
        (of(json!({"matchLabels": {"alive": "no"}})), Err(none)),
        (json!({"signerName": "example.com/s", "path": "p"}), Err(none)),
        (json!({"signerName": "example.com/t", "labelSelector": {}, "optional": true, "path": "p"}), Ok("")),
    ] {
        let found = anchors(1, &wanted);
        if let Ok(list) = &found {
            assert_eq!(list.len(), list.iter().collect::<BTreeSet<_>>().len(), "{wanted}");
        }
        let sorted = found.map(|list| list.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<String>());
        assert_eq!(sorted, expected.map(str::to_owned).map_err(str::to_owned), "{wanted}");
    }
}

#[test]
fn the_order_stays_while_a_kubelet_lives_and_is_another_one_in_another() {
    let all = json!({"signerName": "example.com/s", "labelSelector": {}, "path": "p"});
    assert_eq!(anchors(1, &all), anchors(1, &all));
    let orders: BTreeSet<_> = (0..20).map(|salt| anchors(salt, &all).expect("anchors")).collect();
    assert!(orders.len() > 5, "{orders:?}");
}

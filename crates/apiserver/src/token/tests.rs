use std::sync::Arc;

use apimachinery::{Object, Reader, Resource};
use component_base::Random;
use jiff::Timestamp;
use serde_json::json;

use super::{BoundObject, TokenAuthority, TokenSpec};

struct World {
    pod_uid: &'static str,
}

impl Reader for World {
    fn get(&self, resource: &'static Resource, _: &str, name: &str) -> Option<Arc<Object>> {
        let uid = if resource.plural == "pods" { self.pod_uid } else { "u1" };
        Object::from_value(&json!({"metadata": {"name": name, "uid": uid}})).ok().map(Arc::new)
    }

    fn list(&self, _: &'static Resource, _: &str) -> Vec<Arc<Object>> {
        Vec::new()
    }
}

fn bound(name: &str, uid: &str) -> BoundObject {
    BoundObject { name: name.into(), uid: uid.into() }
}

#[test]
fn a_token_is_good_until_it_expires_or_its_pod_is_another() {
    let authority = TokenAuthority::new("https://issuer".into(), &TokenAuthority::generate_key().unwrap()).unwrap();
    let spec = TokenSpec {
        namespace: "default",
        account: bound("builder", "u1"),
        pod: Some(bound("web", "p1")),
        node: None,
        secret: None,
        audiences: vec![],
        seconds: 600,
    };
    let at = |second| Timestamp::from_second(second).unwrap();
    let token = authority.issue(&spec, at(1000), &Random::from_seed(1)).unwrap();
    let audiences = ["https://issuer".to_owned()];
    let check = |token: &str, second, pod_uid| authority.check(token, &audiences, at(second), &World { pod_uid });
    let (user, _) = check(&token, 1500, "p1").unwrap();
    assert_eq!(user.name, "system:serviceaccount:default:builder");
    assert!(user.in_group("system:serviceaccounts:default") && user.in_group("system:authenticated"));
    assert!(check(&token, 1600, "p1").is_none(), "expired");
    assert!(check(&token, 1500, "p2").is_none(), "the Pod was replaced");
    assert!(authority.check(&token, &["other".to_owned()], at(1500), &World { pod_uid: "p1" }).is_none());
    let mut forged = token.clone();
    forged.replace_range(forged.len() - 4.., "AAAA");
    assert!(check(&forged, 1500, "p1").is_none());
    let other = TokenAuthority::new("https://issuer".into(), &TokenAuthority::generate_key().unwrap()).unwrap();
    assert!(other.check(&token, &audiences, at(1500), &World { pod_uid: "p1" }).is_none(), "another key");
}

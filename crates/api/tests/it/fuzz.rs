//! Nothing panics, nothing hangs, and what was read can be written and read again. Each failure names its seed.

use apimachinery::labels::{FieldSelector, Selector};
use apimachinery::patch::{apply_json_patch, apply_merge_patch, apply_strategic_patch};
use apimachinery::{Quantity, yaml};
use component_base::Random;
use serde_json::{Value, json};

use crate::mutate;

/// Inputs for each decoder: a second or so in all, without optimisation.
const ROUNDS: u64 = 3_000;

const MANIFEST: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  labels: {app: web, \"on\": 'yes'}\nspec:\n  replicas: 2\n  \
    selector:\n    matchLabels: &sel\n      app: web\n  template:\n    metadata: {labels: *sel}\n    spec:\n      containers:\n      - name: web\n        \
    image: nginx:1.25\n        command: [sh, -c, |\n          echo \"a\\tb\"\n          ]\n        resources:\n          limits: {cpu: 500m, memory: 1.5Gi}\n---\n";

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}, "finalizers": ["a", "b"]},
        "spec": {
            "containers": [
                {"name": "a", "image": "one", "env": [{"name": "X", "value": "1"}], "ports": [{"containerPort": 80}]},
                {"name": "b", "image": "two", "args": ["p", "q"]},
            ],
            "tolerations": [{"key": "k", "operator": "Exists"}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
    })
}

/// Runs `each` with a generator of its own for each seed; a panic is told with the seed and the input.
fn rounds(each: impl Fn(&Random) + std::panic::RefUnwindSafe) {
    for seed in 0..ROUNDS {
        let run = std::panic::AssertUnwindSafe(|| each(&Random::from_seed(seed)));
        assert!(std::panic::catch_unwind(run).is_ok(), "failed with seed {seed}");
    }
}

#[test]
fn yaml_reads_or_refuses_and_what_it_wrote_it_reads() {
    rounds(|random| {
        let text = mutate::text(random, MANIFEST);
        for document in yaml::documents(&text) {
            let Ok(parsed) = yaml::parse(document) else { continue };
            let written = yaml::to_yaml(&parsed.value);
            let again = yaml::parse(&written).unwrap_or_else(|error| panic!("{error}\n{written}"));
            assert_eq!(again.value, parsed.value, "{written}");
        }
    });
}

#[test]
fn protobuf_reads_or_refuses() {
    // An envelope of a Pod: its metadata has the name `web`, its spec a container `a` of the image `one`.
    let field =
        |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).expect("short")][..], bytes].concat();
    let type_meta = [field(1, b"v1"), field(2, b"Pod")].concat();
    let container = [field(1, b"a"), field(2, b"one"), field(3, b"sh")].concat();
    let object = [field(1, &field(1, b"web")), field(2, &field(2, &container))].concat();
    let body = [b"k8s\0".to_vec(), field(1, &type_meta), field(2, &object)].concat();
    let decoded = api::protobuf::messages().decode(&body).expect("it is well-formed");
    assert_eq!(decoded["spec"]["containers"][0]["image"], "one");
    rounds(|random| {
        // Whatever comes out is an object, or the body is refused.
        if let Ok(value) = api::protobuf::messages().decode(&mutate::bytes(random, &body)) {
            assert!(value.is_object(), "{value}");
        }
    });
}

#[test]
fn quantities_are_canonical() {
    let seeds = ["100m", "1.5Gi", "0.000000001", "12e6", "-3E", "9223372036854775807", "1Ki", "+.5", "5."];
    rounds(|random| {
        let text = mutate::text(random, seeds[random.below(seeds.len() as u64) as usize]);
        let Ok(quantity) = text.parse::<Quantity>() else { return };
        let written = quantity.to_string();
        let again: Quantity = written.parse().unwrap_or_else(|error| panic!("{text:?} became {written:?}: {error}"));
        assert_eq!(again.to_string(), written, "{text:?}");
    });
}

#[test]
fn selectors_read_or_refuse() {
    let seeds = ["app=web,tier!=db", "env in (a,b),!gone,x notin (y)", "a==b, c>1,d<2", "kubernetes.io/name"];
    let labels = [("app", "web"), ("env", "a"), ("c", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let labels = std::collections::BTreeMap::from(labels);
    rounds(|random| {
        let text = mutate::text(random, seeds[random.below(seeds.len() as u64) as usize]);
        if let Ok(selector) = Selector::parse(&text) {
            // One that selects everything selects this too.
            assert!(selector.matches(&labels) || !selector.is_everything(), "{text:?}");
        }
        // Reading is all that is asked of this one.
        let _ = FieldSelector::parse(&text);
    });
}

#[test]
fn patches_apply_or_refuse() {
    let schemas = api::schemas();
    let resource = api::resources::PODS;
    let ty = schemas.find(resource.schema).expect("Pods have a schema");
    let operations = json!([
        {"op": "test", "path": "/spec/containers/0/name", "value": "a"},
        {"op": "add", "path": "/spec/containers/-", "value": {"name": "c"}},
        {"op": "move", "from": "/spec/volumes/0", "path": "/spec/volumes/-1"},
        {"op": "copy", "from": "/metadata/labels", "path": "/metadata/annotations"},
        {"op": "remove", "path": "/spec/tolerations"},
    ]);
    rounds(|random| {
        let document = pod();
        let patch = mutate::value(random, &document);
        // Who has a copy of the document loses nothing by a patch that is refused; a merged one merges into itself.
        let mut merged = document.clone();
        if apply_merge_patch(&mut merged, patch.clone()).is_ok() {
            let mut again = merged.clone();
            apply_merge_patch(&mut again, patch.clone()).expect("it did before");
            assert_eq!(again, merged, "{patch}");
        }
        let mut strategic = document.clone();
        if apply_strategic_patch(schemas, ty, &mut strategic, patch.clone()).is_ok() {
            assert!(strategic.is_object(), "{patch}");
        }
        let mut patched = document.clone();
        let _ = apply_json_patch(&mut patched, &mutate::value(random, &operations));
    });
}

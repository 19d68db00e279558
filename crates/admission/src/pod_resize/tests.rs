use api::resources::{NODES, PODS};
use apimachinery::{Admission, ApiError, Operation};
use serde_json::{Value, json};

use super::PodResizeValidator;
use crate::tests::{World, request};

fn resize(cpu: &str) -> Result<(), ApiError> {
    let node = json!({"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "4", "memory": "1Gi"}}});
    let (world, mut warnings) = (World::of(&[(NODES, &[node])]), Vec::new());
    let pod = |cpu: &str| -> Value {
        json!({"metadata": {"name": "web"}, "spec": {"nodeName": "n", "containers": [
            {"name": "c", "resources": {"requests": {"cpu": cpu}}},
        ]}})
    };
    let (mut object, old) = (pod(cpu), pod("1"));
    let mut request = request(Operation::Update, PODS, "dev", "web", &mut object, &mut warnings);
    (request.subresource, request.old) = ("resize", Some(&old));
    PodResizeValidator.validate(&mut request, &world)
}

#[test]
fn more_than_the_node_has_is_refused() {
    assert_eq!(resize("4"), Ok(()));
    let error = resize("4001m").unwrap_err();
    assert_eq!(
        error.message,
        "pods \"web\" is forbidden: node didn't have enough allocatable resources: cpu, requested: 4001, allocatable: 4000"
    );
    assert_eq!(error.causes[0].reason, "NodeCapacity");
}

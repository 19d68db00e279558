use api::resources::{CONFIGMAPS, DEPLOYMENTS, NAMESPACES, PODS, REPLICASETS, SERVICEACCOUNTS, SERVICES};
use apimachinery::Reason;
use envtest::{Options, check};
use serde_json::json;

use crate::WEB;

#[test]
fn a_deleted_namespace_takes_everything_in_it_along() {
    check(&Options::new(6).outages(), async |cluster| {
        cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}").await?;
        cluster.apply(&WEB.replace("{name: web}\nspec", "{name: web, namespace: shop}\nspec")).await?;
        cluster
            .apply("{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {selector: {app: web}, ports: [{port: 80}]}}")
            .await?;
        let running = || {
            let pods = cluster.list(PODS, "shop");
            let running = pods.iter().filter(|pod| pod.value()["status"]["phase"] == "Running").count();
            if running == 3 { Ok(()) } else { Err(format!("{running} run")) }
        };
        cluster.eventually("three Pods run", running).await?;
        assert!(cluster.get(SERVICEACCOUNTS, "shop", "default").is_some());
        assert!(cluster.get(CONFIGMAPS, "shop", "kube-root-ca.crt").is_some());

        cluster.delete(NAMESPACES, "", "shop").await?;
        let refused = cluster
            .client()
            .create(CONFIGMAPS, "shop", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}}))
            .await;
        assert_eq!(refused.map(drop).map_err(|error| error.reason), Err(Reason::Forbidden));
        cluster
            .eventually("the namespace is gone", || match cluster.get(NAMESPACES, "", "shop") {
                Some(left) => Err(left.value()["status"].to_string()),
                None => Ok(()),
            })
            .await?;
        for resource in [DEPLOYMENTS, REPLICASETS, PODS, SERVICES, SERVICEACCOUNTS, CONFIGMAPS] {
            assert!(cluster.list(resource, "shop").is_empty(), "{} are left", resource.plural);
        }
        Ok(())
    });
}

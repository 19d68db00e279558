use api::resources::{CONFIGMAPS, DEPLOYMENTS, PODS, REPLICASETS};
use client::{DeleteOptions, PatchKind, Propagation};
use envtest::{Cluster, Failure, Options, check};
use serde_json::json;

use crate::WEB;

async fn delete(cluster: &Cluster, propagation: Propagation) -> Result<(), Failure> {
    let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
    cluster.client().delete(DEPLOYMENTS, "default", "web", &options).await?;
    Ok(())
}

fn left(cluster: &Cluster) -> [usize; 3] {
    [DEPLOYMENTS, REPLICASETS, PODS].map(|resource| cluster.list(resource, "default").len())
}

async fn become_(cluster: &Cluster, wanted: [usize; 3]) -> Result<(), Failure> {
    let look = || if left(cluster) == wanted { Ok(()) } else { Err(format!("{:?}", left(cluster))) };
    cluster.eventually(&format!("there are {wanted:?} Deployments, ReplicaSets and Pods"), look).await
}

#[test]
fn in_the_background_the_owner_goes_first() {
    check(&Options::new(7).outages(), async |cluster| {
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        let from = cluster.log().len();
        delete(cluster, Propagation::Background).await?;
        become_(cluster, [0, 0, 0]).await?;
        let kind = |key: &String| key.split('/').nth(2).unwrap_or_default().to_owned();
        let order: Vec<String> = cluster.log().deleted(from).iter().map(kind).collect();
        assert_eq!(order, ["deployments", "replicasets", "pods", "pods", "pods"]);
        Ok(())
    });
}

#[test]
fn in_the_foreground_the_owner_goes_last() {
    check(&Options::new(8).outages(), async |cluster| {
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        delete(cluster, Propagation::Foreground).await?;
        let waiting = cluster.get(DEPLOYMENTS, "default", "web").map(|web| web.meta().finalizers.clone());
        assert_eq!(waiting, Some(vec!["foregroundDeletion".to_owned()]));
        let ordered = || match left(cluster) {
            [0, 0, 0] => Ok(Ok(())),
            [0, sets, pods] => Ok(Err(Failure::Wrong(format!("the owner left {sets} sets and {pods} Pods")))),
            _ => Err("not yet".to_owned()),
        };
        cluster.eventually("all are gone, the owner last", ordered).await?
    });
}

#[test]
fn orphans_stay_and_are_adopted_again() {
    check(&Options::new(9).outages(), async |cluster| {
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        let set = cluster.list(REPLICASETS, "default")[0].meta().uid.clone();
        delete(cluster, Propagation::Orphan).await?;
        become_(cluster, [0, 1, 3]).await?;
        assert!(cluster.list(REPLICASETS, "default")[0].meta().owner_references.is_empty());
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        let adopted = cluster.list(REPLICASETS, "default");
        assert_eq!(adopted.len(), 1);
        assert_eq!(adopted[0].meta().uid, set);
        assert_eq!(adopted[0].meta().controller().map(|owner| owner.name.as_str()), Some("web"));
        Ok(())
    });
}

#[test]
fn owners_in_a_circle_do_not_wait_for_each_other() {
    check(&Options::new(10).outages(), async |cluster| {
        let client = cluster.client();
        let make = |name: &str| json!({"metadata": {"name": name}});
        let mut uids = Vec::new();
        for name in ["a", "b", "c"] {
            uids.push(client.create(CONFIGMAPS, "default", make(name)).await?.meta().uid.clone());
        }
        for (name, owner, uid) in [("a", "b", &uids[1]), ("b", "c", &uids[2]), ("c", "a", &uids[0])] {
            let owner = json!([{
                "apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid, "blockOwnerDeletion": true,
            }]);
            let patch = json!({"metadata": {"ownerReferences": owner}});
            client.patch(CONFIGMAPS, "default", name, PatchKind::Merge, patch).await?;
        }
        let options = DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::default() };
        client.delete(CONFIGMAPS, "default", "a", &options).await?;
        let left = || cluster.list(CONFIGMAPS, "default").iter().map(|o| o.meta().name.clone()).collect::<Vec<_>>();
        let look = || match left().into_iter().filter(|name| name.len() == 1).collect::<Vec<_>>() {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?}")),
        };
        cluster.eventually("none of them is left", look).await
    });
}

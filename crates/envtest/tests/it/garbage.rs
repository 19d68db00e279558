use api::resources::{DEPLOYMENTS, PODS, REPLICASETS};
use client::{DeleteOptions, Propagation};
use envtest::{Cluster, Failure, Options, check};

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

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use serde_json::{Value, json};

use super::check::{Used, check_claim, check_use, check_volume, refusal};
use super::{Claimed, ClaimedVolume, Kind, Unusable, VolumesInUse, groups, set_up};
use crate::volumes::ownership::Group;

fn volume(spec: Value) -> Arc<PersistentVolume> {
    Arc::new(serde_json::from_value(json!({"metadata": {"name": "v"}, "spec": spec})).unwrap())
}

fn pod() -> Pod {
    let mount = json!([{"name": "data", "mountPath": "/data"}]);
    let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    let spec = json!({"containers": [{"name": "c", "volumeMounts": mount}], "volumes": volumes});
    serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "default", "uid": "1"}, "spec": spec}))
        .unwrap()
}

#[test]
fn only_a_claim_that_is_bound_is_used() {
    let check = |meta: Value, volume: &str, phase: &str, is_ephemeral: bool| {
        let mut all = json!({"name": "data", "namespace": "default", "uid": "2"});
        all.as_object_mut().unwrap().extend(meta.as_object().unwrap().clone());
        let claim = json!({"metadata": all, "spec": {"volumeName": volume}, "status": {"phase": phase}});
        let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
        check_claim(&pod(), &claim, is_ephemeral).err().unwrap_or_default()
    };
    assert_eq!(check(json!({}), "v", "Bound", false), "");
    assert_eq!(check(json!({}), "v", "Pending", false), "error processing PVC default/data: PVC is not bound");
    assert_eq!(
        check(json!({}), "", "Bound", false),
        "error processing PVC default/data: PVC has empty pvc.Spec.VolumeName"
    );
    let leaving = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    assert_eq!(check(leaving, "v", "Bound", false), "error processing PVC default/data: PVC is being deleted");
    let kept = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["kubernetes.io/pvc-protection"]});
    assert_eq!(check(kept, "v", "Bound", false), "");
    let of_another = "PVC default/data was not created for pod default/p (pod is not owner)";
    assert_eq!(check(json!({}), "v", "Bound", true), of_another);
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1", "controller": true});
    assert_eq!(check(json!({"ownerReferences": [owner]}), "v", "Bound", true), "");
}

#[test]
fn the_volume_must_be_the_claims_and_used_as_what_it_is() {
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({"metadata": {"uid": "2"}})).unwrap();
    let of = |reference: Value| check_volume(&volume(json!({"claimRef": reference})), &claim).err().unwrap_or_default();
    assert_eq!(of(json!({"uid": "2"})), "");
    assert_eq!(
        of(Value::Null),
        "found PV object v but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim"
    );
    assert_eq!(
        of(json!({"uid": "3"})),
        "found PV object v but its pv.Spec.ClaimRef.UID 3 does not point to claim.UID 2"
    );
    let used = Used::of(&pod(), "data");
    assert!(used.mounted && !used.as_device && !Used::of(&pod(), "other").mounted);
    let block = volume(json!({"volumeMode": "Block"}));
    assert_eq!(
        check_use("data", &block, used).unwrap_err(),
        "volume data has volumeMode Block, but is specified in volumeMounts"
    );
    let as_device = Used { mounted: false, as_device: true };
    assert_eq!(check_use("data", &block, as_device), Ok(()));
    assert_eq!(
        check_use("data", &volume(json!({})), as_device).unwrap_err(),
        "volume data has volumeMode Filesystem, but is specified in volumeDevices"
    );
}

#[test]
fn the_event_names_all_claims_that_can_not_be_used() {
    let good = ClaimedVolume { volume: volume(json!({})), read_only: false };
    let bad = |why: &str| Err(why.to_owned().into());
    let claimed = |all: Vec<(&str, Result<ClaimedVolume, Unusable>)>| -> Claimed {
        all.into_iter().map(|(name, found)| (name.to_owned(), found)).collect()
    };
    assert_eq!(refusal(&claimed(vec![("a", Ok(good.clone()))])), None);
    assert_eq!(
        refusal(&claimed(vec![("a", Ok(good)), ("b", bad("x")), ("c", bad("y"))])).unwrap(),
        "Unable to attach or mount volumes: unmounted volumes=[b c], unattached volumes=[], failed to process \
         volumes=[b c]: x; y"
    );
}

#[test]
fn what_is_not_served_is_told() {
    let labels = BTreeMap::from([("kubernetes.io/hostname".to_owned(), "a".to_owned())]);
    let check = |spec: Value, expected: Result<Kind, &str>| {
        let claimed = ClaimedVolume { volume: volume(spec.clone()), read_only: false };
        let found = claimed.kind(Some(&labels)).map_err(|(step, why)| format!("{step}: {why}"));
        assert_eq!(found, expected.map_err(str::to_owned), "{spec}");
    };
    let here = |node: &str| {
        let expression = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node]});
        json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}})
    };
    let local = json!({"path": "/data"});
    check(json!({"local": local, "nodeAffinity": here("a")}), Ok(Kind::Local));
    check(
        json!({"local": local, "nodeAffinity": here("b")}),
        Err("MountVolume.NodeAffinity check: no matching NodeSelectorTerms"),
    );
    check(json!({"local": local, "mountOptions": ["ro"]}), Ok(Kind::Local));
    check(
        json!({"local": local, "mountOptions": ["noexec"]}),
        Err("MountVolume.SetUp: the mount option \"noexec\" is not served yet; README.md lists what is"),
    );
    check(json!({"local": local, "volumeMode": "Block"}), Ok(Kind::Device));
    check(json!({"hostPath": {"path": "/x", "type": "File"}}), Ok(Kind::HostPath("File".to_owned())));
    check(
        json!({"hostPath": {"path": "/x"}, "mountOptions": ["ro"]}),
        Err("MountVolume.MountOptionSupport check: mount options are not supported for this volume type"),
    );
    check(
        json!({"nfs": {"server": "x", "path": "/"}}),
        Err("MountVolume.FindPluginBySpec: volumes of this type are not served yet; README.md lists what is"),
    );
    let read_only = |spec: Value| ClaimedVolume { volume: volume(spec), read_only: false }.is_read_only();
    assert!(read_only(json!({"mountOptions": ["ro"]})) && !read_only(json!({})));
}

#[test]
fn containers_get_the_groups_of_volumes() {
    let of = |group: &str| {
        let meta = json!({"name": "v", "annotations": {"pv.beta.kubernetes.io/gid": group}});
        let volume: PersistentVolume = serde_json::from_value(json!({"metadata": meta, "spec": {}})).unwrap();
        Ok(ClaimedVolume { volume: Arc::new(volume), read_only: false })
    };
    let claimed: Claimed = [("a", "777"), ("b", "12"), ("c", "none"), ("d", "777")]
        .map(|(name, group)| (name.to_owned(), of(group)))
        .into();
    assert_eq!(groups(&claimed, &[12]).into_iter().collect::<Vec<_>>(), [777]);
}

#[test]
fn one_pod_has_what_is_for_one_pod() {
    let in_use = VolumesInUse::default();
    assert!(!in_use.take("v", "1", true));
    assert!(!in_use.take("v", "1", true), "it has it already");
    assert!(in_use.take("v", "2", true) && !in_use.take("v", "1", true));
    assert!(in_use.take("v", "2", false) && in_use.take("v", "1", false));
    in_use.release("2");
    assert!(!in_use.take("v", "1", false));
}

#[test]
fn a_local_volume_is_a_directory_that_is_there() {
    let directory = std::env::temp_dir().join(format!("skiff-local-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("file"), b"").unwrap();
    let check = |kind: &Kind, path: &Path| {
        set_up(kind, path, Path::new("/unused"), None, false).err().map(|(step, why)| format!("{step}: {why}"))
    };
    assert_eq!(check(&Kind::Local, &directory), None);
    let missing = directory.join("missing");
    let new = "MountVolume.NewMounter initialization";
    assert_eq!(check(&Kind::Local, &missing), Some(format!("{new}: path {missing:?} does not exist")));
    assert_eq!(
        check(&Kind::Local, &directory.join("file")),
        Some(format!("{new}: only directory and block device are supported"))
    );
    assert!(check(&Kind::Local, Path::new("/tmp/../etc")).unwrap().ends_with("must not contain '..'"));
    assert!(check(&Kind::Device, &directory.join("file")).unwrap().ends_with("is not a block device"));
    let made = directory.join("made");
    assert_eq!(check(&Kind::HostPath("DirectoryOrCreate".to_owned()), &made), None);
    assert!(made.is_dir());
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn what_is_in_a_volume_becomes_the_pods_groups_once() {
    let directory = std::env::temp_dir().join(format!("skiff-group-{}", std::process::id()));
    let (data, marker) = (directory.join("data"), directory.join("pod/volumes/data"));
    fs::create_dir_all(data.join("inner")).unwrap();
    fs::write(data.join("inner/file"), b"").unwrap();
    fs::write(directory.join("outside"), b"").unwrap();
    symlink(directory.join("outside"), data.join("link")).unwrap();
    let own = fs::metadata(&directory).unwrap().gid();
    // Only root may give files to any group.
    let id = if rustix::process::geteuid().is_root() { 4321 } else { own };
    let group = Some(Group { id, looks_at_root: false });
    symlink(&data, directory.join("by-link")).unwrap();
    let path = directory.join("by-link");
    let give = |group, shared| set_up(&Kind::Local, &path, &marker, group, shared).unwrap();
    let of = |path: &str| {
        let found = fs::metadata(directory.join(path)).unwrap();
        (found.gid(), found.mode() & 0o7777)
    };
    assert_eq!(give(group, true), Some(own), "others use it");
    fs::remove_file(&marker).unwrap();
    assert_eq!(give(group, false), None);
    assert_eq!((of("data").0, of("data").1 & 0o2770), (id, 0o2770));
    assert_eq!((of("data/inner/file").0, of("data/inner/file").1 & 0o660), (id, 0o660));
    assert_eq!(of("outside").0, own, "links are not followed");
    std::os::unix::fs::chown(data.join("inner/file"), None, Some(own)).unwrap();
    give(group, false);
    assert_eq!(of("data/inner/file").0, own, "once for each Pod");
    fs::remove_file(&marker).unwrap();
    give(Some(Group { id, looks_at_root: true }), false);
    assert_eq!(of("data/inner/file").0, own, "the root is as it should be");
    fs::remove_dir_all(&directory).unwrap();
}

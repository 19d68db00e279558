//! The controllers: level-triggered reconcilers over shared informers, one folder each, with upstream's names. They are
//! API clients and never touch the datastore, so each can run against any conformant server.

mod apiservice;
mod certificates;
mod clusterauthenticationtrust;
mod clustertrustbundlepublisher;
mod context;
mod cronjob;
mod custom_resources;
mod customresourcedefinition;
mod daemonset;
mod deployment;
mod disruption;
mod endpoint;
mod endpointslice;
mod endpointslicemirroring;
mod ephemeralvolume;
mod garbagecollector;
mod hash;
mod history;
mod job;
mod localpath;
mod namespace;
mod nodelifecycle;
mod owner;
mod percent;
mod persistentvolume;
mod pod_control;
mod podgc;
mod pods;
mod pvcprotection;
mod pvprotection;
mod replicaset;
mod resourcequota;
mod rootcacertpublisher;
mod said;
mod service_pods;
mod serviceaccount;
mod servicelb;
mod settled;
mod statefulset;
mod time;
mod ttlafterfinished;
mod volumeexpand;

pub use apiservice::ApiServiceProbe;
pub use context::{Addresses, AuthorityKey, ControllerContext, IdentifiedClients};
pub use localpath::{VolumeDirectories, install as install_local_path};

/// A controller's name and how it starts.
pub type Starter = (&'static str, fn(&ControllerContext));

/// All controllers.
pub const CONTROLLERS: &[Starter] = &[
    ("deployment-controller", deployment::start),
    ("replicaset-controller", replicaset::start),
    ("replicationcontroller-controller", replicaset::start_replication),
    ("job-controller", job::start),
    ("daemonset-controller", daemonset::start),
    ("statefulset-controller", statefulset::start),
    ("cronjob-controller", cronjob::start),
    ("disruption-controller", disruption::start),
    ("ttl-after-finished-controller", ttlafterfinished::start),
    ("endpoint-controller", endpoint::start),
    ("endpointslice-controller", endpointslice::start),
    ("endpointslice-mirroring-controller", endpointslicemirroring::start),
    ("namespace-controller", namespace::start),
    ("serviceaccount-controller", serviceaccount::start),
    ("root-ca-certificate-publisher-controller", rootcacertpublisher::start),
    ("certificatesigningrequest-approving-controller", certificates::start_approver),
    ("certificatesigningrequest-signing-controller", certificates::start_signer),
    ("certificatesigningrequest-cleaner-controller", certificates::start_cleaner),
    ("podcertificaterequest-cleaner-controller", certificates::start_pod_cleaner),
    ("kube-apiserver-serving-clustertrustbundle-publisher-controller", clustertrustbundlepublisher::start),
    ("customresourcedefinition-controller", customresourcedefinition::start),
    ("apiservice-status-available-controller", apiservice::start),
    ("kube-apiserver-autoregistration", apiservice::start_registration),
    ("cluster-authentication-info-controller", clusterauthenticationtrust::start),
    ("ephemeral-volume-controller", ephemeralvolume::start),
    ("garbage-collector-controller", garbagecollector::start),
    ("node-lifecycle-controller", nodelifecycle::start),
    ("pod-garbage-collector-controller", podgc::start),
    ("persistentvolume-binder-controller", persistentvolume::start),
    ("persistentvolume-expander-controller", volumeexpand::start),
    ("local-path-provisioner", localpath::start),
    ("persistentvolumeclaim-protection-controller", pvcprotection::start),
    ("persistentvolume-protection-controller", pvprotection::start),
    ("resourcequota-controller", resourcequota::start),
    ("service-lb-controller", servicelb::start),
];

/// Starts all controllers.
pub fn start(context: &ControllerContext) {
    for (name, start) in CONTROLLERS {
        tracing::debug!(controller = name, "starting");
        start(context);
    }
}

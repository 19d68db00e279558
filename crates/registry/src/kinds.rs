//! The kinds that have rules.

mod apiservices;
mod autoscaling;
mod batch;
pub(crate) mod certificates;
mod config_map;
mod coordination;
mod custom_resource_definition;
mod discovery;
mod event;
mod limits;
mod namespace;
mod networking;
mod node;
mod others;
mod policies;
mod policy;
mod rbac;
mod runtime_class;
mod scheduling;
mod secret;
mod service_account;
mod storage;
mod webhooks;
mod workload;

use apimachinery::names::dns_subdomain;

use crate::rules::Rules;
use crate::{pods, services};

/// The rules of a kind.
pub(crate) fn rules(group: &str, kind: &str) -> &'static Rules {
    match (group, kind) {
        ("", "Pod") => &pods::RULES,
        ("", "Service") => &services::RULES,
        ("", "ConfigMap") => &config_map::RULES,
        ("", "Secret") => &secret::RULES,
        ("", "ServiceAccount") => &service_account::RULES,
        ("", "Namespace") => &namespace::RULES,
        ("", "Node") => &node::RULES,
        ("", "Event") => &event::CORE,
        ("events.k8s.io", "Event") => &event::EVENTS,
        ("", "Endpoints") => &discovery::ENDPOINTS,
        ("discovery.k8s.io", "EndpointSlice") => &discovery::ENDPOINT_SLICE,
        ("", "LimitRange") => &limits::LIMIT_RANGE,
        ("", "ResourceQuota") => &limits::RESOURCE_QUOTA,
        ("", "PersistentVolume") => &storage::PERSISTENT_VOLUME,
        ("", "PersistentVolumeClaim") => &storage::PERSISTENT_VOLUME_CLAIM,
        ("storage.k8s.io", "StorageClass") => &storage::STORAGE_CLASS,
        ("storage.k8s.io", "CSIDriver") => &storage::CSI_DRIVER,
        ("storage.k8s.io", "CSINode") => &storage::CSI_NODE,
        ("storage.k8s.io", "VolumeAttachment") => &storage::VOLUME_ATTACHMENT,
        ("", "PodTemplate") => &workload::POD_TEMPLATE,
        ("", "ReplicationController") => &workload::REPLICATION_CONTROLLER,
        ("apps", "Deployment") => &workload::DEPLOYMENT,
        ("apps", "ReplicaSet") => &workload::REPLICA_SET,
        ("apps", "DaemonSet") => &workload::DAEMON_SET,
        ("apps", "StatefulSet") => &workload::STATEFUL_SET,
        ("apps", "ControllerRevision") => &workload::CONTROLLER_REVISION,
        ("batch", "Job") => &batch::JOB,
        ("batch", "CronJob") => &batch::CRON_JOB,
        ("autoscaling", "HorizontalPodAutoscaler") => &autoscaling::RULES,
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration") => {
            &webhooks::RULES
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => &policies::VALIDATING,
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy") => &policies::MUTATING,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => &policies::VALIDATING_BINDING,
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding") => &policies::MUTATING_BINDING,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => &custom_resource_definition::RULES,
        ("apiregistration.k8s.io", "APIService") => &apiservices::RULES,
        ("certificates.k8s.io", "CertificateSigningRequest") => &certificates::SIGNING_REQUEST,
        ("certificates.k8s.io", "ClusterTrustBundle") => &certificates::TRUST_BUNDLE,
        ("certificates.k8s.io", "PodCertificateRequest") => &certificates::POD_CERTIFICATE,
        ("coordination.k8s.io", "Lease") => &coordination::RULES,
        ("scheduling.k8s.io", "PriorityClass") => &scheduling::PRIORITY_CLASS,
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => &rbac::ROLE,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => &rbac::BINDING,
        ("policy", "PodDisruptionBudget") => &policy::RULES,
        ("networking.k8s.io", "Ingress") => &networking::INGRESS,
        ("networking.k8s.io", "IngressClass") => &networking::INGRESS_CLASS,
        ("networking.k8s.io", "NetworkPolicy") => &networking::NETWORK_POLICY,
        ("node.k8s.io", "RuntimeClass") => &runtime_class::RULES,
        _ => others::rules(group, kind).unwrap_or(&DEFAULT),
    }
}

/// A kind without rules of its own: its name is a DNS subdomain.
static DEFAULT: Rules = Rules { name: subdomain, ..Rules::NONE };

/// The names of most kinds. A `generateName` may end with a dash.
pub(crate) fn subdomain(name: &str, prefix: bool) -> Vec<String> {
    dns_subdomain(&without_dash(name, prefix))
}

/// A `generateName` with its dash at the end made a letter: more follows it.
pub(crate) fn without_dash(name: &str, prefix: bool) -> String {
    match name.strip_suffix('-') {
        Some(stem) if prefix && !stem.is_empty() => format!("{}a", &stem[..stem.len() - 1]),
        _ => name.to_owned(),
    }
}

pub(crate) use config_map::config_key;
pub(crate) use node::is_cidr;
pub(crate) use scheduling::preemption_policy;
pub(crate) use storage::claim_spec_warnings;

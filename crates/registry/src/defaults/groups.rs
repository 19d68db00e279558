//! Defaults of all groups but the core one (upstream: `pkg/apis/*/v1/defaults.go`).

use serde_json::{Value, json};

use super::Rule;
use super::core::nested;
use crate::value::{Object, default_absent, default_zero, is_zero};

pub(super) static RULES: &[(&str, Rule)] = &[
    ("admissionregistration.v1.MatchResources", |o| {
        default_absent(o, "matchPolicy", "Equivalent");
        default_absent(o, "namespaceSelector", json!({}));
        default_absent(o, "objectSelector", json!({}));
    }),
    ("admissionregistration.v1.MutatingAdmissionPolicySpec", |o| default_absent(o, "failurePolicy", "Fail")),
    ("admissionregistration.v1.MutatingWebhook", |o| {
        webhook(o);
        default_absent(o, "reinvocationPolicy", "Never");
    }),
    ("admissionregistration.v1.NamedRuleWithOperations", |o| default_absent(o, "scope", "*")),
    ("admissionregistration.v1.RuleWithOperations", |o| default_absent(o, "scope", "*")),
    ("admissionregistration.v1.ServiceReference", |o| default_absent(o, "port", 443)),
    ("admissionregistration.v1.ValidatingAdmissionPolicySpec", |o| default_absent(o, "failurePolicy", "Fail")),
    ("admissionregistration.v1.ValidatingWebhook", webhook),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionSpec", |spec| {
        nested(spec, "names", |names| {
            let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            default_zero(names, "singular", kind.to_lowercase());
            if !kind.is_empty() {
                default_zero(names, "listKind", format!("{kind}List"));
            }
        });
        default_absent(spec, "conversion", json!({"strategy": "None"}));
    }),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.ServiceReference", |o| default_absent(o, "port", 443)),
    ("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.ServiceReference", |o| default_absent(o, "port", 443)),
    ("apps.v1.DaemonSet", daemon_set),
    ("apps.v1.Deployment", deployment),
    ("apps.v1.ReplicaSet", |o| nested(o, "spec", |spec| default_absent(spec, "replicas", 1))),
    ("apps.v1.StatefulSet", stateful_set),
    ("authentication.v1.TokenRequestSpec", |o| default_absent(o, "expirationSeconds", 3600)),
    ("autoscaling.v1.HorizontalPodAutoscaler", |o| nested(o, "spec", |spec| default_absent(spec, "minReplicas", 1))),
    ("autoscaling.v2.HorizontalPodAutoscaler", |o| nested(o, "spec", horizontal_pod_autoscaler)),
    ("batch.v1.CronJob", |o| {
        nested(o, "spec", |spec| {
            default_zero(spec, "concurrencyPolicy", "Allow");
            default_absent(spec, "suspend", false);
            default_absent(spec, "successfulJobsHistoryLimit", 3);
            default_absent(spec, "failedJobsHistoryLimit", 1);
        });
    }),
    ("batch.v1.Job", job),
    ("batch.v1.PodFailurePolicyOnPodConditionsPattern", |o| default_zero(o, "status", "True")),
    ("discovery.v1.EndpointPort", |o| {
        default_absent(o, "name", "");
        default_absent(o, "protocol", "TCP");
    }),
    ("flowcontrol.v1.ExemptPriorityLevelConfiguration", |o| {
        default_absent(o, "nominalConcurrencyShares", 0);
        default_absent(o, "lendablePercent", 0);
    }),
    ("flowcontrol.v1.FlowSchemaSpec", |o| default_zero(o, "matchingPrecedence", 1000)),
    ("flowcontrol.v1.LimitedPriorityLevelConfiguration", |o| {
        default_absent(o, "nominalConcurrencyShares", 30);
        default_absent(o, "lendablePercent", 0);
    }),
    ("flowcontrol.v1.QueuingConfiguration", |o| {
        default_zero(o, "handSize", 8);
        default_zero(o, "queues", 64);
        default_zero(o, "queueLengthLimit", 50);
    }),
    ("networking.v1.IngressClassParametersReference", |o| default_absent(o, "scope", "Cluster")),
    ("networking.v1.NetworkPolicy", |o| nested(o, "spec", network_policy)),
    ("networking.v1.NetworkPolicyPort", |o| default_absent(o, "protocol", "TCP")),
    ("rbac.v1.ClusterRoleBinding", role_ref),
    ("rbac.v1.RoleBinding", role_ref),
    ("rbac.v1.Subject", |o| {
        if matches!(o.get("kind").and_then(Value::as_str), Some("User" | "Group")) {
            default_zero(o, "apiGroup", RBAC);
        }
    }),
    ("resource.v1.DeviceSubRequest", device_request),
    ("resource.v1.ExactDeviceRequest", device_request),
    ("scheduling.v1.PriorityClass", |o| default_absent(o, "preemptionPolicy", "PreemptLowerPriority")),
    ("storage.v1.CSIDriver", |o| nested(o, "spec", csi_driver)),
    ("storage.v1.StorageClass", |o| {
        default_absent(o, "reclaimPolicy", "Delete");
        default_absent(o, "volumeBindingMode", "Immediate");
    }),
];

const RBAC: &str = "rbac.authorization.k8s.io";

fn webhook(o: &mut Object) {
    default_absent(o, "failurePolicy", "Fail");
    default_absent(o, "matchPolicy", "Equivalent");
    default_absent(o, "namespaceSelector", json!({}));
    default_absent(o, "objectSelector", json!({}));
    default_absent(o, "timeoutSeconds", 10);
}

fn role_ref(o: &mut Object) {
    nested(o, "roleRef", |reference| default_zero(reference, "apiGroup", RBAC));
}

fn deployment(o: &mut Object) {
    nested(o, "spec", |spec| {
        default_absent(spec, "replicas", 1);
        nested(spec, "strategy", |strategy| {
            default_zero(strategy, "type", "RollingUpdate");
            if strategy["type"] == "RollingUpdate" {
                nested(strategy, "rollingUpdate", |rolling| {
                    default_absent(rolling, "maxUnavailable", "25%");
                    default_absent(rolling, "maxSurge", "25%");
                });
            }
        });
        default_absent(spec, "revisionHistoryLimit", 10);
        default_absent(spec, "progressDeadlineSeconds", 600);
    });
}

fn daemon_set(o: &mut Object) {
    nested(o, "spec", |spec| {
        nested(spec, "updateStrategy", |strategy| {
            default_zero(strategy, "type", "RollingUpdate");
            if strategy["type"] == "RollingUpdate" {
                nested(strategy, "rollingUpdate", |rolling| {
                    default_absent(rolling, "maxUnavailable", 1);
                    default_absent(rolling, "maxSurge", 0);
                });
            }
        });
        default_absent(spec, "revisionHistoryLimit", 10);
    });
}

fn stateful_set(o: &mut Object) {
    nested(o, "spec", |spec| {
        default_zero(spec, "podManagementPolicy", "OrderedReady");
        nested(spec, "updateStrategy", |strategy| {
            if is_zero(strategy.get("type")) {
                strategy.insert("type".to_owned(), json!("RollingUpdate"));
                default_absent(strategy, "rollingUpdate", json!({}));
            }
            if strategy["type"] == "RollingUpdate" && strategy.get("rollingUpdate").is_some_and(Value::is_object) {
                nested(strategy, "rollingUpdate", |rolling| {
                    default_absent(rolling, "partition", 0);
                    default_absent(rolling, "maxUnavailable", 1);
                });
            }
        });
        nested(spec, "persistentVolumeClaimRetentionPolicy", |policy| {
            default_zero(policy, "whenDeleted", "Retain");
            default_zero(policy, "whenScaled", "Retain");
        });
        default_absent(spec, "replicas", 1);
        default_absent(spec, "revisionHistoryLimit", 10);
    });
}

fn job(o: &mut Object) {
    let labels = o.get("spec").map(|s| s["template"]["metadata"]["labels"].clone()).unwrap_or_default();
    nested(o, "spec", |spec| {
        let absent = |key: &str, spec: &Object| spec.get(key).is_none_or(Value::is_null);
        if absent("completions", spec) && absent("parallelism", spec) {
            spec.insert("completions".to_owned(), json!(1));
        }
        default_absent(spec, "parallelism", 1);
        let limit = if absent("backoffLimitPerIndex", spec) { 6 } else { i32::MAX };
        default_absent(spec, "backoffLimit", limit);
        default_absent(spec, "completionMode", "NonIndexed");
        default_absent(spec, "suspend", false);
        let replacement = if absent("podFailurePolicy", spec) { "TerminatingOrFailed" } else { "Failed" };
        default_absent(spec, "podReplacementPolicy", replacement);
        default_absent(spec, "manualSelector", false);
    });
    if labels.is_object() {
        nested(o, "metadata", |metadata| {
            let empty = metadata.get("labels").and_then(Value::as_object).is_none_or(serde_json::Map::is_empty);
            if empty {
                metadata.insert("labels".to_owned(), labels);
            }
        });
    }
}

fn horizontal_pod_autoscaler(spec: &mut Object) {
    default_absent(spec, "minReplicas", 1);
    if spec.get("metrics").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let target = json!({ "type": "Utilization", "averageUtilization": 80 });
        let metric = json!([{ "type": "Resource", "resource": { "name": "cpu", "target": target } }]);
        spec.insert("metrics".to_owned(), metric);
    }
    let Some(behavior) = spec.get_mut("behavior").and_then(Value::as_object_mut) else {
        return;
    };
    nested(behavior, "scaleUp", |rules| {
        default_absent(rules, "stabilizationWindowSeconds", 0);
        default_absent(rules, "selectPolicy", "Max");
        let policies = json!([
            { "type": "Pods", "value": 4, "periodSeconds": 15 },
            { "type": "Percent", "value": 100, "periodSeconds": 15 },
        ]);
        default_absent(rules, "policies", policies);
    });
    nested(behavior, "scaleDown", |rules| {
        default_absent(rules, "selectPolicy", "Max");
        default_absent(rules, "policies", json!([{ "type": "Percent", "value": 100, "periodSeconds": 15 }]));
    });
}

fn network_policy(spec: &mut Object) {
    if spec.get("policyTypes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let egress = spec.get("egress").and_then(Value::as_array).is_some_and(|l| !l.is_empty());
        let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        spec.insert("policyTypes".to_owned(), types);
    }
}

fn csi_driver(spec: &mut Object) {
    default_absent(spec, "attachRequired", true);
    default_absent(spec, "podInfoOnMount", false);
    default_absent(spec, "storageCapacity", false);
    default_absent(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if spec.get("volumeLifecycleModes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        spec.insert("volumeLifecycleModes".to_owned(), json!(["Persistent"]));
    }
    default_absent(spec, "requiresRepublish", false);
    default_absent(spec, "seLinuxMount", false);
    default_absent(spec, "preventPodSchedulingIfMissing", false);
}

fn device_request(o: &mut Object) {
    default_zero(o, "allocationMode", "ExactCount");
    if o["allocationMode"] == "ExactCount" {
        default_zero(o, "count", 1);
    }
}

//! Every Pod runs as a service account and gets its token, the cluster's CA and its namespace in a projected volume
//! (upstream: `plugin/pkg/admission/serviceaccount`).

use std::sync::Arc;

use api::resources::{PODS, SERVICEACCOUNTS};
use apimachinery::{Admission, AdmissionRequest, ApiError, Object, Operation, Reader};
use component_base::Random;
use serde_json::{Value, json};

const DEFAULT_NAME: &str = "default";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
const MIRROR: &str = "kubernetes.io/config.mirror";
/// An hour and some seconds, so that renewals do not fall on full hours.
const TOKEN_SECONDS: i64 = 3607;

/// The plugin.
#[derive(Debug)]
pub struct ServiceAccount {
    random: Arc<Random>,
}

impl ServiceAccount {
    /// The plugin, which names volumes at random.
    pub fn new(random: Arc<Random>) -> Self {
        Self { random }
    }
}

impl Admission for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn admit(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let creates = request.operation == Operation::Create && request.subresource.is_empty();
        if !request.resource.is(PODS) || !creates {
            return Ok(());
        }
        if !request.object["metadata"]["annotations"][MIRROR].is_null() {
            if request.object["spec"]["serviceAccountName"].as_str().is_some_and(|name| !name.is_empty()) {
                let why = "a mirror pod may not reference service accounts";
                return Err(ApiError::forbidden("", "pods", request.name, why));
            }
            return Ok(());
        }
        let spec = &mut request.object["spec"];
        if spec["serviceAccountName"].as_str().is_none_or(str::is_empty) {
            spec["serviceAccountName"] = json!(DEFAULT_NAME);
            spec["serviceAccount"] = json!(DEFAULT_NAME);
        }
        let name = spec["serviceAccountName"].as_str().unwrap_or_default().to_owned();
        let Some(account) = reader.get(SERVICEACCOUNTS, request.namespace, &name) else {
            let why = format!(
                "error looking up service account {}/{name}: serviceaccount {name:?} not found",
                request.namespace
            );
            return Err(ApiError::forbidden("", "pods", request.name, &why));
        };
        let account = Object::value(&account);
        if mounts_token(spec, &account) {
            self.mount(spec);
        }
        if spec["imagePullSecrets"].as_array().is_none_or(Vec::is_empty) && account["imagePullSecrets"].is_array() {
            spec["imagePullSecrets"] = account["imagePullSecrets"].clone();
        }
        Ok(())
    }
}

/// The Pod's word counts before the account's; without a word from either the token is mounted.
fn mounts_token(spec: &Value, account: &Value) -> bool {
    let words = [&spec["automountServiceAccountToken"], &account["automountServiceAccountToken"]];
    words.into_iter().find_map(Value::as_bool).unwrap_or(true)
}

impl ServiceAccount {
    fn mount(&self, spec: &mut Value) {
        let existing = spec["volumes"].as_array().into_iter().flatten().find_map(|volume| {
            let name = volume["name"].as_str()?;
            (name.starts_with(VOLUME_PREFIX) && volume["projected"].is_object()).then(|| name.to_owned())
        });
        let name = existing.clone().unwrap_or_else(|| format!("{VOLUME_PREFIX}{}", self.random.name_suffix(5)));
        let mut needed = false;
        for list in ["initContainers", "containers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                let mut mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
                if mounts.iter().any(|mount| mount["mountPath"] == MOUNT_PATH) {
                    continue;
                }
                mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
                container["volumeMounts"] = Value::Array(mounts);
                needed = true;
            }
        }
        if needed && existing.is_none() {
            let mut volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
            volumes.push(volume(&name));
            spec["volumes"] = Value::Array(volumes);
        }
    }
}

fn volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
        ]}},
    ]}})
}

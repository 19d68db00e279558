//! Trust anchors for Pods, out of ClusterTrustBundles (upstream: `pkg/kubelet/clustertrustbundle`).

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use apimachinery::labels::Selector;
use k8s_openapi::api::certificates::v1::ClusterTrustBundle;
use k8s_openapi::api::core::v1::ClusterTrustBundleProjection;
use registry::pem;

/// The cluster's bundles.
#[derive(Debug, Default, Clone)]
pub(crate) struct TrustBundles {
    pub(crate) all: Vec<Arc<ClusterTrustBundle>>,
    /// Decides the order of anchors: the same for as long as a kubelet lives, so that files do not change for nothing, and
    /// another after that, so that nobody relies on it.
    pub(crate) salt: u64,
}

impl TrustBundles {
    /// The anchors that `wanted` chooses, each once.
    pub(crate) fn anchors(&self, wanted: &ClusterTrustBundleProjection) -> Result<Vec<u8>, String> {
        let optional = wanted.optional == Some(true);
        let (chosen, missing) = match (&wanted.name, &wanted.signer_name) {
            (Some(name), _) => {
                let named = |bundle: &&Arc<ClusterTrustBundle>| bundle.metadata.name.as_ref() == Some(name);
                let missing = format!(
                    "while getting ClusterTrustBundle: clustertrustbundle.certificates.k8s.io {name:?} not found"
                );
                (self.all.iter().filter(named).collect::<Vec<_>>(), missing)
            }
            (None, Some(signer)) => {
                let selector = selector(wanted).map_err(|why| format!("while parsing label selector: {why}"))?;
                let of_signer = |bundle: &&Arc<ClusterTrustBundle>| {
                    let labels = bundle.metadata.labels.clone().unwrap_or_default();
                    bundle.spec.signer_name.as_ref() == Some(signer) && selector.matches(&labels)
                };
                let missing = "combination of signerName and labelSelector matched zero ClusterTrustBundles".to_owned();
                (self.all.iter().filter(of_signer).collect(), missing)
            }
            (None, None) => {
                return Err("ClusterTrustBundle projection requires either name or signerName to be set".to_owned());
            }
        };
        if chosen.is_empty() && !optional {
            return Err(missing);
        }
        let blocks = chosen.iter().flat_map(|bundle| pem::blocks(&bundle.spec.trust_bundle));
        let anchors: BTreeSet<(u64, Vec<u8>)> = blocks.map(|block| (self.place(&block.bytes), block.bytes)).collect();
        Ok(anchors.iter().map(|(_, bytes)| pem::encode(pem::CERTIFICATE, bytes)).collect::<String>().into_bytes())
    }

    fn place(&self, anchor: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.salt, anchor).hash(&mut hasher);
        hasher.finish()
    }
}

/// No selector chooses nothing, an empty one everything.
fn selector(wanted: &ClusterTrustBundleProjection) -> Result<Selector, String> {
    let Some(selector) = &wanted.label_selector else { return Ok(Selector::nothing()) };
    let value = serde_json::to_value(selector).map_err(|error| error.to_string())?;
    Selector::from_label_selector(&value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;

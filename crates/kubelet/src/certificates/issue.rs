//! Asks for certificates.

use api::resources::{NODES, PODCERTIFICATEREQUESTS, SERVICEACCOUNTS};
use client::EventType;
use jiff::SignedDuration;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::PodCertificateProjection;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SignatureAlgorithm};
use registry::pem;
use serde_json::{Value, json};

use super::{Request, State};
use crate::containers::PodHands;
use crate::names;

/// A certificate is renewed up to so many seconds after it could be.
const JITTER_SECONDS: u64 = 300;

impl PodHands {
    /// The key and the certificates that a volume shows, PEM: those that are there, while new ones are asked for if need be.
    pub(crate) async fn credential(
        &self,
        volume: &str,
        source: usize,
        wanted: &PodCertificateProjection,
    ) -> Result<(String, String), String> {
        let requests = self.shared.certificates.requests();
        requests.synced().await;
        let place = (volume.to_owned(), source);
        let jitter = SignedDuration::from_secs(i64::try_from(self.shared.random.below(JITTER_SECONDS)).unwrap_or(0));
        let step = {
            let mut states = self.credentials.lock();
            let state = states.remove(&place).unwrap_or_default();
            let name = state.request().map(|name| format!("{}/{name}", names::namespace(&self.pod)));
            let request = name.and_then(|name| requests.store().get(&name)).map(|request| request.value());
            let (state, step) = state.step(request.as_ref(), self.shared.clock.now(), jitter);
            states.insert(place.clone(), state);
            step
        };
        for (reason, text) in step.told {
            self.recorder().event(self.about.clone(), EventType::Warning, reason, text);
        }
        if step.ask {
            let asked = self.ask(wanted).await;
            let (request, failed) = match asked {
                Ok(request) => (Some(request), None),
                Err(error) => (None, Some(format!("while creating PodCertificateRequest: {error}"))),
            };
            let mut states = self.credentials.lock();
            let state = states.remove(&place).unwrap_or_default().asked(request);
            let fresh = state == State::New;
            states.insert(place.clone(), state);
            if let Some(error) = failed.filter(|_| fresh) {
                return Err(error);
            }
        }
        let states = self.credentials.lock();
        let (key, chain) = states.get(&place).unwrap_or(&State::New).bundle()?;
        Ok((key.to_owned(), chain.to_owned()))
    }

    /// Makes a key and a request for it.
    async fn ask(&self, wanted: &PodCertificateProjection) -> Result<Request, String> {
        let (key, stub) = key_and_stub(&wanted.key_type)?;
        let (namespace, pod) = (names::namespace(&self.pod), names::name(&self.pod));
        let account = self.pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone()).unwrap_or_default();
        let of_account = self.shared.client.get(SERVICEACCOUNTS, namespace, &account).await;
        let of_account = of_account.map_err(|error| format!("while fetching service account: {error}"))?;
        let node = self.shared.client.get(NODES, "", &self.shared.config.node_name).await;
        let node = node.map_err(|error| format!("while fetching node: {error}"))?;
        let mut spec = json!({
            "signerName": wanted.signer_name, "podName": pod, "podUID": names::uid(&self.pod),
            "serviceAccountName": account, "serviceAccountUID": of_account.meta().uid,
            "nodeName": self.shared.config.node_name, "nodeUID": node.meta().uid,
            "stubPKCS10Request": ByteString(stub),
        });
        if let Some(seconds) = wanted.max_expiration_seconds {
            spec["maxExpirationSeconds"] = json!(seconds);
        }
        if let Some(annotations) = &wanted.user_annotations {
            spec["unverifiedUserAnnotations"] = json!(annotations);
        }
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": names::uid(&self.pod)});
        let request: Value = json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "PodCertificateRequest",
            "metadata": {"generateName": "req-", "namespace": namespace, "ownerReferences": [owner]},
            "spec": spec,
        });
        let made = self.shared.client.create(PODCERTIFICATEREQUESTS, namespace, request).await;
        let made = made.map_err(|error| error.to_string())?;
        // From now on a request that is not there has been deleted.
        self.shared.certificates.requests().caught_up(made.meta().resource_version).await;
        Ok(Request { name: made.meta().name.clone(), key })
    }
}

/// A new key, PEM, and an empty request that is signed with it.
fn key_and_stub(key_type: &str) -> Result<(String, Vec<u8>), String> {
    let algorithm: &'static SignatureAlgorithm = match key_type {
        "ECDSAP256" => &rcgen::PKCS_ECDSA_P256_SHA256,
        "ECDSAP384" => &rcgen::PKCS_ECDSA_P384_SHA384,
        "ED25519" => &rcgen::PKCS_ED25519,
        other => {
            return Err(format!(
                "keys of type {other:?} can't be made on this node; use ECDSAP256, ECDSAP384 or ED25519"
            ));
        }
    };
    let failed = |error: rcgen::Error| format!("while generating keypair: {error}");
    let key = KeyPair::generate_for(algorithm).map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let stub = params.serialize_request(&key).map_err(failed)?;
    Ok((pem::encode("PRIVATE KEY", &key.serialize_der()), stub.der().to_vec()))
}

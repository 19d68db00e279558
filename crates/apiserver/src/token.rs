//! Service account tokens: JSON Web Tokens signed with ES256, bound to a service account and perhaps to a Pod, and
//! checked against what exists now (upstream: `pkg/serviceaccount`).

use std::sync::Arc;

use api::resources::{NODES, PODS, SECRETS, SERVICEACCOUNTS};
use apimachinery::{Reader, UserInfo};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use component_base::Random;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Why tokens can't be issued or checked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The key file holds no such key.
    #[error("the service account key is not a PKCS #8 key on the P-256 curve")]
    Key,
    /// The signer failed.
    #[error("failed to sign a token")]
    Sign,
}

/// The object that a token is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundObject {
    /// Its name.
    pub name: String,
    /// Its uid.
    #[serde(default)]
    pub uid: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    aud: Vec<String>,
    exp: i64,
    iat: i64,
    iss: String,
    jti: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: KubernetesClaims,
    nbf: i64,
    sub: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct KubernetesClaims {
    namespace: String,
    serviceaccount: BoundObject,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<BoundObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<BoundObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<BoundObject>,
}

/// What a token is asked for.
#[derive(Debug, Clone)]
pub struct TokenSpec<'a> {
    /// The service account's namespace.
    pub namespace: &'a str,
    /// The service account.
    pub account: BoundObject,
    /// The Pod that it is bound to.
    pub pod: Option<BoundObject>,
    /// The Pod's node.
    pub node: Option<BoundObject>,
    /// The Secret that it is bound to.
    pub secret: Option<BoundObject>,
    /// Who may accept it; the API server itself if empty.
    pub audiences: Vec<String>,
    /// How long it is good for.
    pub seconds: i64,
}

/// Signs and checks tokens.
pub struct TokenAuthority {
    issuer: String,
    key: EcdsaKeyPair,
    key_id: String,
}

impl std::fmt::Debug for TokenAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenAuthority").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl TokenAuthority {
    /// An authority that calls itself `issuer` and signs with the PKCS #8 key `pkcs8`.
    pub fn new(issuer: String, pkcs8: &[u8]) -> Result<Self, TokenError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new())
            .map_err(|_| TokenError::Key)?;
        let key_id = BASE64.encode(ring::digest::digest(&ring::digest::SHA256, key.public_key().as_ref()));
        Ok(Self { issuer, key, key_id })
    }

    /// A new PKCS #8 key.
    pub fn generate_key() -> Result<Vec<u8>, TokenError> {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map(|document| document.as_ref().to_vec())
            .map_err(|_| TokenError::Sign)
    }

    /// The issuer, which is the audience of tokens for the API server too.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A token as `spec` says, from `now` on.
    pub fn issue(&self, spec: &TokenSpec<'_>, now: Timestamp, random: &Random) -> Result<String, TokenError> {
        let now = now.as_second();
        let audiences = if spec.audiences.is_empty() { vec![self.issuer.clone()] } else { spec.audiences.clone() };
        let claims = Claims {
            aud: audiences,
            exp: now + spec.seconds,
            iat: now,
            iss: self.issuer.clone(),
            jti: random.uuid(),
            kubernetes: KubernetesClaims {
                namespace: spec.namespace.to_owned(),
                serviceaccount: spec.account.clone(),
                pod: spec.pod.clone(),
                node: spec.node.clone(),
                secret: spec.secret.clone(),
            },
            nbf: now,
            sub: format!("system:serviceaccount:{}:{}", spec.namespace, spec.account.name),
        };
        let header = json!({"alg": "ES256", "kid": self.key_id});
        let body = serde_json::to_vec(&claims).map_err(|_| TokenError::Sign)?;
        let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(body));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| TokenError::Sign)?;
        Ok(format!("{signed}.{}", BASE64.encode(signature)))
    }

    /// Who `token` speaks for, if it is ours, in time, for one of `audiences`, and what it is bound to still exists.
    /// With the user come the audiences that token and caller share.
    pub fn check(
        &self,
        token: &str,
        audiences: &[String],
        now: Timestamp,
        reader: &dyn Reader,
    ) -> Option<(UserInfo, Vec<String>)> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, body) = signed.split_once('.')?;
        let header: Value = serde_json::from_slice(&BASE64.decode(header).ok()?).ok()?;
        if header["alg"] != "ES256" || header["kid"] != self.key_id.as_str() {
            return None;
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref())
            .verify(signed.as_bytes(), &BASE64.decode(signature).ok()?)
            .ok()?;
        let claims: Claims = serde_json::from_slice(&BASE64.decode(body).ok()?).ok()?;
        let shared: Vec<String> = claims.aud.iter().filter(|a| audiences.contains(a)).cloned().collect();
        let now = now.as_second();
        if claims.iss != self.issuer || now < claims.nbf || now >= claims.exp || shared.is_empty() {
            return None;
        }
        let kubernetes = claims.kubernetes;
        let namespace = kubernetes.namespace.as_str();
        let exists = |resource, namespace: &str, bound: &BoundObject| {
            reader.get(resource, namespace, &bound.name).is_some_and(|object| object.meta().uid == bound.uid)
        };
        if !exists(SERVICEACCOUNTS, namespace, &kubernetes.serviceaccount) {
            return None;
        }
        let mut user = UserInfo::service_account(namespace, &kubernetes.serviceaccount.name);
        user.uid = kubernetes.serviceaccount.uid.clone();
        let mut extra = |key: &str, value: &str| {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
        };
        extra("credential-id", &format!("JTI={}", claims.jti));
        if let Some(pod) = &kubernetes.pod {
            if !exists(PODS, namespace, pod) {
                return None;
            }
            extra("pod-name", &pod.name);
            extra("pod-uid", &pod.uid);
        }
        if let Some(node) = &kubernetes.node {
            extra("node-name", &node.name);
            extra("node-uid", &node.uid);
            if kubernetes.pod.is_none() && !exists(NODES, "", node) {
                return None;
            }
        }
        if let Some(secret) = &kubernetes.secret
            && !exists(SECRETS, namespace, secret)
        {
            return None;
        }
        Some((user, shared))
    }

    /// The public keys, as an OpenID Connect key set.
    pub fn key_set(&self) -> Value {
        // An uncompressed point: 0x04, then 32 bytes each of x and y.
        let point = self.key.public_key().as_ref();
        let (x, y) = (point.get(1..33).unwrap_or_default(), point.get(33..65).unwrap_or_default());
        json!({"keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256",
            "x": BASE64.encode(x), "y": BASE64.encode(y),
        }]})
    }

    /// The OpenID Connect discovery document.
    pub fn discovery(&self) -> Value {
        json!({
            "issuer": self.issuer,
            "jwks_uri": format!("{}/openid/v1/jwks", self.issuer),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }
}

/// A token authority that many share.
pub type SharedAuthority = Arc<TokenAuthority>;

#[cfg(test)]
mod tests;

//! Signs what is approved, as Kubernetes' own signers.

use std::sync::Arc;
use std::time::Duration;

use api::resources::CERTIFICATESIGNINGREQUESTS;
use apimachinery::metav1_time;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::{Client, Informer, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use registry::pem;
use serde_json::{Value, json};

use super::plan::{Asked, Signing, signing};
use super::{NAME, add_condition, write};
use crate::context::ControllerContext;
use crate::owner;

/// How long a certificate lives at most (upstream's `--cluster-signing-duration`).
const LIFE_MAX: SignedDuration = SignedDuration::from_hours(365 * 24);
/// At least.
const LIFE_MIN: SignedDuration = SignedDuration::from_mins(10);
/// Clocks differ: certificates begin in the past.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);
/// What lives shorter than that does not end earlier for it.
const SHORT: SignedDuration = SignedDuration::from_hours(8);

struct Signer {
    client: Client,
    context: ControllerContext,
    requests: Informer,
    issuer: Issuer<'static, KeyPair>,
    /// When the authority's own certificate ends.
    not_after: Timestamp,
}

/// Starts the controller, if there is a key to sign with.
pub(crate) fn start(context: &ControllerContext) {
    let Some(key) = &context.ca_key else { return };
    let authority = KeyPair::from_pem(key.pem())
        .and_then(|key| Issuer::from_ca_cert_pem(&context.root_ca, key))
        .map_err(|error| error.to_string());
    let not_after = end_of(&context.root_ca);
    let (Ok(issuer), Some(not_after)) = (authority, not_after) else {
        tracing::error!("the cluster's authority can't be read: no CertificateSigningRequest will be signed");
        return;
    };
    let queue = WorkQueue::new();
    let requests = context.informers.of(CERTIFICATESIGNINGREQUESTS);
    requests.on_change(owner::enqueue(&queue));
    let controller = Signer { client: context.client(NAME), context: context.clone(), requests, issuer, not_after };
    run_controller(&context.supervisor, &queue, 1, Arc::new(controller));
}

/// The end of the life of the first certificate in a text.
pub(super) fn end_of(text: &str) -> Option<Timestamp> {
    let block = pem::blocks(text).into_iter().next()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&block.bytes).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

#[async_trait]
impl Reconciler for Signer {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, name: &str) -> Result<Outcome, ReconcileError> {
        self.requests.synced().await;
        let Some(object) = self.requests.store().get(name) else { return Ok(Outcome::Done) };
        let mut request = object.value();
        match signing(&request) {
            Signing::None => return Ok(Outcome::Done),
            Signing::Sign(asked) => {
                let certificate = self.sign(&asked, &request["spec"])?;
                request["status"]["certificate"] = json!(STANDARD.encode(certificate));
            }
            Signing::Fail(why) => {
                let now = metav1_time(self.context.clock.now());
                let condition = json!({
                    "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": why,
                    "lastUpdateTime": now,
                });
                add_condition(&mut request, condition);
            }
        }
        write(&self.client, &self.requests, (name, "status"), request).await
    }
}

impl Signer {
    /// The certificate, PEM.
    fn sign(&self, asked: &Asked, spec: &Value) -> Result<String, ReconcileError> {
        let now = self.context.clock.now();
        let (not_before, not_after) = life(spec["expirationSeconds"].as_i64(), now, self.not_after)?;
        let mut request = CertificateSigningRequestParams::from_der(&asked.der.clone().into())?;
        let params = &mut request.params;
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let inscribed = |at: Timestamp| epoch + Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
        (params.not_before, params.not_after) = (inscribed(not_before), inscribed(not_after));
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.custom_extensions.clear();
        let serial = [self.context.random.next_u64(), self.context.random.next_u64()].map(u64::to_be_bytes).concat();
        params.serial_number = Some(SerialNumber::from(serial));
        let usages: Vec<&str> = spec["usages"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        params.key_usages = usages.iter().filter_map(|usage| key_usage(usage)).collect();
        params.extended_key_usages = usages.iter().filter_map(|usage| purpose(usage)).collect();
        let certificate = request.signed_by(&self.issuer)?;
        Ok(pem::encode(pem::CERTIFICATE, certificate.der()))
    }
}

/// Beginning and end of a certificate that is to live so many seconds.
fn life(seconds: Option<i64>, now: Timestamp, end: Timestamp) -> Result<(Timestamp, Timestamp), String> {
    if now >= end {
        return Err(format!("refusing to sign a certificate that expired in the past: NotAfter={end}"));
    }
    let life = seconds.map_or(LIFE_MAX, |seconds| SignedDuration::from_secs(seconds).clamp(LIFE_MIN, LIFE_MAX));
    let span = if life < SHORT { life } else { life - BACKDATE };
    let begin = now.checked_sub(BACKDATE).map_err(|error| error.to_string())?;
    Ok((begin, now.checked_add(span).map_err(|error| error.to_string())?.min(end)))
}

fn key_usage(usage: &str) -> Option<KeyUsagePurpose> {
    Some(match usage {
        "signing" | "digital signature" => KeyUsagePurpose::DigitalSignature,
        "content commitment" => KeyUsagePurpose::ContentCommitment,
        "key encipherment" => KeyUsagePurpose::KeyEncipherment,
        "key agreement" => KeyUsagePurpose::KeyAgreement,
        "data encipherment" => KeyUsagePurpose::DataEncipherment,
        "cert sign" => KeyUsagePurpose::KeyCertSign,
        "crl sign" => KeyUsagePurpose::CrlSign,
        "encipher only" => KeyUsagePurpose::EncipherOnly,
        "decipher only" => KeyUsagePurpose::DecipherOnly,
        _ => return None,
    })
}

fn purpose(usage: &str) -> Option<ExtendedKeyUsagePurpose> {
    let other = |oid: &[u64]| ExtendedKeyUsagePurpose::Other(oid.to_vec());
    Some(match usage {
        "any" => ExtendedKeyUsagePurpose::Any,
        "server auth" => ExtendedKeyUsagePurpose::ServerAuth,
        "client auth" => ExtendedKeyUsagePurpose::ClientAuth,
        "code signing" => ExtendedKeyUsagePurpose::CodeSigning,
        "email protection" | "s/mime" => ExtendedKeyUsagePurpose::EmailProtection,
        "ipsec end system" => other(&[1, 3, 6, 1, 5, 5, 7, 3, 5]),
        "ipsec tunnel" => other(&[1, 3, 6, 1, 5, 5, 7, 3, 6]),
        "ipsec user" => other(&[1, 3, 6, 1, 5, 5, 7, 3, 7]),
        "timestamping" => ExtendedKeyUsagePurpose::TimeStamping,
        "ocsp signing" => ExtendedKeyUsagePurpose::OcspSigning,
        "microsoft sgc" => other(&[1, 3, 6, 1, 4, 1, 311, 10, 3, 3]),
        "netscape sgc" => other(&[2, 16, 840, 1, 113_730, 4, 1]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::life;

    #[test]
    fn lives_have_bounds() {
        let at = |second: i64| Timestamp::from_second(second).expect("a time");
        let (hour, year) = (3600, 365 * 86_400);
        for (seconds, end, expected) in [
            (Some(hour), 10 * year, Ok((700, 1000 + hour))),
            (Some(600), 10 * year, Ok((700, 1600))),
            (Some(1), 10 * year, Ok((700, 1600))),
            (Some(24 * hour), 10 * year, Ok((700, 1000 + 24 * hour - 300))),
            (None, 10 * year, Ok((700, 1000 + year - 300))),
            (None, 2000, Ok((700, 2000))),
            (None, 1000, Err(())),
        ] {
            let found = life(seconds, at(1000), at(end)).map(|(a, b)| (a.as_second(), b.as_second())).map_err(|_| ());
            assert_eq!(found, expected, "{seconds:?} {end}");
        }
    }
}

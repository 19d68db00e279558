use std::time::Duration;

use api::resources::{CERTIFICATESIGNINGREQUESTS, CLUSTERTRUSTBUNDLES, EVENTS, PODCERTIFICATEREQUESTS, PODS};
use client::{PatchKind, Target, WriteOptions};
use cri::{ContainerFilter, RuntimeService};
use envtest::{Cluster, Failure, Options, check};
use jiff::SignedDuration;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, IsCa, Issuer, KeyPair,
};
use registry::pem;
use serde_json::{Value, json};

/// Files of volumes are looked at again this often.
const REFRESH: Duration = Duration::from_secs(60);

fn authority() -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    pem::encode(pem::CERTIFICATE, params.self_signed(&key).expect("a certificate").der())
}

/// Makes a Pod that shows `source` in a volume.
async fn pod(cluster: &Cluster, source: Value) -> Result<(), Failure> {
    let spec = json!({
        "volumes": [{"name": "v", "projected": {"sources": [source]}}],
        "containers": [{"name": "c", "image": "example.org/web:v1", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
    });
    cluster.client().create(PODS, "default", json!({"metadata": {"name": "p"}, "spec": spec})).await?;
    Ok(())
}

async fn runs(cluster: &Cluster) -> Result<(), Failure> {
    let look = || {
        let pod = cluster.get(PODS, "default", "p").map(|pod| pod.value()).unwrap_or_default();
        if pod["status"]["phase"] == "Running" { Ok(()) } else { Err(pod["status"].to_string()) }
    };
    cluster.eventually("the Pod runs", look).await
}

/// What its container sees in a file of the volume.
async fn file(cluster: &Cluster, name: &str) -> String {
    let containers = cluster.nodes()[0].runtime.list_containers(&ContainerFilter::default()).await.unwrap_or_default();
    let mut mounts = containers.iter().flat_map(|container| &container.mounts);
    let volume = mounts.find(|mount| mount.container_path.as_path() == "/v");
    let path = volume.map(|mount| mount.host_path.join(name)).unwrap_or_default();
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_pod_sees_trust_anchors_and_what_becomes_of_them() {
    check(&Options::new(101).nodes(1), async |cluster| {
        let (one, other) = (authority(), authority());
        let spec = json!({"signerName": "example.com/s", "trustBundle": format!("# ours\n{one}")});
        let bundle = json!({"metadata": {"name": "example.com:s:one", "labels": {"alive": "yes"}}, "spec": spec});
        let chosen = json!({"signerName": "example.com/s", "labelSelector": {"matchLabels": {"alive": "yes"}}});
        let mut source = chosen.clone();
        source["path"] = json!("ca.pem");
        pod(cluster, json!({"clusterTrustBundle": source})).await?;
        let refused = || {
            let all = cluster.list(EVENTS, "default");
            let mut all = all.iter().map(|event| event.value()["message"].as_str().unwrap_or_default().to_owned());
            let why = "combination of signerName and labelSelector matched zero ClusterTrustBundles";
            let told = all.any(|text| text == format!("MountVolume.SetUp failed for volume \"v\" : {why}"));
            if told { Ok(()) } else { Err("no such Event".to_owned()) }
        };
        cluster.eventually("the kubelet says that there are no trust anchors yet", refused).await?;
        cluster.client().create(CLUSTERTRUSTBUNDLES, "", bundle).await?;
        runs(cluster).await?;
        assert_eq!(file(cluster, "ca.pem").await, one);
        let patch = json!({"spec": {"trustBundle": format!("{one}{other}")}});
        cluster.client().patch(CLUSTERTRUSTBUNDLES, "", "example.com:s:one", PatchKind::Merge, patch).await?;
        cluster.pass(REFRESH * 2).await?;
        let shown = file(cluster, "ca.pem").await;
        assert!(shown == format!("{one}{other}") || shown == format!("{other}{one}"), "{shown}");
        Ok(())
    });
}

#[test]
fn the_api_servers_authority_is_published() {
    check(&Options::new(102).nodes(1), async |cluster| {
        let look = || {
            let all = cluster.list(CLUSTERTRUSTBUNDLES, "");
            let names: Vec<String> = all.iter().map(|bundle| bundle.meta().name.clone()).collect();
            let prefix = "kubernetes.io:kube-apiserver-serving:";
            if names.len() == 1 && names[0].starts_with(prefix) {
                Ok(names[0].clone())
            } else {
                Err(format!("{names:?}"))
            }
        };
        let name = cluster.eventually("there is a bundle", look).await?;
        cluster.delete(CLUSTERTRUSTBUNDLES, "", &name).await?;
        cluster.eventually("there is a bundle again", look).await?;
        Ok(())
    });
}

/// The request that waits for a signer.
async fn pending(cluster: &Cluster) -> Result<Value, Failure> {
    let look = || {
        let all = cluster.list(PODCERTIFICATEREQUESTS, "default");
        let mut all = all.iter().map(|request| request.value());
        all.find(|request| request["status"]["conditions"].is_null()).ok_or_else(|| "no request".to_owned())
    };
    cluster.eventually("a certificate is asked for", look).await
}

async fn decide(cluster: &Cluster, request: &Value, mut status: Value, kind: &str) -> Result<(), Failure> {
    let now = cluster.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let condition = json!({"type": kind, "status": "True", "reason": "Why", "message": "m", "lastTransitionTime": now});
    status["conditions"] = json!([condition]);
    let (client, name) = (cluster.client(), request["metadata"]["name"].as_str().unwrap_or_default());
    let patch = json!({"status": status});
    client.patch_status(PODCERTIFICATEREQUESTS, "default", name, PatchKind::Merge, patch).await?;
    Ok(())
}

/// Signs a request for a day; half of that passes before it is renewed. Gives the certificate.
async fn sign(cluster: &Cluster, request: &Value, issuer: &Issuer<'_, KeyPair>) -> Result<String, Failure> {
    use base64::Engine as _;
    let stub = request["spec"]["stubPKCS10Request"].as_str().unwrap_or_default();
    let stub = base64::engine::general_purpose::STANDARD.decode(stub).unwrap_or_default();
    let mut asked = CertificateSigningRequestParams::from_der(&stub.into()).expect("a request");
    let begin = jiff::Timestamp::from_second(cluster.now().as_second()).expect("a time");
    let after = |hours: i64| begin.checked_add(SignedDuration::from_hours(hours)).expect("a time");
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let inscribed = |at: jiff::Timestamp| epoch + Duration::from_secs(at.as_second().unsigned_abs());
    (asked.params.not_before, asked.params.not_after) = (inscribed(begin), inscribed(after(24)));
    let chain = pem::encode(pem::CERTIFICATE, asked.signed_by(issuer).expect("a certificate").der());
    let status = json!({
        "certificateChain": chain, "notBefore": begin.to_string(), "notAfter": after(24).to_string(),
        "beginRefreshAt": after(12).to_string(),
    });
    decide(cluster, request, status, "Issued").await?;
    Ok(chain)
}

fn issuer() -> Issuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    Issuer::new(params, KeyPair::generate().expect("a key"))
}

fn wanted(key_type: &str) -> Value {
    json!({"podCertificate": {
        "signerName": "example.com/s", "keyType": key_type, "credentialBundlePath": "both.pem", "keyPath": "key.pem",
        "certificateChainPath": "chain.pem", "userAnnotations": {"example.com/a": "b"},
    }})
}

#[test]
fn a_pod_gets_a_certificate_and_a_new_one_in_time() {
    check(&Options::new(103).nodes(1).patience(Duration::from_secs(900)), async |cluster| {
        let issuer = issuer();
        pod(cluster, wanted("ED25519")).await?;
        let request = pending(cluster).await?;
        assert_eq!(request["spec"]["maxExpirationSeconds"], 86_400);
        assert_eq!(request["spec"]["unverifiedUserAnnotations"]["example.com/a"], "b");
        let chain = sign(cluster, &request, &issuer).await?;
        runs(cluster).await?;
        let key = file(cluster, "key.pem").await;
        let private = KeyPair::from_pem(&key).expect("a private key");
        let leaf = pem::blocks(&chain).remove(0).bytes;
        let public = rcgen::PublicKeyData::subject_public_key_info(&private);
        assert!(leaf.windows(public.len()).any(|part| part == public), "the certificate is for the key");
        assert_eq!(file(cluster, "chain.pem").await, chain);
        assert_eq!(file(cluster, "both.pem").await, format!("{key}{chain}"));
        cluster.pass(Duration::from_secs(12 * 3600 + 400)).await?;
        let request = pending(cluster).await?;
        assert_eq!(file(cluster, "both.pem").await, format!("{key}{chain}"), "the old one is still good");
        let renewed = sign(cluster, &request, &issuer).await?;
        cluster.pass(REFRESH).await?;
        assert_eq!(file(cluster, "chain.pem").await, renewed);
        assert_ne!(file(cluster, "key.pem").await, key, "each certificate has a key of its own");
        Ok(())
    });
}

#[test]
fn a_certificate_that_is_denied_is_told_in_an_event() {
    check(&Options::new(104).nodes(1), async |cluster| {
        pod(cluster, wanted("ECDSAP256")).await?;
        cluster.pass(Duration::from_secs(1)).await?;
        let request = pending(cluster).await?;
        decide(cluster, &request, json!({}), "Denied").await?;
        let text = format!(
            "PodCertificateRequest default/{} was denied, reason=\"Why\", message=\"m\"",
            request["metadata"]["name"].as_str().unwrap_or_default()
        );
        let told = || {
            let all = cluster.list(EVENTS, "default");
            let told = all.iter().any(|event| event.value()["reason"] == "Denied" && event.value()["message"] == text);
            if told { Ok(()) } else { Err("no such Event".to_owned()) }
        };
        cluster.eventually("the Pod's Events say it", told).await?;
        cluster.delete(PODS, "default", "p").await?;
        let gone = || cluster.get(PODS, "default", "p").map_or(Ok(()), |pod| Err(pod.value().to_string()));
        cluster.eventually("the Pod can be deleted", gone).await
    });
}

/// Asks for a certificate as the administrator.
async fn ask(cluster: &Cluster, name: &str, signer: &str, usages: &[&str]) -> Result<(), Failure> {
    use base64::Engine as _;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:nodes");
    let request = params.serialize_request(&KeyPair::generate().expect("a key")).expect("a request");
    let request = pem::encode("CERTIFICATE REQUEST", request.der());
    let request = base64::engine::general_purpose::STANDARD.encode(request);
    let spec = json!({"request": request, "signerName": signer, "usages": usages, "username": "somebody"});
    let body = json!({"metadata": {"name": "r"}, "spec": spec});
    cluster.client().create(CERTIFICATESIGNINGREQUESTS, "", body).await?;
    Ok(())
}

fn request(cluster: &Cluster) -> Value {
    cluster.get(CERTIFICATESIGNINGREQUESTS, "", "r").map(|request| request.value()).unwrap_or_default()
}

async fn becomes(cluster: &Cluster, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
    let look = || Some(request(cluster)).filter(|request| is(request)).ok_or_else(|| request(cluster).to_string());
    cluster.eventually(what, look).await
}

#[test]
fn a_kubelets_certificate_is_approved_signed_and_forgotten() {
    check(&Options::new(105).nodes(1).patience(Duration::from_secs(2 * 3600)), async |cluster| {
        let usages = ["digital signature", "client auth"];
        ask(cluster, "system:node:new", "kubernetes.io/kube-apiserver-client-kubelet", &usages).await?;
        let signed = becomes(cluster, "it is signed", |request| !request["status"]["certificate"].is_null()).await?;
        assert_eq!(signed["spec"]["username"], "kubernetes-admin", "nobody asks in another's name");
        let approval = &signed["status"]["conditions"][0];
        assert_eq!(approval["reason"], "AutoApproved");
        assert_eq!(approval["message"], "Auto approving kubelet client certificate after SubjectAccessReview.");
        becomes(cluster, "it is gone after an hour", Value::is_null).await?;
        Ok(())
    });
}

#[test]
fn what_breaks_a_signers_rules_is_not_signed() {
    check(&Options::new(106).nodes(1), async |cluster| {
        ask(cluster, "jane", "kubernetes.io/kube-apiserver-client", &["server auth"]).await?;
        let mut approved = request(cluster);
        approved["status"]["conditions"] = json!([{"type": "Approved", "status": "True", "reason": "Mine"}]);
        let target = Target::object(CERTIFICATESIGNINGREQUESTS, "", "r").subresource("approval");
        cluster.client().transport().update(target, approved, &WriteOptions::default()).await?;
        let failed = |request: &Value| request["status"]["conditions"][1]["type"] == "Failed";
        let request = becomes(cluster, "it has failed", failed).await?;
        assert_eq!(request["status"]["conditions"][1]["reason"], "SignerValidationFailure");
        let why = "invalid usage for client certificate: server auth";
        assert_eq!(request["status"]["conditions"][1]["message"], why);
        assert_eq!(request["status"]["certificate"], Value::Null);
        Ok(())
    });
}

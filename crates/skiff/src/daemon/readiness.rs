//! How the launcher learns that the cluster is up: it asks the API as the administrator, and watches the node.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::cluster::Cluster;
use crate::pki::Pki;

/// Returns when the node is Ready. The listener exists before the daemon does, so a connection waits and is not refused.
pub(crate) async fn await_ready(cluster: &Cluster, pki: &Pki) -> Result<()> {
    let path =
        format!("/api/v1/nodes?watch=1&fieldSelector=metadata.name%3D{}&timeoutSeconds=600", cluster.node_name());
    let stream = connect(cluster, pki).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new())?;
    let watch = async {
        let response = sender.send_request(request).await.context("the API server closed the connection")?;
        if !response.status().is_success() {
            bail!("the API server answered {}", response.status());
        }
        let mut body = response.into_body();
        let mut buffer = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Some(bytes) = frame?.data_ref() {
                buffer.extend_from_slice(bytes);
            }
            while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                if is_ready(&serde_json::from_slice(&line)?) {
                    return Ok(());
                }
            }
        }
        bail!("the watch of the node ended before it was ready")
    };
    tokio::select! {
        result = watch => result,
        ended = connection => {
            ended?;
            bail!("the API server closed the connection")
        }
    }
}

fn is_ready(event: &Value) -> bool {
    let conditions = event["object"]["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True");
    let tainted = event["object"]["spec"]["taints"]
        .as_array()
        .is_some_and(|taints| taints.iter().any(|t| t["key"] == "node.kubernetes.io/not-ready"));
    ready && !tainted
}

async fn connect(cluster: &Cluster, pki: &Pki) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pki.ca.as_bytes()) {
        roots.add(certificate.context("the cluster's CA is malformed")?)?;
    }
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pki.admin.certificate.as_bytes())
        .collect::<Result<_, _>>()
        .context("the administrator's certificate is malformed")?;
    let key =
        PrivateKeyDer::from_pem_slice(pki.admin.key.as_bytes()).context("the administrator's key is malformed")?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    let stream = TcpStream::connect(cluster.api_address()).await.context("failed to reach the API server")?;
    let name = ServerName::try_from("localhost")?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .context("the TLS handshake with the API server failed")
}

use std::path::PathBuf;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::pki::{Pki, ServerNames};

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("skiff-pki-{}-{name}", std::process::id())))
    }

    fn create(&self) -> Pki {
        let names = ServerNames { names: vec!["weather.default.svc".to_owned()], addresses: Vec::new() };
        Pki::create(&self.0, &names).expect("certificates can be made")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An API server that knows its caller by the front proxy's authority, and answers everything. Gives its address.
async fn listen(pki: &Pki, supervisor: &Supervisor) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("it is a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&pki.front_proxy_ca)).expect("it is an authority");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let key = PrivateKeyDer::from_pem_slice(pki.server.key.as_bytes()).expect("it is a key");
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("there are versions")
        .with_client_cert_verifier(verifier.expect("there is an authority"))
        .with_single_cert(vec![certificate(&pki.server.certificate)], key)
        .expect("key and certificate fit");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
    let address = listener.local_addr().expect("it listens").to_string();
    supervisor.spawn_until_shutdown("weather", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let answer = service_fn(|request: Request<hyper::body::Incoming>| async move {
                let body = http_body_util::Full::new(Bytes::from(request.uri().path().to_owned()));
                Ok::<_, std::convert::Infallible>(Response::new(body))
            });
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await);
        }
    });
    address
}

async fn get(clients: &ServiceClients, server: &RemoteServer) -> Result<Bytes, String> {
    let body = Empty::new().map_err(|never| match never {}).boxed();
    let request = Request::get("/apis").header("host", "weather").body(body).expect("it is a request");
    let response = clients.send(server, request).await?;
    Ok(response.into_body().collect().await.expect("the answer is whole").to_bytes())
}

#[tokio::test]
async fn api_servers_and_this_one_know_each_other_by_certificates() {
    let (directory, supervisor) = (Directory::new("know"), Supervisor::new());
    let pki = directory.create();
    let server = RemoteServer {
        name: "weather.default.svc".to_owned(),
        address: listen(&pki, &supervisor).await,
        ca: Some(pki.ca.clone().into_bytes()),
        insecure: false,
    };
    let clients = ServiceClients::new(supervisor.clone(), &pki.front_proxy);
    assert_eq!(get(&clients, &server).await.as_deref(), Ok(&b"/apis"[..]));

    let other_authority = RemoteServer { ca: Some(pki.front_proxy_ca.clone().into_bytes()), ..server.clone() };
    let why = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    assert_eq!(get(&clients, &other_authority).await, Err(why.to_owned()));
    let other_name = RemoteServer { name: "weather.other.svc".to_owned(), ..server.clone() };
    let why = "tls: failed to verify certificate: x509: certificate is not valid for weather.other.svc";
    assert_eq!(get(&clients, &other_name).await, Err(why.to_owned()));
    let unchecked = RemoteServer { ca: None, insecure: true, ..other_name };
    assert_eq!(get(&clients, &unchecked).await.as_deref(), Ok(&b"/apis"[..]));

    // Whoever has another certificate may not name users.
    let stranger = ServiceClients::new(supervisor.clone(), &pki.admin);
    assert!(get(&stranger, &server).await.is_err());
    supervisor.begin_shutdown();
}

#[test]
fn a_cluster_of_an_earlier_version_gets_a_front_proxy_and_keeps_it() {
    let directory = Directory::new("earlier");
    let made = directory.create();
    for name in ["front-proxy-ca.crt", "front-proxy-ca.key", "front-proxy-client.crt", "front-proxy-client.key"] {
        std::fs::remove_file(directory.0.join(name)).expect("it was made");
    }
    let [first, second] = [(), ()].map(|()| Pki::load(&directory.0).expect("it can be read"));
    assert_eq!((&first.ca, &first.server.certificate), (&made.ca, &made.server.certificate));
    assert_ne!(first.front_proxy_ca, made.front_proxy_ca);
    assert_eq!((&first.front_proxy_ca, &first.front_proxy.key), (&second.front_proxy_ca, &second.front_proxy.key));
}

//! The cluster's certificates and keys: made once, kept in its directory, readable by root only.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use apiserver::TokenAuthority;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

/// The name in the certificate by which API servers behind this one know it; upstream's tools call it so.
const FRONT_PROXY: &str = "front-proxy-client";

/// A certificate with its key, PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// All of a cluster's certificates and keys.
pub(crate) struct Pki {
    pub(crate) ca: String,
    /// What the CA signs with.
    pub(crate) ca_key: String,
    pub(crate) server: Identity,
    pub(crate) admin: Identity,
    /// Who the server is to API servers behind it, and the authority that they know it by.
    pub(crate) front_proxy: Identity,
    pub(crate) front_proxy_ca: String,
    /// Signs service account tokens, PKCS #8.
    pub(crate) token_key: Vec<u8>,
}

/// What the server's certificate is for.
pub(crate) struct ServerNames {
    pub(crate) names: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Pki {
    /// Reads what is in `directory`.
    pub(crate) fn load(directory: &Path) -> Result<Self> {
        // A cluster of an earlier version has none of it.
        if !path(directory, &format!("{FRONT_PROXY}.key")).exists() {
            create_front_proxy(directory)?;
        }
        let text = |name: &str| read(directory, name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let identity = |name: &str| -> Result<Identity> {
            Ok(Identity { certificate: text(&format!("{name}.crt"))?, key: text(&format!("{name}.key"))? })
        };
        Ok(Self {
            ca: text("ca.crt")?,
            ca_key: text("ca.key")?,
            server: identity("apiserver")?,
            admin: identity("admin")?,
            front_proxy: identity(FRONT_PROXY)?,
            front_proxy_ca: text("front-proxy-ca.crt")?,
            token_key: read(directory, "sa.key")?,
        })
    }

    /// Makes everything anew in `directory`.
    pub(crate) fn create(directory: &Path, names: &ServerNames) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("failed to create {}", directory.display()))?;
        let (ca, issuer) = authority("skiff-ca")?;
        let mut server = CertificateParams::default();
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in &names.names {
            server.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        server.subject_alt_names.extend(names.addresses.iter().map(|ip| SanType::IpAddress(*ip)));
        let server = issue(server, &issuer)?;
        let mut admin = CertificateParams::default();
        admin.distinguished_name.push(DnType::CommonName, "kubernetes-admin");
        admin.distinguished_name.push(DnType::OrganizationName, "system:masters");
        admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let admin = issue(admin, &issuer)?;
        let token_key = TokenAuthority::generate_key()?;
        write(directory, "ca.crt", ca.as_bytes())?;
        write(directory, "ca.key", issuer.key().serialize_pem().as_bytes())?;
        for (name, identity) in [("apiserver", &server), ("admin", &admin)] {
            write_identity(directory, name, identity)?;
        }
        let (front_proxy_ca, front_proxy) = create_front_proxy(directory)?;
        // Written last: its presence says that the rest is complete.
        write(directory, "sa.key", &token_key)?;
        let ca_key = issuer.key().serialize_pem();
        Ok(Self { ca, ca_key, server, admin, front_proxy, front_proxy_ca, token_key })
    }

    /// Whether `directory` holds a complete set.
    pub(crate) fn exists(directory: &Path) -> bool {
        path(directory, "sa.key").exists()
    }
}

/// Makes an authority; gives its certificate.
fn authority(name: &str) -> Result<(String, Issuer<'static, KeyPair>)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?.pem();
    Ok((certificate, Issuer::new(params, key)))
}

/// Makes the front proxy's authority and certificate in `directory`. The authority signs nothing else: whoever has a
/// certificate of it may name any user.
fn create_front_proxy(directory: &Path) -> Result<(String, Identity)> {
    let (ca, issuer) = authority("front-proxy-ca")?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, FRONT_PROXY);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let identity = issue(params, &issuer)?;
    write(directory, "front-proxy-ca.crt", ca.as_bytes())?;
    write(directory, "front-proxy-ca.key", issuer.key().serialize_pem().as_bytes())?;
    write_identity(directory, FRONT_PROXY, &identity)?;
    Ok((ca, identity))
}

/// The key is written last: its presence says that the rest is complete.
fn write_identity(directory: &Path, name: &str, identity: &Identity) -> Result<()> {
    write(directory, &format!("{name}.crt"), identity.certificate.as_bytes())?;
    write(directory, &format!("{name}.key"), identity.key.as_bytes())
}

fn issue(params: CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<Identity> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn path(directory: &Path, name: &str) -> PathBuf {
    directory.join(name)
}

fn read(directory: &Path, name: &str) -> Result<Vec<u8>> {
    let path = path(directory, name);
    fs::read(&path).with_context(|| format!("failed to read {}", path.display()))
}

fn write(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = path(directory, name);
    let open = || fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    open().and_then(|mut file| file.write_all(bytes)).with_context(|| format!("failed to write {}", path.display()))
}

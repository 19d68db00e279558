//! A context of the merged files, with the command line's overrides: where to connect and as whom.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::{Cluster, Context, Environment, Kubeconfig, KubeconfigError, SERVICE_ACCOUNT_DIRECTORY, User, exec};
use crate::https::{Secret, ServerUrl, TlsSettings};
use crate::rest::{Credentials, Impersonation, RestConfig};

/// The server where neither files, flags nor environment name one.
const DEFAULT_SERVER: &str = "http://localhost:8080";

/// What the command line says over the files. Empty fields say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// `--context`.
    pub current_context: String,
    /// `--cluster`, `--user` and `--namespace`.
    pub context: Context,
    /// `--server`, `--certificate-authority`, `--insecure-skip-tls-verify`, `--tls-server-name`.
    pub cluster: Cluster,
    /// `--token`, `--client-certificate`, `--as` and the like.
    pub user: User,
    /// `--request-timeout`; none where it is zero.
    pub timeout: Option<Duration>,
}

/// Where to connect, as whom, in which namespace.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// For [`crate::RestClient::new`].
    pub rest: RestConfig,
    /// The namespace of commands that name none.
    pub namespace: String,
    /// Whether the command line named it.
    pub namespace_is_explicit: bool,
}

/// `new` where it says something.
fn lay_over(old: &mut String, new: &str) {
    if !new.is_empty() {
        new.clone_into(old);
    }
}

impl Kubeconfig {
    /// The context that overrides and files choose, with the overrides laid over it.
    ///
    /// # Errors
    /// A context of the overrides that is not there.
    pub fn context(&self, overrides: &Overrides) -> Result<Context, KubeconfigError> {
        let asked = &overrides.current_context;
        let name = if asked.is_empty() { &self.current_context } else { asked };
        let mut context = match self.contexts.get(name) {
            Some(context) => context.clone(),
            None if !asked.is_empty() => {
                return Err(KubeconfigError::Unknown { what: "context", name: name.clone() });
            }
            None => Context::default(),
        };
        lay_over(&mut context.cluster, &overrides.context.cluster);
        lay_over(&mut context.user, &overrides.context.user);
        lay_over(&mut context.namespace, &overrides.context.namespace);
        Ok(context)
    }

    fn user(&self, context: &Context, overrides: &Overrides) -> Result<User, KubeconfigError> {
        let mut user = match self.users.get(&context.user) {
            Some(user) => user.clone(),
            None if !overrides.context.user.is_empty() => {
                return Err(KubeconfigError::Unknown { what: "auth info", name: context.user.clone() });
            }
            None => User::default(),
        };
        let over = &overrides.user;
        for (old, new) in [
            (&mut user.token, &over.token),
            (&mut user.username, &over.username),
            (&mut user.password, &over.password),
            (&mut user.impersonate, &over.impersonate),
            (&mut user.impersonate_uid, &over.impersonate_uid),
        ] {
            lay_over(old, new);
        }
        if !over.impersonate_groups.is_empty() {
            user.impersonate_groups.clone_from(&over.impersonate_groups);
        }
        if !over.impersonate_extra.is_empty() {
            user.impersonate_extra.clone_from(&over.impersonate_extra);
        }
        // A file on the command line takes the place of data in the kubeconfig.
        if !over.client_certificate.is_empty() {
            user.client_certificate.clone_from(&over.client_certificate);
            user.client_certificate_data.clear();
        }
        if !over.client_key.is_empty() {
            user.client_key.clone_from(&over.client_key);
            user.client_key_data.clear();
        }
        Ok(user)
    }

    fn cluster(&self, context: &Context, overrides: &Overrides) -> Result<Cluster, KubeconfigError> {
        let mut cluster = match self.clusters.get(&context.cluster) {
            Some(cluster) => cluster.clone(),
            None if !overrides.context.cluster.is_empty() => {
                return Err(KubeconfigError::Unknown { what: "cluster", name: context.cluster.clone() });
            }
            None => Cluster::default(),
        };
        let over = &overrides.cluster;
        lay_over(&mut cluster.server, &over.server);
        if over.insecure_skip_tls_verify || !over.certificate_authority.is_empty() {
            cluster.insecure_skip_tls_verify = over.insecure_skip_tls_verify;
            cluster.certificate_authority.clone_from(&over.certificate_authority);
            cluster.certificate_authority_data.clear();
        }
        // With another server, the kubeconfig's name of the old one means nothing.
        if !over.tls_server_name.is_empty() || !over.server.is_empty() {
            cluster.tls_server_name.clone_from(&over.tls_server_name);
        }
        Ok(cluster)
    }

    /// All that is needed to connect. Reads the files that the entries name and runs a credential plugin.
    ///
    /// # Errors
    /// Names that don't exist, entries that contradict themselves, unreadable files, a plugin that fails.
    pub fn resolve(&self, overrides: &Overrides, environment: &Environment) -> Result<Resolved, KubeconfigError> {
        // Upstream's kubectl asks for the namespace first. Where it is not given, faults of what was chosen come before
        // names that don't exist.
        if overrides.context.namespace.is_empty() {
            let context = self.context(overrides).unwrap_or_else(|_| overrides.context.clone());
            let user = self.user(&context, overrides).unwrap_or_default();
            self.confirm_usable(&context, &user, self.cluster(&context, overrides).as_ref().ok(), overrides)?;
        }
        let context = self.context(overrides)?;
        let user = self.user(&context, overrides)?;
        let mut cluster = self.cluster(&context, overrides)?;
        self.confirm_usable(&context, &user, Some(&cluster), overrides)?;
        let namespace_is_explicit = !overrides.context.namespace.is_empty();
        let mut namespace = context.namespace.clone();
        let nothing_said = cluster.server.is_empty() && user == User::default();
        if nothing_said && let Some(rest) = in_cluster(environment) {
            if namespace.is_empty() {
                let file = Path::new(SERVICE_ACCOUNT_DIRECTORY).join("namespace");
                namespace = std::fs::read_to_string(file).unwrap_or_default().trim().to_owned();
            }
            let rest = RestConfig { timeout: overrides.timeout, ..rest };
            return Ok(Resolved { rest, namespace: or_default(namespace), namespace_is_explicit });
        }
        if cluster.server.is_empty() {
            cluster.server = environment.kubernetes_master.clone().unwrap_or_else(|| DEFAULT_SERVER.to_owned());
        }
        let rest = connect(&cluster, &user, overrides.timeout)?;
        Ok(Resolved { rest, namespace: or_default(namespace), namespace_is_explicit })
    }

    /// The faults of what was chosen (upstream's `ConfirmUsable`). `cluster`: none where its name does not exist.
    fn confirm_usable(
        &self,
        context: &Context,
        user: &User,
        cluster: Option<&Cluster>,
        overrides: &Overrides,
    ) -> Result<(), KubeconfigError> {
        let mut faults = Vec::new();
        let asked = &overrides.current_context;
        let current = if asked.is_empty() { &self.current_context } else { asked };
        if !current.is_empty() && !self.contexts.contains_key(current) {
            faults.push(format!("context was not found for specified context: {current}"));
        }
        user_faults(&context.user, user, &mut faults);
        let name = &context.cluster;
        match cluster {
            None => faults.push(format!("no server found for cluster {name:?}")),
            Some(cluster) if !cluster.certificate_authority.is_empty() => {
                let file = &cluster.certificate_authority;
                if !cluster.certificate_authority_data.is_empty() {
                    faults.push(format!(
                        "certificate-authority-data and certificate-authority are both specified for {name}. \
                         certificate-authority-data will override."
                    ));
                }
                unreadable("certificate-authority", file, name, &mut faults);
            }
            Some(_) => {}
        }
        if faults.is_empty() { Ok(()) } else { Err(KubeconfigError::Invalid(faults)) }
    }
}

fn user_faults(name: &str, user: &User, faults: &mut Vec<String>) {
    let has_certificate = !user.client_certificate.is_empty() || !user.client_certificate_data.is_empty();
    if has_certificate {
        if !user.client_certificate.is_empty() && !user.client_certificate_data.is_empty() {
            faults.push(format!(
                "client-cert-data and client-cert are both specified for {name}. client-cert-data will override."
            ));
        }
        if !user.client_key.is_empty() && !user.client_key_data.is_empty() {
            faults.push(format!(
                "client-key-data and client-key are both specified for {name}; client-key-data will override"
            ));
        }
        if user.client_key.is_empty() && user.client_key_data.is_empty() {
            faults.push(format!(
                "client-key-data or client-key must be specified for {name} to use the clientCert authentication method."
            ));
        }
        for (what, file) in [("client-cert", &user.client_certificate), ("client-key", &user.client_key)] {
            if !file.is_empty() {
                unreadable(what, file, name, faults);
            }
        }
    }
    if let Some(exec) = &user.exec {
        for (what, value) in [("command", &exec.command), ("apiVersion", &exec.api_version)] {
            if value.is_empty() {
                faults.push(format!("{what} must be specified for {name} to use exec authentication plugin"));
            }
        }
        // Upstream's conversion fills `IfAvailable` in for the beta version only.
        let mode = exec.interactive_mode.as_str();
        if mode.is_empty() && !exec.api_version.ends_with("v1beta1") {
            faults.push(format!("interactiveMode must be specified for {name} to use exec authentication plugin"));
        } else if !matches!(mode, "" | "Never" | "IfAvailable" | "Always") {
            faults.push(format!("invalid interactiveMode for {name}: {mode:?}"));
        }
    }
    if !user.token.is_empty() && (!user.username.is_empty() || !user.password.is_empty()) {
        faults.push(format!(
            "more than one authentication method found for {name}; found [token basicAuth], only one is allowed"
        ));
    }
    let details =
        !user.impersonate_uid.is_empty() || !user.impersonate_groups.is_empty() || !user.impersonate_extra.is_empty();
    if details && user.impersonate.is_empty() {
        faults.push(format!("requesting uid, groups or user-extra for {name} without impersonating a user"));
    }
}

fn unreadable(what: &str, file: &str, name: &str, faults: &mut Vec<String>) {
    if let Err(error) = std::fs::File::open(file) {
        let reason = apimachinery::gotext::io_error(&error);
        faults.push(format!("unable to read {what} {file} for {name} due to open {file}: {reason}"));
    }
}

fn or_default(namespace: String) -> String {
    if namespace.is_empty() { "default".to_owned() } else { namespace }
}

/// The service account that the kubelet gives to containers.
fn in_cluster(environment: &Environment) -> Option<RestConfig> {
    let (host, port) = environment.service.as_ref()?;
    let directory = Path::new(SERVICE_ACCOUNT_DIRECTORY);
    let token = std::fs::read_to_string(directory.join("token")).ok()?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let server = ServerUrl::parse(&format!("https://{host}:{port}"), true).ok()?;
    let tls = TlsSettings { ca: std::fs::read(directory.join("ca.crt")).ok(), ..TlsSettings::default() };
    let credentials = Credentials::Bearer(Secret(token.trim().to_owned()));
    Some(RestConfig { tls, credentials, ..RestConfig::new(server) })
}

/// The data, else the file's content.
fn data_or_file(data: &[u8], file: &str) -> Result<Option<Vec<u8>>, KubeconfigError> {
    if !data.is_empty() {
        return Ok(Some(data.to_vec()));
    }
    if file.is_empty() {
        return Ok(None);
    }
    let unreadable =
        |error| KubeconfigError::Invalid(vec![format!("open {file}: {}", apimachinery::gotext::io_error(&error))]);
    std::fs::read(file).map(Some).map_err(unreadable)
}

fn connect(cluster: &Cluster, user: &User, timeout: Option<Duration>) -> Result<RestConfig, KubeconfigError> {
    if !cluster.proxy_url.is_empty() {
        return Err(KubeconfigError::NotServed(format!("proxy-url {:?} is not served", cluster.proxy_url)));
    }
    let mut tls = TlsSettings {
        ca: data_or_file(&cluster.certificate_authority_data, &cluster.certificate_authority)?,
        insecure_skip_verify: cluster.insecure_skip_tls_verify,
        server_name: Some(cluster.tls_server_name.clone()).filter(|name| !name.is_empty()),
        client: None,
    };
    let secure = tls.ca.is_some()
        || tls.insecure_skip_verify
        || !user.client_certificate.is_empty()
        || !user.client_certificate_data.is_empty();
    let server = ServerUrl::parse(&cluster.server, secure).map_err(KubeconfigError::NotServed)?;
    let mut rest = RestConfig {
        timeout,
        impersonation: Impersonation {
            user: user.impersonate.clone(),
            uid: user.impersonate_uid.clone(),
            groups: user.impersonate_groups.clone(),
            extra: user.impersonate_extra.clone().into_iter().collect::<BTreeMap<_, _>>(),
        },
        ..RestConfig::new(server)
    };
    // Credentials are not sent in the clear, as upstream does not.
    if !rest.server.https {
        return Ok(rest);
    }
    let certificate = data_or_file(&user.client_certificate_data, &user.client_certificate)?;
    if let Some((certificate, key)) = certificate.zip(data_or_file(&user.client_key_data, &user.client_key)?) {
        tls.client = Some((certificate, Secret(key)));
    }
    rest.credentials = if !user.token.is_empty() {
        Credentials::Bearer(Secret(user.token.clone()))
    } else if let Some(token) = data_or_file(&[], &user.token_file)? {
        Credentials::Bearer(Secret(String::from_utf8_lossy(&token).trim().to_owned()))
    } else if !user.username.is_empty() || !user.password.is_empty() {
        Credentials::Basic { username: user.username.clone(), password: Secret(user.password.clone()) }
    } else {
        Credentials::None
    };
    if let Some(provider) = &user.auth_provider {
        return Err(KubeconfigError::NotServed(format!("no Auth Provider found for name {:?}", provider.name)));
    }
    if let Some(plugin) = &user.exec {
        let given = exec::run(plugin, cluster)?;
        if let Some(token) = given.token {
            rest.credentials = Credentials::Bearer(token);
        }
        tls.client = given.certificate.or(tls.client);
    }
    rest.tls = tls;
    Ok(rest)
}

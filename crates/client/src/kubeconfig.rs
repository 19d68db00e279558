//! Where an API server is and who asks: kubeconfig files, merged as upstream's `client-go/tools/clientcmd` merges them.
//!
//! Files are read into typed entries here; [`Kubeconfig::resolve`] chooses a context, lays the command line's overrides
//! over it and gives what [`crate::RestClient`] needs. Nothing here reads the environment but [`Environment::of_process`].

mod exec;
mod resolve;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub use resolve::{Overrides, Resolved};

/// The directory that the kubelet mounts into containers.
const SERVICE_ACCOUNT_DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A kubeconfig can't be used. The texts are upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigError {
    /// The file that was asked for is not there.
    #[error("stat {}: no such file or directory", .0.display())]
    Missing(PathBuf),
    /// A file can't be read or is no kubeconfig.
    #[error("error loading config file \"{}\": {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The context, user or cluster that was asked for by name is not there.
    #[error("{what} \"{name}\" does not exist")]
    Unknown {
        /// `context`, `auth info` or `cluster`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// What was chosen does not fit together; all faults.
    #[error("invalid configuration: {}", aggregate(.0))]
    Invalid(Vec<String>),
    /// A credential plugin gave no credentials.
    #[error("getting credentials: {0}")]
    Plugin(String),
    /// Something that a kubeconfig may ask for and this client has not.
    #[error("{0}")]
    NotServed(String),
}

fn aggregate(faults: &[String]) -> String {
    match faults {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// What the process' environment says about kubeconfigs.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `$KUBECONFIG`: files, separated by colons.
    pub kubeconfig: Option<OsString>,
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// `$KUBERNETES_MASTER`: the server where no kubeconfig names one.
    pub kubernetes_master: Option<String>,
    /// `$KUBERNETES_SERVICE_HOST` and `$KUBERNETES_SERVICE_PORT`: set in containers.
    pub service: Option<(String, String)>,
}

impl Environment {
    /// Reads it from this process.
    pub fn of_process() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            kubeconfig: std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()),
            home: std::env::var_os("HOME").filter(|value| !value.is_empty()).map(PathBuf::from),
            kubernetes_master: text("KUBERNETES_MASTER"),
            service: text("KUBERNETES_SERVICE_HOST").zip(text("KUBERNETES_SERVICE_PORT")),
        }
    }
}

/// Which files make the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadingRules {
    /// `--kubeconfig`: the only file, and it must be there.
    pub explicit: Option<PathBuf>,
    /// The files otherwise, the first one wins; missing ones are left out.
    pub precedence: Vec<PathBuf>,
}

impl LoadingRules {
    /// The rules for a command line in an environment.
    pub fn new(explicit: Option<PathBuf>, environment: &Environment) -> Self {
        let mut precedence: Vec<PathBuf> = Vec::new();
        match &environment.kubeconfig {
            Some(list) => {
                for path in std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()) {
                    if !precedence.contains(&path) {
                        precedence.push(path);
                    }
                }
            }
            None => precedence.extend(environment.home.iter().map(|home| home.join(".kube/config"))),
        }
        Self { explicit: explicit.filter(|path| !path.as_os_str().is_empty()), precedence }
    }

    /// The files, first the one that wins.
    pub fn files(&self) -> Vec<&Path> {
        match &self.explicit {
            Some(path) => vec![path],
            None => self.precedence.iter().map(PathBuf::as_path).collect(),
        }
    }

    /// Where new entries are written: the explicit file, else the first that exists, else the last of the list (upstream's
    /// `GetDefaultFilename`).
    pub fn default_file(&self) -> Option<&Path> {
        let files = self.files();
        files.iter().find(|path| path.exists()).or(files.last()).copied()
    }
}

/// One cluster of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Cluster {
    /// The server's URL.
    pub server: String,
    /// The name in the server's certificate, where it isn't the URL's host.
    pub tls_server_name: String,
    /// Any certificate will do.
    pub insecure_skip_tls_verify: bool,
    /// A file with the authorities; absolute after loading.
    pub certificate_authority: String,
    /// The authorities themselves, as PEM.
    #[serde(deserialize_with = "base64_bytes")]
    pub certificate_authority_data: Vec<u8>,
    /// A proxy to the server.
    pub proxy_url: String,
}

/// One user of a kubeconfig. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct User {
    /// A file with the client certificate; absolute after loading.
    pub client_certificate: String,
    /// The client certificate as PEM.
    #[serde(deserialize_with = "base64_bytes")]
    pub client_certificate_data: Vec<u8>,
    /// A file with the client certificate's key.
    pub client_key: String,
    /// The key as PEM.
    #[serde(deserialize_with = "base64_bytes")]
    pub client_key_data: Vec<u8>,
    /// A bearer token.
    pub token: String,
    /// A file with the bearer token.
    #[serde(rename = "tokenFile")]
    pub token_file: String,
    /// Whom to impersonate.
    #[serde(rename = "as")]
    pub impersonate: String,
    /// The uid to impersonate.
    #[serde(rename = "as-uid")]
    pub impersonate_uid: String,
    /// The groups to impersonate.
    #[serde(rename = "as-groups")]
    pub impersonate_groups: Vec<String>,
    /// Further facts to impersonate.
    #[serde(rename = "as-user-extra")]
    pub impersonate_extra: BTreeMap<String, Vec<String>>,
    /// For basic authentication.
    pub username: String,
    /// For basic authentication.
    pub password: String,
    /// A plugin of a time past; refused when it is used.
    pub auth_provider: Option<AuthProvider>,
    /// A command that gives credentials.
    pub exec: Option<ExecPlugin>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The name of an authentication provider that was once built in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct AuthProvider {
    /// Such as `gcp`.
    #[serde(default)]
    pub name: String,
}

/// A command that prints an `ExecCredential` (`client.authentication.k8s.io`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExecPlugin {
    /// The program; looked up in `$PATH`, or relative to the kubeconfig where it holds a slash.
    pub command: String,
    /// Its arguments.
    pub args: Option<Vec<String>>,
    /// Variables added to the environment.
    pub env: Option<Vec<ExecVariable>>,
    /// The version of `ExecCredential` it speaks.
    pub api_version: String,
    /// What to do where the program is not found.
    pub install_hint: String,
    /// Whether it is told of the cluster.
    pub provide_cluster_info: bool,
    /// `Never`, `IfAvailable` or `Always`: whether it may read standard input.
    pub interactive_mode: String,
}

/// An environment variable of an [`ExecPlugin`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct ExecVariable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// One context of a kubeconfig: a user on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Context {
    /// The cluster's name.
    pub cluster: String,
    /// The user's name.
    pub user: String,
    /// The namespace where none is given; empty for `default`.
    pub namespace: String,
}

/// All files merged: the first file that has a name wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kubeconfig {
    /// The context that is used where none is asked for.
    pub current_context: String,
    /// Clusters by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// Contexts by name.
    pub contexts: BTreeMap<String, Context>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    current_context: Option<String>,
    clusters: Option<Vec<NamedCluster>>,
    users: Option<Vec<NamedUser>>,
    contexts: Option<Vec<NamedContext>>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    #[serde(default)]
    cluster: Option<Cluster>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: Option<User>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    #[serde(default)]
    context: Option<Context>,
}

fn base64_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    let text: String = text.split_whitespace().collect();
    BASE64_STANDARD.decode(text).map_err(|error| serde::de::Error::custom(format!("illegal base64 data: {error}")))
}

impl Kubeconfig {
    /// Reads and merges the files.
    ///
    /// # Errors
    /// The explicit file is missing, or a file is no kubeconfig.
    pub fn load(rules: &LoadingRules) -> Result<Self, KubeconfigError> {
        if let Some(path) = rules.explicit.as_ref().filter(|path| !path.exists()) {
            return Err(KubeconfigError::Missing(path.clone()));
        }
        let mut merged = Self::default();
        for path in rules.files() {
            if let Some(value) = Self::read_file(path)? {
                merged.add(path, value)?;
            }
        }
        Ok(merged)
    }

    /// A file's whole content; `None` if there is no such file. An empty file gives an empty object.
    ///
    /// # Errors
    /// It can't be read or is no YAML object.
    pub fn read_file(path: &Path) -> Result<Option<Value>, KubeconfigError> {
        let unreadable = |reason: String| KubeconfigError::Unreadable { path: path.to_owned(), reason };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(unreadable(format!("open {}: {}", path.display(), apimachinery::gotext::io_error(&error))));
            }
        };
        match apimachinery::yaml::parse(&text).map_err(|error| unreadable(error.to_string()))?.value {
            Value::Null => Ok(Some(Value::Object(serde_json::Map::new()))),
            value @ Value::Object(_) => Ok(Some(value)),
            _ => Err(unreadable("couldn't get version/kind; json parse error: not an object".to_owned())),
        }
    }

    fn add(&mut self, path: &Path, value: Value) -> Result<(), KubeconfigError> {
        let file: File = serde_json::from_value(value)
            .map_err(|error| KubeconfigError::Unreadable { path: path.to_owned(), reason: error.to_string() })?;
        let directory = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let directory = directory.parent().unwrap_or(Path::new("/"));
        if self.current_context.is_empty() {
            self.current_context = file.current_context.unwrap_or_default();
        }
        for NamedCluster { name, cluster } in file.clusters.into_iter().flatten() {
            let mut cluster = cluster.unwrap_or_default();
            make_absolute(directory, &mut cluster.certificate_authority);
            self.clusters.entry(name).or_insert(cluster);
        }
        for NamedUser { name, user } in file.users.into_iter().flatten() {
            let mut user = user.unwrap_or_default();
            for path in [&mut user.client_certificate, &mut user.client_key, &mut user.token_file] {
                make_absolute(directory, path);
            }
            if let Some(exec) = user.exec.as_mut().filter(|exec| exec.command.contains('/')) {
                make_absolute(directory, &mut exec.command);
            }
            self.users.entry(name).or_insert(user);
        }
        for NamedContext { name, context } in file.contexts.into_iter().flatten() {
            self.contexts.entry(name).or_insert(context.unwrap_or_default());
        }
        Ok(())
    }
}

/// Paths in a kubeconfig are meant from the directory that it lies in.
fn make_absolute(directory: &Path, path: &mut String) {
    if !path.is_empty() && !path.starts_with('/') {
        *path = directory.join(&*path).display().to_string();
    }
}

#[cfg(test)]
mod tests;

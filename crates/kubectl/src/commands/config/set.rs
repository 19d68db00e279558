//! `set-cluster`, `set-context`, `set-credentials`, `rename-context`, `use-context`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::{ArgAction, Args};
use serde_json::{Map, Value, json};

use super::files::{CLUSTERS, CONTEXTS, USERS, relative_to};
use super::{Files, one, unexpected};
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::pairs;

pub(super) fn use_context(context: &Context, arguments: &[String]) -> Result<(), KubectlError> {
    let name = one(context, arguments)?;
    let mut files = Files::load(context)?;
    if name.is_empty() {
        return Err(KubectlError::new("empty context names are not allowed"));
    }
    if files.entry(CONTEXTS, name).is_none() {
        return Err(KubectlError::new(format!("no context exists with the name: {name:?}")));
    }
    files.set_current_context(name)?;
    context.printer.line(format!("Switched to context {name:?}."))
}

pub(super) fn rename_context(context: &Context, arguments: &[String]) -> Result<(), KubectlError> {
    let [old, new] = arguments else { return Err(unexpected(context, arguments)) };
    if new.is_empty() {
        return Err(KubectlError::new("You must specify a new non-empty context name"));
    }
    let mut files = Files::load(context)?;
    let file = files.default_file();
    let Some(content) = files.entry(CONTEXTS, old) else {
        return Err(KubectlError::new(format!("cannot rename the context {old:?}, it's not in {}", file.display())));
    };
    if files.entry(CONTEXTS, new).is_some() {
        return Err(KubectlError::new(format!(
            "cannot rename the context {old:?}, the context {new:?} already exists in {}",
            file.display()
        )));
    }
    if files.current_context() == *old {
        files.set_current_context(new)?;
    }
    files.set_entry(CONTEXTS, new, Some(content))?;
    files.set_entry(CONTEXTS, old, None)?;
    context.printer.line(format!("Context {old:?} renamed to {new:?}."))
}

/// Sets a field; takes it out where the text is empty.
fn put(content: &mut Map<String, Value>, key: &str, text: &str) {
    if text.is_empty() {
        content.remove(key);
    } else {
        content.insert(key.to_owned(), text.into());
    }
}

/// Set a context entry in kubeconfig. Fields that are not named keep their values.
#[derive(Debug, Args)]
pub(crate) struct SetContext {
    /// The context's name
    #[arg(value_name = "NAME | --current")]
    arguments: Vec<String>,
    /// Its cluster
    #[arg(long)]
    cluster: Option<String>,
    /// Modify the current context
    #[arg(long)]
    current: bool,
    /// Its namespace
    #[arg(long, short)]
    namespace: Option<String>,
    /// Its user
    #[arg(long)]
    user: Option<String>,
}

impl SetContext {
    pub(super) fn run(self, context: &Context) -> Result<(), KubectlError> {
        if self.arguments.len() > 1 {
            return Err(unexpected(context, &self.arguments));
        }
        let mut name = self.arguments.first().cloned().unwrap_or_default();
        if name.is_empty() && !self.current {
            return Err(KubectlError::new("you must specify a non-empty context name or --current"));
        }
        if !name.is_empty() && self.current {
            return Err(KubectlError::new("you cannot specify both a context name and --current"));
        }
        let mut files = Files::load(context)?;
        if self.current {
            name = files.current_context();
            if name.is_empty() {
                return Err(KubectlError::new("no current context is set"));
            }
        }
        let known = files.entry(CONTEXTS, &name);
        let done = if known.is_some() { "modified" } else { "created" };
        let mut content = known.unwrap_or_default();
        for (key, value) in [("cluster", &self.cluster), ("user", &self.user), ("namespace", &self.namespace)] {
            if let Some(value) = value {
                put(&mut content, key, value);
            }
        }
        files.set_entry(CONTEXTS, &name, Some(content))?;
        context.printer.line(format!("Context {name:?} {done}."))
    }
}

/// The content of a file to embed, in base64.
fn embedded(flag: &str, file: &str) -> Result<String, KubectlError> {
    let data = std::fs::read(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            KubectlError::new(format!("could not stat {flag} file {file}: stat {file}: no such file or directory"))
        }
        _ => KubectlError::new(format!("could not stat {flag} file {file}: {error}")),
    })?;
    Ok(BASE64_STANDARD.encode(data))
}

/// Set a cluster entry in kubeconfig. Fields that are not named keep their values.
#[derive(Debug, Args)]
pub(crate) struct SetCluster {
    /// The cluster's name
    #[arg(value_name = "NAME")]
    arguments: Vec<String>,
    /// File with the certificate authority
    #[arg(long)]
    certificate_authority: Option<String>,
    /// Put the file's content into the kubeconfig
    #[arg(long)]
    embed_certs: bool,
    /// Do not check the server's certificate
    #[arg(long, value_parser = values::switch, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    insecure_skip_tls_verify: Option<bool>,
    /// The server's URL
    #[arg(long)]
    server: Option<String>,
    /// The name in the server's certificate
    #[arg(long)]
    tls_server_name: Option<String>,
}

impl SetCluster {
    pub(super) fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = one(context, &self.arguments)?;
        if name.is_empty() {
            return Err(KubectlError::new("you must specify a non-empty cluster name"));
        }
        let insecure = self.insecure_skip_tls_verify;
        let authority = self.certificate_authority.as_deref();
        if insecure == Some(true) && authority.is_some_and(|file| !file.is_empty()) {
            return Err(KubectlError::new(
                "you cannot specify a certificate authority and insecure mode at the same time",
            ));
        }
        if self.embed_certs && authority.is_none_or(str::is_empty) {
            return Err(KubectlError::new("you must specify a --certificate-authority to embed"));
        }
        let mut files = Files::load(context)?;
        let file = files.home(CLUSTERS, name);
        let mut content = files.entry(CLUSTERS, name).unwrap_or_default();
        if let Some(server) = &self.server {
            put(&mut content, "server", server);
            // The old server's name means nothing for a new one.
            content.remove("tls-server-name");
        }
        if let Some(server_name) = &self.tls_server_name {
            put(&mut content, "tls-server-name", server_name);
        }
        if let Some(insecure) = insecure {
            content.insert("insecure-skip-tls-verify".to_owned(), json!(insecure));
            if insecure {
                content.remove("certificate-authority");
                content.remove("certificate-authority-data");
            }
        }
        if let Some(authority) = authority {
            if self.embed_certs {
                let data = embedded("certificate-authority", authority)?;
                put(&mut content, "certificate-authority-data", &data);
                content.remove("certificate-authority");
                content.remove("insecure-skip-tls-verify");
            } else {
                put(&mut content, "certificate-authority", &relative_to(&file, authority));
                content.remove("insecure-skip-tls-verify");
                content.remove("certificate-authority-data");
            }
        }
        files.set_entry(CLUSTERS, name, Some(content))?;
        context.printer.line(format!("Cluster {name:?} set."))
    }
}

/// Set a user entry in kubeconfig. Fields that are not named keep their values.
#[derive(Debug, Args)]
pub(crate) struct SetCredentials {
    /// The user's name
    #[arg(value_name = "NAME")]
    arguments: Vec<String>,
    /// File with the client certificate
    #[arg(long)]
    client_certificate: Option<String>,
    /// File with the client certificate's key
    #[arg(long)]
    client_key: Option<String>,
    /// Put the files' content into the kubeconfig
    #[arg(long)]
    embed_certs: bool,
    /// Version of ExecCredential that the credential plugin speaks
    #[arg(long)]
    exec_api_version: Option<String>,
    /// Arguments of the credential plugin
    #[arg(long = "exec-arg")]
    exec_args: Vec<String>,
    /// The credential plugin
    #[arg(long)]
    exec_command: Option<String>,
    /// KEY=VALUE for the credential plugin's environment, KEY- takes one out
    #[arg(long = "exec-env")]
    exec_env: Vec<String>,
    /// Whether the credential plugin may ask: IfAvailable, Never, Always
    #[arg(long)]
    exec_interactive_mode: Option<String>,
    /// Tell the credential plugin of the cluster
    #[arg(long, value_parser = values::switch, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    exec_provide_cluster_info: Option<bool>,
    /// Password for basic authentication
    #[arg(long)]
    password: Option<String>,
    /// Bearer token
    #[arg(long)]
    token: Option<String>,
    /// User name for basic authentication
    #[arg(long)]
    username: Option<String>,
}

impl SetCredentials {
    pub(super) fn run(self, context: &Context) -> Result<(), KubectlError> {
        let [name] = self.arguments.as_slice() else {
            super::help(context)?;
            return Err(KubectlError::new(format!("unexpected args: [{}]", self.arguments.join(" "))));
        };
        self.validate(name)?;
        let mut files = Files::load(context)?;
        let file = files.home(USERS, name);
        let mut content = files.entry(USERS, name).unwrap_or_default();
        for (flag, value) in [("client-certificate", &self.client_certificate), ("client-key", &self.client_key)] {
            let Some(path) = value else { continue };
            let data = format!("{flag}-data");
            if self.embed_certs && !path.is_empty() {
                let encoded = embedded(flag, path)?;
                put(&mut content, &data, &encoded);
                content.remove(flag);
            } else {
                put(&mut content, flag, &relative_to(&file, path));
                content.remove(&data);
            }
        }
        let given = |value: &Option<String>| value.as_ref().is_some_and(|text| !text.is_empty());
        for (key, value) in [("token", &self.token), ("username", &self.username), ("password", &self.password)] {
            if let Some(value) = value {
                put(&mut content, key, value);
            }
        }
        // One way to authenticate takes the place of the other.
        if given(&self.token) {
            content.remove("username");
            content.remove("password");
        } else if given(&self.username) || given(&self.password) {
            content.remove("token");
        }
        self.set_exec(&mut content)?;
        files.set_entry(USERS, name, Some(content))?;
        context.printer.line(format!("User {name:?} set."))
    }

    fn validate(&self, name: &str) -> Result<(), KubectlError> {
        let given = |value: &Option<String>| value.as_ref().is_some_and(|text| !text.is_empty());
        if name.is_empty() {
            return Err(KubectlError::new("you must specify a non-empty user name"));
        }
        if given(&self.token) && (given(&self.username) || given(&self.password)) {
            return Err(KubectlError::new(
                "you cannot specify more than one authentication method at the same time: --token, --username/--password",
            ));
        }
        if self.embed_certs && !given(&self.client_certificate) && !given(&self.client_key) {
            return Err(KubectlError::new("you must specify a --client-certificate or --client-key to embed"));
        }
        let mode = self.exec_interactive_mode.as_deref();
        if mode.is_some_and(|mode| !matches!(mode, "IfAvailable" | "Never" | "Always")) {
            return Err(KubectlError::new("invalid interactive mode type, can be only IfAvailable, Never, Always"));
        }
        Ok(())
    }

    /// The credential plugin's flags; without a plugin they say nothing.
    fn set_exec(&self, content: &mut Map<String, Value>) -> Result<(), KubectlError> {
        if let Some(command) = &self.exec_command {
            let exec = content.entry("exec").or_insert_with(
                || json!({"apiVersion": "", "command": "", "args": null, "env": null, "provideClusterInfo": false}),
            );
            exec["command"] = json!(command);
            exec["args"] = Value::Null;
        }
        let Some(exec) = content.get_mut("exec").filter(|exec| exec.is_object()) else { return Ok(()) };
        if let Some(version) = &self.exec_api_version {
            exec["apiVersion"] = json!(version);
        }
        if !self.exec_args.is_empty() {
            exec["args"] = json!(values::split_list(&self.exec_args));
        }
        if let Some(mode) = &self.exec_interactive_mode {
            exec["interactiveMode"] = json!(mode);
        }
        if let Some(provide) = self.exec_provide_cluster_info {
            exec["provideClusterInfo"] = json!(provide);
        }
        if !self.exec_env.is_empty() {
            let (set, remove) = pairs::parse(&self.exec_env, "exec-env", true)?;
            let mut env = exec["env"].as_array().cloned().unwrap_or_default();
            env.retain(|variable| !remove.iter().any(|name| variable["name"] == name.as_str()));
            for (name, value) in set {
                match env.iter_mut().find(|variable| variable["name"] == name.as_str()) {
                    Some(variable) => variable["value"] = json!(value),
                    None => env.push(json!({"name": name, "value": value})),
                }
            }
            exec["env"] = json!(env);
        }
        Ok(())
    }
}

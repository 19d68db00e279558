//! Credential plugins: a command prints an `ExecCredential` (upstream: `client-go/plugin/pkg/client/auth/exec`).

use std::io::IsTerminal as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{Cluster, ExecPlugin, KubeconfigError};
use crate::https::Secret;

/// What a plugin gave.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) token: Option<Secret<String>>,
    pub(super) certificate: Option<(Vec<u8>, Secret<Vec<u8>>)>,
}

/// Runs the plugin and waits for it. It may ask on the terminal, so nothing else should run meanwhile.
pub(super) fn run(plugin: &ExecPlugin, cluster: &Cluster) -> Result<Given, KubeconfigError> {
    let failed = KubeconfigError::Plugin;
    let version = plugin.api_version.as_str();
    if !matches!(version, "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1") {
        return Err(failed(format!("exec plugin: invalid apiVersion {version:?}")));
    }
    let terminal = std::io::stdin().is_terminal();
    let interactive = match plugin.interactive_mode.as_str() {
        "Never" => false,
        "Always" if !terminal => {
            return Err(failed("exec plugin cannot support interactive mode: standard input is not a terminal".into()));
        }
        _ => terminal,
    };
    let mut command = Command::new(&plugin.command);
    command.args(plugin.args.iter().flatten());
    for variable in plugin.env.iter().flatten() {
        command.env(&variable.name, &variable.value);
    }
    command.env("KUBERNETES_EXEC_INFO", request(plugin, cluster, interactive).to_string());
    command.stdin(if interactive { Stdio::inherit() } else { Stdio::null() }).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| {
        if error.kind() != std::io::ErrorKind::NotFound {
            return failed(format!("exec: {}: {}", plugin.command, apimachinery::gotext::io_error(&error)));
        }
        let mut text = format!(
            "exec: executable {} not found\n\nIt looks like you are trying to use a client-go credential plugin that is \
             not installed.\n\nTo learn more about this feature, consult the documentation available at:\n      \
             https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins",
            plugin.command
        );
        if !plugin.install_hint.is_empty() {
            text = format!("{text}\n\n{}", plugin.install_hint);
        }
        failed(text)
    })?;
    if !output.status.success() {
        let code = output.status.code().unwrap_or(-1);
        return Err(failed(format!("exec: executable {} failed with exit code {code}", plugin.command)));
    }
    let credential: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| failed(format!("decoding stdout: couldn't get version/kind; json parse error: {error}")))?;
    if credential["apiVersion"] != version {
        return Err(failed(format!(
            "exec plugin is configured to use API version {version}, plugin returned version {}",
            credential["apiVersion"].as_str().unwrap_or_default()
        )));
    }
    given(&credential["status"]).map_err(failed)
}

fn given(status: &Value) -> Result<Given, String> {
    if !status.is_object() {
        return Err("exec plugin didn't return a status field".to_owned());
    }
    let text = |key: &str| status[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let (token, certificate, key) = (text("token"), text("clientCertificateData"), text("clientKeyData"));
    if token.is_none() && certificate.is_none() && key.is_none() {
        return Err("exec plugin didn't return a token or cert/key pair".to_owned());
    }
    if certificate.is_some() != key.is_some() {
        return Err("exec plugin returned only certificate or key, not both".to_owned());
    }
    let certificate = certificate.zip(key).map(|(cert, key)| (cert.into_bytes(), Secret(key.into_bytes())));
    Ok(Given { token: token.map(Secret), certificate })
}

fn request(plugin: &ExecPlugin, cluster: &Cluster, interactive: bool) -> Value {
    let mut spec = json!({"interactive": interactive});
    if plugin.provide_cluster_info {
        let mut info = json!({"server": cluster.server});
        if !cluster.tls_server_name.is_empty() {
            info["tls-server-name"] = json!(cluster.tls_server_name);
        }
        if cluster.insecure_skip_tls_verify {
            info["insecure-skip-tls-verify"] = json!(true);
        }
        let ca = if cluster.certificate_authority_data.is_empty() {
            std::fs::read(&cluster.certificate_authority).unwrap_or_default()
        } else {
            cluster.certificate_authority_data.clone()
        };
        if !ca.is_empty() {
            info["certificate-authority-data"] = json!(BASE64_STANDARD.encode(ca));
        }
        spec["cluster"] = info;
    }
    json!({"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec})
}

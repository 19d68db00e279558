//! The command line as data: the global flags, and the commands of [`crate::commands`].

use std::time::Duration;

use clap::{Args, Parser};
use client::kubeconfig::{Cluster, Context, Overrides, User};

use crate::commands::Command;
use crate::error::KubectlError;
use crate::flags::values;

/// kubectl controls the Kubernetes cluster manager.
#[derive(Debug, Parser)]
#[command(name = "kubectl", disable_help_flag = true, disable_help_subcommand = true, disable_version_flag = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalFlags,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GlobalFlags {
    /// User to impersonate, which may be a service account
    #[arg(long = "as")]
    pub(crate) impersonate: Option<String>,
    /// Group to impersonate; may be repeated
    #[arg(long = "as-group")]
    pub(crate) impersonate_groups: Vec<String>,
    /// UID to impersonate
    #[arg(long = "as-uid")]
    pub(crate) impersonate_uid: Option<String>,
    /// KEY=VALUE of the user to impersonate; may be repeated
    #[arg(long = "as-user-extra")]
    pub(crate) impersonate_extra: Vec<String>,
    /// File with the certificate authority
    #[arg(long)]
    pub(crate) certificate_authority: Option<String>,
    /// File with the client certificate
    #[arg(long)]
    pub(crate) client_certificate: Option<String>,
    /// File with the client certificate's key
    #[arg(long)]
    pub(crate) client_key: Option<String>,
    /// The kubeconfig's cluster to use
    #[arg(long)]
    pub(crate) cluster: Option<String>,
    /// The kubeconfig's context to use
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// Do not check the server's certificate. This makes HTTPS insecure
    #[arg(long)]
    pub(crate) insecure_skip_tls_verify: bool,
    /// The kubeconfig file
    #[arg(long)]
    pub(crate) kubeconfig: Option<String>,
    /// The namespace of this request
    #[arg(long, short)]
    pub(crate) namespace: Option<String>,
    /// Password for basic authentication
    #[arg(long)]
    pub(crate) password: Option<String>,
    /// How long to wait for one request, such as 1s or 2m; zero for ever
    #[arg(long, default_value = "0")]
    pub(crate) request_timeout: String,
    /// Address and port of the API server
    #[arg(long, short)]
    pub(crate) server: Option<String>,
    /// The name in the server's certificate; the host of its URL if not given
    #[arg(long)]
    pub(crate) tls_server_name: Option<String>,
    /// Bearer token
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// The kubeconfig's user to use
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// User name for basic authentication
    #[arg(long)]
    pub(crate) username: Option<String>,
    /// How much to tell of what goes on: from 6 on, each request
    #[arg(long = "v", short = 'v', value_parser = values::int32, default_value = "0", allow_negative_numbers = true)]
    pub(crate) verbosity: i32,
    /// Treat the server's warnings as errors
    #[arg(long)]
    pub(crate) warnings_as_errors: bool,
}

impl GlobalFlags {
    /// What the flags say over the kubeconfig.
    pub(crate) fn overrides(&self) -> Result<Overrides, KubectlError> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let mut user = User {
            client_certificate: text(&self.client_certificate),
            client_key: text(&self.client_key),
            token: text(&self.token),
            username: text(&self.username),
            password: text(&self.password),
            impersonate: text(&self.impersonate),
            impersonate_uid: text(&self.impersonate_uid),
            impersonate_groups: self.impersonate_groups.clone(),
            ..User::default()
        };
        for pair in &self.impersonate_extra {
            if let Some((key, value)) = pair.split_once('=') {
                user.impersonate_extra.entry(key.to_owned()).or_default().push(value.to_owned());
            }
        }
        Ok(Overrides {
            current_context: text(&self.context),
            context: Context { cluster: text(&self.cluster), user: text(&self.user), namespace: text(&self.namespace) },
            cluster: Cluster {
                server: text(&self.server),
                tls_server_name: text(&self.tls_server_name),
                insecure_skip_tls_verify: self.insecure_skip_tls_verify,
                certificate_authority: text(&self.certificate_authority),
                ..Cluster::default()
            },
            user,
            timeout: self.timeout()?,
        })
    }

    /// Upstream's `ParseTimeout`: seconds, or a duration.
    fn timeout(&self) -> Result<Option<Duration>, KubectlError> {
        let text = &self.request_timeout;
        if let Ok(seconds) = text.parse::<u64>() {
            return Ok((seconds > 0).then(|| Duration::from_secs(seconds)));
        }
        match values::duration(text) {
            Ok(duration) => Ok(duration.positive()),
            Err(_) => Err(KubectlError::new(
                "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a \
                 corresponding time unit (e.g. 1s | 2m | 3h)",
            )),
        }
    }
}

//! `kubectl create secret`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Map, json};

use super::sources::{Data, SourceFlags, Wording};
use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values::split_list;
use crate::write::CreateFlags;

/// The key of a registry's login in its secret.
const DOCKER_KEY: &str = ".dockerconfigjson";

/// Create a secret using a specified subcommand.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true, disable_help_flag = true)]
pub(crate) enum CreateSecret {
    /// Create a secret from a local file, directory, or literal value
    Generic(Generic),
    /// Create a secret for use with a Docker registry
    DockerRegistry(DockerRegistry),
    /// Create a TLS secret
    Tls(Tls),
}

/// Create a secret from files, directories or literal values.
#[derive(Debug, Args)]
pub(crate) struct Generic {
    /// Its name
    #[arg(value_name = "NAME [--type=TYPE] [--from-file=[KEY=]SOURCE] [--from-literal=KEY=VALUE]")]
    arguments: Vec<String>,
    #[command(flatten)]
    sources: SourceFlags,
    /// The secret's type
    #[arg(long = "type")]
    ty: Option<String>,
    #[command(flatten)]
    flags: CreateFlags,
}

/// Create a secret with the login to a registry, for a Pod's or service account's imagePullSecrets.
#[derive(Debug, Args)]
pub(crate) struct DockerRegistry {
    /// Its name
    #[arg(
        value_name = "NAME --docker-username=USER --docker-password=PASSWORD --docker-email=EMAIL [--docker-server=SERVER]"
    )]
    arguments: Vec<String>,
    /// The user's email address
    #[arg(long, default_value = "", hide_default_value = true)]
    docker_email: String,
    /// The password
    #[arg(long, default_value = "", hide_default_value = true)]
    docker_password: String,
    /// The registry
    #[arg(long, default_value = "https://index.docker.io/v1/")]
    docker_server: String,
    /// The user
    #[arg(long, default_value = "", hide_default_value = true)]
    docker_username: String,
    /// The configuration file that `docker login` wrote
    #[arg(long = "from-file")]
    files: Vec<String>,
    #[command(flatten)]
    flags: CreateFlags,
}

/// Create a TLS secret from a certificate and its key.
#[derive(Debug, Args)]
pub(crate) struct Tls {
    /// Its name
    #[arg(value_name = "NAME --cert=FILE --key=FILE")]
    arguments: Vec<String>,
    /// File with the certificate, as PEM
    #[arg(long)]
    cert: Option<String>,
    /// File with the certificate's private key
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    flags: CreateFlags,
}

impl CreateSecret {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let (name, ty, data, flags) = match self {
            Self::Generic(command) => {
                let name = name_of(context, &command.arguments)?;
                let kind = format!("Secret {name:?}");
                let data = command.sources.read(wording(&kind), |_| true)?;
                (name, command.ty.unwrap_or_default(), data, command.flags)
            }
            Self::DockerRegistry(command) => {
                let name = name_of(context, &command.arguments)?;
                let data = command.data(&name)?;
                (name, "kubernetes.io/dockerconfigjson".to_owned(), data, command.flags)
            }
            Self::Tls(command) => {
                let name = name_of(context, &command.arguments)?;
                let files = command.cert.as_deref().zip(command.key.as_deref());
                let Some((cert, key)) = files else {
                    return Err(KubectlError::new("key and cert must be specified"));
                };
                let data: Data = vec![("tls.crt".to_owned(), read(cert)?), ("tls.key".to_owned(), read(key)?)];
                (name, "kubernetes.io/tls".to_owned(), data, command.flags)
            }
        };
        let encoded: Map<_, _> =
            data.into_iter().map(|(key, data)| (key, BASE64_STANDARD.encode(data).into())).collect();
        let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
        if !encoded.is_empty() {
            object["data"] = encoded.into();
        }
        if !ty.is_empty() {
            object["type"] = ty.into();
        }
        create_object(context, &flags, &known_type("", "v1", "secrets")?, object, "failed to create secret").await
    }
}

fn wording(kind: &str) -> Wording<'_> {
    Wording { kind, article: "a Secret", env_directory: "env secret file cannot be a directory", files_first: false }
}

impl DockerRegistry {
    /// The configuration, from a file or made of the flags.
    fn data(&self, name: &str) -> Result<Data, KubectlError> {
        let files = split_list(&self.files);
        if !files.is_empty() {
            let named =
                files.iter().map(|file| if file.contains('=') { file.clone() } else { format!("{DOCKER_KEY}={file}") });
            let kind = format!("Secret {name:?}");
            return SourceFlags::of_files(named.collect()).read(wording(&kind), |_| true);
        }
        let (user, password, server) = (&self.docker_username, &self.docker_password, &self.docker_server);
        if [user, password, server].iter().any(|text| text.is_empty()) {
            return Err(KubectlError::new(
                "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required",
            ));
        }
        let auth = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let fields = [("username", user), ("password", password), ("email", &self.docker_email), ("auth", &auth)];
        let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
        // In the order in which upstream writes them.
        let fields: Vec<String> = fields.map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
        let configuration = format!("{{\"auths\":{{{}:{{{}}}}}}}", json!(server), fields.join(","));
        Ok(vec![(DOCKER_KEY.to_owned(), configuration.into_bytes())])
    }
}

fn read(file: &str) -> Result<Vec<u8>, KubectlError> {
    std::fs::read(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            KubectlError::new(format!("Cannot read file {file}, open {file}: no such file or directory"))
        }
        _ => KubectlError::new(format!("Cannot read file {file}, open {file}: {error}")),
    })
}

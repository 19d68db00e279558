//! `kubectl create token`.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::json;

use super::{known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values::{self, GoDuration};
use crate::output::OutputFlags;
use crate::resource::Requests;

/// What a token can be bound to, with its version.
const BOUND_KINDS: [(&str, &str); 3] = [("Node", "v1"), ("Pod", "v1"), ("Secret", "v1")];

/// Request a service account token.
#[derive(Debug, Args)]
pub(crate) struct CreateToken {
    /// The service account
    #[arg(value_name = "SERVICE_ACCOUNT_NAME")]
    arguments: Vec<String>,
    /// Whom the token is for; the API server if not given. May be repeated
    #[arg(long = "audience")]
    audiences: Vec<String>,
    /// Kind of the object that the token is bound to: Node, Pod or Secret
    #[arg(long)]
    bound_object_kind: Option<String>,
    /// Name of that object
    #[arg(long)]
    bound_object_name: Option<String>,
    /// UID of that object
    #[arg(long)]
    bound_object_uid: Option<String>,
    /// How long the token shall live; the server decides where it is 0
    #[arg(long, value_parser = values::duration, default_value = "0s")]
    duration: GoDuration,
    #[command(flatten)]
    output: OutputFlags,
}

impl CreateToken {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let fault = |text: &str| Err(KubectlError::new(text));
        if self.duration.0 < 0 {
            return fault("--duration must be greater than or equal to 0");
        }
        if self.duration.0 % 1_000_000_000 != 0 {
            return fault("--duration cannot be expressed in units less than seconds");
        }
        if self.audiences.iter().any(String::is_empty) {
            return fault("--audience must not be an empty string");
        }
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (kind, bound, uid) =
            (text(&self.bound_object_kind), text(&self.bound_object_name), text(&self.bound_object_uid));
        let mut spec = json!({"audiences": self.audiences});
        if kind.is_empty() {
            if !bound.is_empty() {
                return fault("--bound-object-name can only be set if --bound-object-kind is provided");
            }
            if !uid.is_empty() {
                return fault("--bound-object-uid can only be set if --bound-object-kind is provided");
            }
        } else {
            let Some((_, version)) = BOUND_KINDS.iter().find(|(known, _)| *known == kind) else {
                return fault("supported --bound-object-kind values are Node, Pod, Secret");
            };
            if bound.is_empty() {
                return fault("--bound-object-name is required if --bound-object-kind is provided");
            }
            spec["boundObjectRef"] = json!({"kind": kind, "apiVersion": version, "name": bound});
            if !uid.is_empty() {
                spec["boundObjectRef"]["uid"] = uid.into();
            }
        }
        if self.duration.0 > 0 {
            spec["expirationSeconds"] = json!(self.duration.0 / 1_000_000_000);
        }
        let resource = known_type("", "v1", "serviceaccounts")?;
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let requests = Requests::new(context.client()?);
        let target = (context.namespace()?, name.as_str());
        let response = requests.create_subresource(&resource, target, "token", &body).await;
        let response = response.map_err(|error| KubectlError::new(format!("failed to create token: {error}")))?;
        let token = response["status"]["token"].as_str().unwrap_or_default();
        if token.is_empty() {
            return fault("failed to create token: no token in server response");
        }
        if self.output.output.is_some() {
            return self.output.printer("")?.print(&context.printer, &response);
        }
        // A script gets the bare token.
        if std::io::stdout().is_terminal() { context.printer.line(token) } else { context.printer.out(token) }
    }
}

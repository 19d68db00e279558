//! `kubectl certificate` (upstream: `kubectl/pkg/cmd/certificates`).

use apimachinery::metav1_time;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::create::known_type;
use crate::context::Context;
use crate::error::KubectlError;
use crate::output::{ObjectPrinter, OutputFlags};
use crate::resource::{FileFlags, Info, Selection};
use crate::write::{self, DryRun};

/// How often a verdict is given anew to a request that somebody else has changed meanwhile.
const RETRIES_MAX: u32 = 10;

/// Modify certificate resources.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true, disable_help_flag = true)]
pub(crate) enum CertificateCommand {
    /// Approve a certificate signing request
    Approve(ApproveCertificate),
    /// Deny a certificate signing request
    Deny(DenyCertificate),
}

impl CertificateCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        match self {
            Self::Approve(command) => command.flags.run(context, &APPROVAL).await,
            Self::Deny(command) => command.flags.run(context, &DENIAL).await,
        }
    }
}

/// Approve a certificate signing request: a controller may then issue the certificate. What is asked for may let somebody
/// act as another user or reach the whole cluster, so look at the request first.
#[derive(Debug, Args)]
pub(crate) struct ApproveCertificate {
    #[command(flatten)]
    flags: CertificateFlags,
}

/// Deny a certificate signing request: no controller will issue the certificate.
#[derive(Debug, Args)]
pub(crate) struct DenyCertificate {
    #[command(flatten)]
    flags: CertificateFlags,
}

/// What is said of a request.
struct Verdict {
    condition: &'static str,
    /// The verdict that it must not have yet.
    opposite: &'static str,
    reason: &'static str,
    message: &'static str,
    operation: &'static str,
}

const APPROVAL: Verdict = Verdict {
    condition: "Approved",
    opposite: "Denied",
    reason: "KubectlApprove",
    message: "This CSR was approved by kubectl certificate approve.",
    operation: "approved",
};
const DENIAL: Verdict = Verdict {
    condition: "Denied",
    opposite: "Approved",
    reason: "KubectlDeny",
    message: "This CSR was denied by kubectl certificate deny.",
    operation: "denied",
};

/// Which requests are meant.
#[derive(Debug, Args)]
struct CertificateFlags {
    /// The names of the requests
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    output: OutputFlags,
    /// Say it again even if it was said already
    #[arg(long)]
    force: bool,
}

impl CertificateFlags {
    async fn run(&self, context: &Context, verdict: &Verdict) -> Result<(), KubectlError> {
        let printer = self.output.printer(verdict.operation)?;
        if self.names.is_empty() && self.files.is_empty() {
            return Err(KubectlError::new("one or more CSRs must be specified as <name> or -f <filename>"));
        }
        let named = self.names.iter().map(|name| format!("certificatesigningrequests/{name}"));
        let arguments: Vec<String> = named.collect();
        let selection = Selection { latest: true, ..Selection::new(&self.files, &arguments) };
        let selected = selection.fetch(context).await?;
        let (mut found, mut errors) = (false, selected.errors);
        for info in selected.infos {
            match self.judge(context, info, verdict, &printer).await {
                Err(KubectlError::ReaderGone) => return Err(KubectlError::ReaderGone),
                Err(error) => errors.push(error),
                Ok(()) => found = true,
            }
        }
        if !found && errors.is_empty() {
            context.printer.line("No resources found")?;
        }
        KubectlError::all(errors)
    }

    async fn judge(
        &self,
        context: &Context,
        mut info: Info,
        verdict: &Verdict,
        printer: &ObjectPrinter,
    ) -> Result<(), KubectlError> {
        let resource = known_type("certificates.k8s.io", "v1", "certificatesigningrequests")?;
        let (want, got) = (resource.group_kind(), info.resource.group_kind());
        if want != got {
            return Err(KubectlError::new(format!("can only handle {want} objects, got {got}")));
        }
        let requests = write::requests(context, DryRun::None, "", "")?;
        for attempt in 0.. {
            let mut request = requests.read(&resource, "", &info.name).await?;
            let said = add(&mut request, verdict, context.clock.now()).map_err(KubectlError::new)?;
            if said == Said::Already && !self.force {
                break;
            }
            match requests.replace(&resource, ("", &info.name), "approval", &request).await {
                Err(error) if error.is_conflict() && attempt < RETRIES_MAX => {
                    let object = requests.read(&info.resource, "", &info.name).await?;
                    info.refresh(object);
                }
                Err(error) => return Err(error),
                Ok(_) => break,
            }
        }
        printer.print_info(&context.printer, &info)
    }
}

/// Whether a verdict was there before.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Now,
    Already,
}

/// Puts the verdict into the request's conditions, unless it stands there. `Err` if the opposite does.
fn add(request: &mut Value, verdict: &Verdict, now: jiff::Timestamp) -> Result<Said, String> {
    let conditions = request["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let has = |condition: &str| conditions.iter().any(|known| known["type"] == condition);
    if has(verdict.opposite) {
        let name = request["metadata"]["name"].as_str().unwrap_or_default();
        return Err(format!("certificate signing request {name:?} is already {}", verdict.opposite));
    }
    if has(verdict.condition) {
        return Ok(Said::Already);
    }
    let condition = json!({
        "type": verdict.condition,
        "status": "True",
        "reason": verdict.reason,
        "message": verdict.message,
        "lastUpdateTime": metav1_time(now),
    });
    let conditions: Vec<Value> = conditions.into_iter().chain([condition]).collect();
    request["status"]["conditions"] = json!(conditions);
    Ok(Said::Now)
}

#[cfg(test)]
mod tests;

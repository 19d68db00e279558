//! Attaching to the Pod that was made.

use std::time::Duration;

use bytes::Bytes;
use client::rest::{encode_query, encode_segment};
use http::Method;
use serde_json::Value;

use crate::commands::attach::Attachment;
use crate::context::Context;
use crate::discovery::ResourceType;
use crate::error::KubectlError;
use crate::pods::{self, TIMED_OUT};
use crate::resource::{Info, Requests};
use crate::watching::watch_one;

/// How long the log that was written before the attach may take.
const LOG_TIMEOUT: Duration = Duration::from_secs(5);

/// How to attach, and what to wait for then.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) attachment: Attachment,
    /// How long the Pod may take to run, and to end.
    pub(super) timeout: Duration,
    /// The Pod's restart policy, where its exit code is the command's.
    pub(super) exit_of: Option<String>,
}

impl Attached {
    /// Attaches to the Pod once it is ready. One that has ended by then gives its log.
    pub(super) async fn run(
        &self,
        context: &Context,
        resource: &ResourceType,
        pod: &Value,
    ) -> Result<(), KubectlError> {
        let text = |key: &str| pod["metadata"][key].as_str().unwrap_or_default().to_owned();
        let info = Info {
            resource: resource.clone().into(),
            namespace: text("namespace"),
            name: text("name"),
            source: String::new(),
            object: Value::Null,
        };
        let pod = self.until(context, &info, |pod| has_ended(pod) || is_ready(pod)).await?;
        let container = pods::container_or_default(context, &pod, "", true)?;
        let container = container["name"].as_str().unwrap_or_default();
        if has_ended(&pod) {
            self.log(context, &info, container, None).await?;
        } else {
            let logged = tokio::time::timeout(LOG_TIMEOUT, self.log(context, &info, container, None)).await;
            let logged = logged.unwrap_or_else(|_| Err(KubectlError::new("context deadline exceeded")));
            let since = match logged {
                Ok(()) => Some(apimachinery::metav1_time(context.clock.now())),
                Err(error) => {
                    context.printer.err_line(format!("warning: couldn't fetch pre-attach logs: {error}"));
                    None
                }
            };
            match self.attachment.run(context, &pod).await {
                Ok(()) => {}
                // A server that tells how the process ended tells what the Pod's status says, too.
                Err(KubectlError::Exit { text, .. }) if !text.is_empty() => {}
                Err(error @ (KubectlError::ReaderGone | KubectlError::Exit { .. })) => return Err(error),
                Err(error) => {
                    context.printer.err_line(format!(
                        "warning: couldn't attach to pod/{}, falling back to streaming logs: {error}",
                        info.name
                    ));
                    self.log(context, &info, container, since).await?;
                }
            }
        }
        match self.exit_of.as_deref() {
            Some("Never") => exit(&self.until(context, &info, has_ended).await?),
            Some("OnFailure") => {
                let succeeded = |pod: &Value| pod["status"]["phase"] == "Succeeded";
                self.until(context, &info, succeeded).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// The Pod once it is so.
    async fn until(
        &self,
        context: &Context,
        info: &Info,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value, KubectlError> {
        let requests = Requests::new(context.client()?);
        let watching = watch_one(&requests, info, false, |kind, pod| match kind {
            "DELETED" => Err(apimachinery::ApiError::not_found("", "pods", "").into()),
            "ADDED" | "MODIFIED" if holds(&pod) => Ok(Some(pod)),
            _ => Ok(None),
        });
        match tokio::time::timeout(self.timeout, watching).await {
            Ok(outcome) => outcome,
            Err(_) => Err(KubectlError::new(TIMED_OUT)),
        }
    }

    /// Prints what the container has written.
    async fn log(
        &self,
        context: &Context,
        info: &Info,
        container: &str,
        since: Option<String>,
    ) -> Result<(), KubectlError> {
        let mut query = vec![("container", container.to_owned())];
        query.extend(since.map(|since| ("sinceTime", since)));
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}/log{}",
            encode_segment(&info.namespace),
            encode_segment(&info.name),
            encode_query(query)
        );
        let mut stream = context.client()?.stream(Method::GET, &path, &[], Bytes::new()).await?;
        while let Some(chunk) = stream.chunk().await? {
            context.printer.out(chunk)?;
        }
        Ok(())
    }
}

fn has_ended(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    pod["status"]["phase"] == "Running" && conditions.into_iter().flatten().any(is_ready)
}

/// The container's exit code as the command's.
fn exit(pod: &Value) -> Result<(), KubectlError> {
    if pod["status"]["phase"] == "Succeeded" {
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = format!("pod {}/{}", text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
    let end = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    // Go's exit takes the low byte.
    match end["exitCode"].as_i64().map(|code| (code & 0xff) as u8) {
        None | Some(0) => Err(KubectlError::new(format!("{of} failed with unknown exit code"))),
        Some(code) => Err(KubectlError::Exit {
            text: format!("{of} terminated ({})\n{}", text(&end["reason"]), text(&end["message"])),
            code,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_exit_code_is_the_container_s() {
        let pod = |phase: &str, state: Value| {
            json!({
                "metadata": {"namespace": "default", "name": "p"},
                "status": {"phase": phase, "containerStatuses": [{"state": state}]},
            })
        };
        assert_eq!(exit(&pod("Succeeded", json!({}))), Ok(()));
        let failed = exit(&pod("Failed", json!({"terminated": {"exitCode": 3, "reason": "Error"}}))).unwrap_err();
        assert_eq!((failed.code(), failed.to_string()), (3, "pod default/p terminated (Error)\n".to_owned()));
        let unknown = exit(&pod("Failed", json!({}))).unwrap_err();
        assert_eq!(unknown.to_string(), "pod default/p failed with unknown exit code");
    }
}

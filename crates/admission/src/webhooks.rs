//! Admission webhooks: programs in or outside the cluster that change or refuse writes
//! (upstream: `apiserver/pkg/admission/plugin/webhook`).
//!
//! Which webhooks a write concerns and what their answers mean is pure; [`WebhookTransport`] carries the question.

mod configuration;
mod conversion;
mod review;

use std::sync::Arc;
use std::time::Duration;

use api::resources::{MUTATINGWEBHOOKCONFIGURATIONS, SERVICES, VALIDATINGWEBHOOKCONFIGURATIONS};
use apimachinery::{AdmissionRequest, ApiError, Reader, Reason, RemoteAdmission, Resource};
use async_trait::async_trait;
use component_base::Random;
use futures_util::future::join_all;
use serde_json::Value;

use configuration::{ClientConfig, Configuration, Webhook};
use review::{Verdict, review, verdict};

use crate::expression::{Facts, all_hold};
use crate::matching::{Matched, is_exempt};

/// Where a webhook listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The whole URL, for messages and the request's path.
    pub url: String,
    /// The address that is dialled in place of the URL's host, if that is a Service's name: `10.96.0.7:443`.
    pub dial: Option<String>,
    /// The authorities that the server's certificate is checked by, PEM; the machine's if there are none.
    pub ca: Option<Vec<u8>>,
}

/// Carries a question to a webhook.
#[async_trait]
pub trait WebhookTransport: Send + Sync + std::fmt::Debug {
    /// Posts `body` and gives the answer's body. An error is a sentence in Go's words.
    async fn post(&self, endpoint: &Endpoint, body: Vec<u8>, timeout: Duration) -> Result<Vec<u8>, String>;
}

/// Both kinds of webhooks.
#[derive(Debug)]
pub struct Webhooks {
    transport: Arc<dyn WebhookTransport>,
    random: Arc<Random>,
}

/// What came of a call.
enum Called {
    Answered(Verdict),
    /// Its conditions do not hold, or it failed and the webhook's policy is to go on without it.
    Ignored,
}

impl Webhooks {
    /// Webhooks that are reached by `transport`.
    pub fn new(transport: Arc<dyn WebhookTransport>, random: Arc<Random>) -> Self {
        Self { transport, random }
    }

    /// The webhooks of `kind` that are concerned, by the name of their configuration.
    fn concerned(
        &self,
        kind: &'static Resource,
        request: &AdmissionRequest<'_>,
        reader: &dyn Reader,
    ) -> Result<Vec<(Arc<Configuration>, usize, Matched)>, ApiError> {
        if is_exempt(request.resource) {
            return Ok(Vec::new());
        }
        let mut concerned = Vec::new();
        for object in reader.list(kind, "") {
            let configuration = object.typed::<Configuration>().map_err(ApiError::internal)?;
            for (at, webhook) in configuration.webhooks.iter().enumerate() {
                if let Some(matched) = webhook.constraints.matches(request, reader)? {
                    concerned.push((configuration.clone(), at, matched));
                }
            }
        }
        Ok(concerned)
    }

    async fn call(
        &self,
        webhook: &Webhook,
        matched: &Matched,
        request: &AdmissionRequest<'_>,
        reader: &dyn Reader,
    ) -> Result<Called, ApiError> {
        let name = &webhook.name;
        if !wants(webhook, matched, request)? {
            return Ok(Called::Ignored);
        }
        if request.dry_run && !matches!(webhook.side_effects.as_str(), "None" | "NoneOnDryRun") {
            return Err(ApiError::bad_request(format!("admission webhook {name:?} does not support dry run")));
        }
        let uid = self.random.uuid();
        let body = review(&uid, webhook, matched, request);
        let timeout = Duration::from_secs(u64::from(webhook.timeout_seconds.unwrap_or(10)));
        let asked = async {
            let endpoint = endpoint(&webhook.client_config, timeout, reader)?;
            let answer = self.transport.post(&endpoint, body, timeout).await;
            answer.map_err(|error| format!("Post {:?}: {error}", endpoint.url))
        };
        let answer = asked.await.map_err(|error| format!("failed to call webhook: {error}"));
        match answer.and_then(|answer| verdict(&answer, &uid)) {
            Ok(verdict) => Ok(Called::Answered(verdict)),
            Err(error) if webhook.may_fail() => {
                tracing::warn!(webhook = name, error, "a webhook failed and is ignored");
                Ok(Called::Ignored)
            }
            Err(error) => Err(ApiError::internal(format!("failed calling webhook {name:?}: {error}"))),
        }
    }
}

#[async_trait]
impl RemoteAdmission for Webhooks {
    async fn admit(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<bool, ApiError> {
        let concerned = self.concerned(MUTATINGWEBHOOKCONFIGURATIONS, request, reader)?;
        // The last call that changed the object: whoever asked to be called again, and was called before it, is.
        let mut last_change = None;
        for (at, (configuration, index, matched)) in concerned.iter().enumerate() {
            if self.mutate(&configuration.webhooks[*index], matched, request, reader).await? {
                last_change = Some(at);
            }
        }
        let Some(last_change) = last_change else { return Ok(false) };
        for (configuration, index, matched) in &concerned[..last_change] {
            let webhook = &configuration.webhooks[*index];
            if webhook.reinvocation_policy.as_deref() == Some("IfNeeded") {
                self.mutate(webhook, matched, request, reader).await?;
            }
        }
        Ok(true)
    }

    async fn validate(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let concerned = self.concerned(VALIDATINGWEBHOOKCONFIGURATIONS, request, reader)?;
        let shared = &*request;
        let calls = concerned.iter().map(|(configuration, index, matched)| async move {
            let webhook = &configuration.webhooks[*index];
            (webhook, self.call(webhook, matched, shared, reader).await)
        });
        for (webhook, called) in join_all(calls).await {
            if let Called::Answered(verdict) = called? {
                request.warnings.extend(verdict.warnings);
                if let Some(refusal) = verdict.refusal {
                    return Err(refusal.into_error(&webhook.name));
                }
            }
        }
        Ok(())
    }
}

impl Webhooks {
    /// Asks a webhook to change the object; whether it did.
    async fn mutate(
        &self,
        webhook: &Webhook,
        matched: &Matched,
        request: &mut AdmissionRequest<'_>,
        reader: &dyn Reader,
    ) -> Result<bool, ApiError> {
        let Called::Answered(verdict) = self.call(webhook, matched, request, reader).await? else { return Ok(false) };
        request.warnings.extend(verdict.warnings);
        if let Some(refusal) = verdict.refusal {
            return Err(refusal.into_error(&webhook.name));
        }
        let Some(patch) = verdict.patch else { return Ok(false) };
        if request.object.is_null() {
            let why = format!(
                "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
                webhook.name
            );
            return Err(ApiError::new(Reason::InternalError, 500, why));
        }
        let before = request.object.clone();
        let mut patched = matched.converted(&before).into_owned();
        apimachinery::patch::apply_json_patch(&mut patched, &patch)
            .map_err(|error| ApiError::internal(format!("failed calling webhook {:?}: {error}", webhook.name)))?;
        if let (Some(version), Value::Object(fields)) = (before.get("apiVersion"), &mut patched) {
            fields.insert("apiVersion".to_owned(), version.clone());
        }
        let changed = patched != before;
        *request.object = patched;
        Ok(changed)
    }
}

/// Whether the webhook's conditions hold.
fn wants(webhook: &Webhook, matched: &Matched, request: &AdmissionRequest<'_>) -> Result<bool, ApiError> {
    if webhook.match_conditions.is_empty() {
        return Ok(true);
    }
    let facts = Facts::of(matched, request);
    match all_hold(webhook.match_conditions.iter().map(|condition| &condition.0), &facts.bindings(None)) {
        Ok(hold) => Ok(hold),
        Err(_) if webhook.may_fail() => Ok(false),
        Err(why) => Err(ApiError::forbidden(request.resource.group, request.resource.plural, request.name, &why)),
    }
}

/// Where a webhook listens, by what the cluster knows of the Service.
fn endpoint(config: &ClientConfig, timeout: Duration, reader: &dyn Reader) -> Result<Endpoint, String> {
    let ca = config.ca_bundle()?;
    let query = format!("?timeout={}s", timeout.as_secs());
    if let Some(url) = &config.url {
        return Ok(Endpoint { url: format!("{url}{query}"), dial: None, ca });
    }
    let service = config.service.as_ref().ok_or("webhook configuration has neither a URL nor a Service")?;
    let (name, namespace) = (&service.name, &service.namespace);
    let port = service.port.unwrap_or(443);
    let path = service.path.as_deref().unwrap_or("/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let url = format!("https://{name}.{namespace}.svc:{port}{slash}{path}{query}");
    let found = reader.get(SERVICES, namespace, name);
    let service = found.ok_or_else(|| format!("Post {url:?}: service {name:?} not found"))?.value();
    let dial = registry::services::cluster_address(&service, port).map_err(|why| format!("Post {url:?}: {why}"))?;
    Ok(Endpoint { url, dial: Some(dial), ca })
}

#[cfg(test)]
mod tests;

//! Lists: from the cache, or at an older revision from the datastore when a page goes on.

use std::borrow::Cow;

use apimachinery::labels::{FieldSelector, Selector};
use apimachinery::{ApiError, Object, Resource};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use client::{ListOptions, ObjectList, Target};
use datastore::{ReadError, Revision};
use serde::{Deserialize, Serialize};

use super::Engine;
use super::versions::all_served;
use crate::cache::ROOT;
use crate::catalog::KindRules;

/// What a list or watch selects, parsed.
#[derive(Debug, Clone)]
pub struct Selection {
    labels: Selector,
    fields: FieldSelector,
    rules: KindRules,
}

impl Selection {
    /// Parses the selectors of `options` for `resource`, whose rules are `rules`.
    pub(crate) fn parse(resource: &Resource, rules: KindRules, options: &ListOptions) -> Result<Self, ApiError> {
        let labels = Selector::parse(&options.label_selector).map_err(|e| ApiError::bad_request(e.to_string()))?;
        let fields = FieldSelector::parse(&options.field_selector);
        let mut fields = fields.map_err(|e| ApiError::bad_request(e.to_string()))?;
        for (field, ..) in &mut fields.terms {
            *field = super::convert::stored_field(resource, field);
            let general = field == "metadata.name" || (field == "metadata.namespace" && resource.namespaced());
            if !general && !rules.selects_by(field) {
                return Err(ApiError::bad_request(format!("field label not supported: {field}")));
            }
        }
        Ok(Self { labels, fields, rules })
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.terms.is_empty()
    }

    /// Whether `object` is selected.
    pub fn matches(&self, object: &Object) -> bool {
        if !self.labels.matches(&object.meta().labels) {
            return false;
        }
        if self.fields.terms.is_empty() {
            return true;
        }
        // Whatever is not metadata is in the object's JSON, which is read only if somebody asks for it.
        let value = std::cell::LazyCell::new(|| object.value());
        self.fields.matches(|field| match field {
            "metadata.name" => Some(Cow::Borrowed(object.meta().name.as_str())),
            "metadata.namespace" => Some(Cow::Borrowed(object.meta().namespace.as_str())),
            other => Some(Cow::Owned(self.rules.selected_value(&value, other))),
        })
    }
}

/// Where a page ended: the revision of the whole list and the last key. Clients must not read it.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    /// 0: the newest, where the list's own revision is gone.
    #[serde(rename = "rv")]
    revision: u64,
    #[serde(rename = "start")]
    after: String,
}

impl Engine {
    /// Lists a collection.
    pub async fn list(&self, target: Target<'_>, options: &ListOptions) -> Result<ObjectList, ApiError> {
        let selection = Selection::parse(target.resource, self.rules(target.resource)?, options)?;
        if !options.continue_token.is_empty() {
            let token = parse_token(&options.continue_token)?;
            return self.page(target, &selection, options.limit, token).await;
        }
        match options.resource_version {
            Some(at) if options.exact && at > 0 => {
                let token = Continue { revision: at, after: String::new() };
                return self.page(target, &selection, options.limit, token).await;
            }
            Some(at) if at > self.datastore.revision().0 => {
                return Err(too_large(at, self.datastore.revision().0));
            }
            Some(at) => {
                self.caches.wait_for(at).await?;
            }
            // Every write goes through this process' datastore, so waiting for its revision makes the read linearizable.
            None => {
                self.caches.wait_for(self.datastore.revision().0).await?;
            }
        }
        let revision = self.caches.applied();
        let cache = self.caches.of(target.resource).ok_or_else(ApiError::method_not_allowed)?;
        let mut items = cache.list(&namespace_prefix(target.namespace));
        if target.resource.is_custom() {
            items = all_served(&self.caches, target.resource, items).await?;
        }
        if !selection.is_everything() {
            items.retain(|object| selection.matches(object));
        }
        let limit = usize::try_from(options.limit).unwrap_or(usize::MAX);
        let (mut continue_token, mut remaining) = (String::new(), None);
        if limit > 0 && items.len() > limit {
            remaining = u64::try_from(items.len() - limit).ok().filter(|_| selection.is_everything());
            items.truncate(limit);
            let after = items.last().map(|object| object.meta().key()).unwrap_or_default();
            continue_token = write_token(&Continue { revision, after });
        }
        if !target.resource.is_custom() {
            items = all_served(&self.caches, target.resource, items).await?;
        }
        Ok(ObjectList { items, resource_version: revision, continue_token, remaining })
    }

    /// A page at a fixed revision.
    async fn page(
        &self,
        target: Target<'_>,
        selection: &Selection,
        limit: u64,
        token: Continue,
    ) -> Result<ObjectList, ApiError> {
        let all = format!("{ROOT}{}/", api::storage_prefix(target.resource));
        let prefix = format!("{all}{}", namespace_prefix(target.namespace));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut after = (!token.after.is_empty()).then(|| format!("{all}{}", token.after));
        let mut items = Vec::new();
        let mut revision = (token.revision > 0).then_some(Revision(token.revision));
        let (mut more, mut remaining) = (true, 0);
        // With selectors a page of keys may hold few that match, so pages are read until this one is full.
        while more && (limit == 0 || items.len() < limit) {
            let range = self
                .datastore
                .range(&prefix, after.as_deref(), limit, revision)
                .map_err(|error| read_error(error, &token.after))?;
            revision = Some(range.revision);
            (more, remaining) = (range.more, range.remaining);
            let read = range.items.iter().map(|kv| super::written(&kv.value, kv.mod_revision.0));
            let mut objects = read.collect::<Result<Vec<_>, ApiError>>()?;
            if target.resource.is_custom() {
                objects = all_served(&self.caches, target.resource, objects).await?;
            }
            for (kv, object) in range.items.iter().zip(objects) {
                if limit > 0 && items.len() == limit {
                    more = true;
                    break;
                }
                after = Some(kv.key.to_string());
                if selection.matches(&object) {
                    items.push(object);
                }
            }
        }
        let resource_version = revision.map_or(0, |revision| revision.0);
        let continue_token = match after {
            Some(last) if more => {
                write_token(&Continue { revision: resource_version, after: last[all.len()..].to_owned() })
            }
            _ => String::new(),
        };
        if !target.resource.is_custom() {
            items = all_served(&self.caches, target.resource, items).await?;
        }
        let remaining = Some(remaining).filter(|_| more && selection.is_everything());
        Ok(ObjectList { items, resource_version, continue_token, remaining })
    }
}

/// `default/`, or nothing for all namespaces.
pub(super) fn namespace_prefix(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!("{namespace}/") }
}

fn parse_token(text: &str) -> Result<Continue, ApiError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    bytes
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| ApiError::bad_request("continue key is not valid: it must be one that this server gave"))
}

fn write_token(token: &Continue) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(token).unwrap_or_default())
}

/// The answer to a revision that does not exist yet; upstream's clients know it by the cause.
pub(super) fn too_large(requested: u64, current: u64) -> ApiError {
    let mut error = ApiError::new(
        apimachinery::Reason::Timeout,
        504,
        format!("Too large resource version: {requested}, current: {current}"),
    );
    error.retry_after_seconds = 1;
    error.causes = vec![apimachinery::Cause {
        reason: "ResourceVersionTooLarge".to_owned(),
        message: "Too large resource version".to_owned(),
        field: String::new(),
    }];
    error
}

/// `after` is where the page was to begin; empty for the first one.
fn read_error(error: ReadError, after: &str) -> ApiError {
    match error {
        ReadError::Compacted { .. } if after.is_empty() => {
            ApiError::expired("The resourceVersion for the provided list is too old.")
        }
        ReadError::Compacted { .. } => {
            let mut error = ApiError::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new \
                 list without the continue parameter, or use the continue token in this response to retrieve the \
                 remainder of the results. Continuing with the provided token results in an inconsistent list - objects \
                 that were created, modified, or deleted between the time the first chunk was returned and now may show \
                 up in the list.",
            );
            error.continue_token = write_token(&Continue { revision: 0, after: after.to_owned() });
            error
        }
        ReadError::Future { requested, current } => too_large(requested.0, current.0),
    }
}

//! Options of requests, from the query and from `DeleteOptions`.

use apimachinery::ApiError;
use client::{DeleteOptions, ListOptions, Preconditions, Propagation};
use serde_json::Value;

use super::request::Query;
use crate::engine::FieldValidation;

/// What a list or watch selects.
pub(crate) fn list_options(query: &Query) -> Result<ListOptions, ApiError> {
    let version = query.text("resourceVersion");
    let matching = query.text("resourceVersionMatch");
    let resource_version = match version {
        "" => None,
        text => Some(text.parse().map_err(|_| {
            ApiError::bad_request(format!("invalid resource version {text:?}: it must be one that this server gave"))
        })?),
    };
    let continue_token = query.text("continue").to_owned();
    let send_initial_events = query.flag("sendInitialEvents");
    match matching {
        "" | "Exact" | "NotOlderThan" => {}
        other => {
            return Err(ApiError::bad_request(format!(
                "resourceVersionMatch: Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\""
            )));
        }
    }
    if !matching.is_empty() && resource_version.is_none() && !send_initial_events {
        return Err(ApiError::bad_request(
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ));
    }
    if !continue_token.is_empty() && resource_version.is_some_and(|v| v > 0) {
        return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
    }
    if matching == "Exact" && resource_version == Some(0) {
        return Err(ApiError::bad_request(
            "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ));
    }
    let limit = query.number("limit")?.unwrap_or(0);
    Ok(ListOptions {
        label_selector: query.text("labelSelector").to_owned(),
        field_selector: query.text("fieldSelector").to_owned(),
        limit,
        continue_token,
        resource_version,
        // A limit with a version and no match word means that version exactly, as upstream's etcd layer reads it.
        exact: matching == "Exact" || (limit > 0 && matching.is_empty() && resource_version.is_some_and(|v| v > 0)),
        send_initial_events,
    })
}

/// How unknown fields are treated.
pub(crate) fn field_validation(query: &Query) -> Result<FieldValidation, ApiError> {
    match query.text("fieldValidation") {
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Ignore" => Ok(FieldValidation::Ignore),
        "Strict" => Ok(FieldValidation::Strict),
        other => Err(ApiError::bad_request(format!(
            "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
        ))),
    }
}

/// Whether nothing is to be committed.
pub(crate) fn dry_run(query: &Query) -> Result<bool, ApiError> {
    match query.all("dryRun") {
        [] => Ok(false),
        all if all.iter().all(|v| v == "All") => Ok(true),
        all => Err(ApiError::bad_request(format!(
            "dryRun: Unsupported value: {:?}: supported values: \"All\"",
            all.first().map_or("", String::as_str)
        ))),
    }
}

/// Reads a `DeleteOptions` object; null means none.
pub(crate) fn delete_options(body: &Value) -> Result<DeleteOptions, ApiError> {
    if body.is_null() {
        return Ok(DeleteOptions::default());
    }
    let version = match body["preconditions"]["resourceVersion"].as_str() {
        None | Some("") => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| ApiError::bad_request(format!("invalid resource version {text:?} in preconditions")))?,
        ),
    };
    let orphan = match body["orphanDependents"].as_bool() {
        Some(true) => Some(Propagation::Orphan),
        Some(false) => Some(Propagation::Background),
        None => None,
    };
    Ok(DeleteOptions {
        grace_period_seconds: body["gracePeriodSeconds"].as_i64(),
        preconditions: Preconditions {
            uid: body["preconditions"]["uid"].as_str().map(str::to_owned),
            resource_version: version,
        },
        propagation: propagation(body["propagationPolicy"].as_str().unwrap_or_default())?.or(orphan),
        dry_run: body["dryRun"].as_array().is_some_and(|list| list.iter().any(|v| v == "All")),
    })
}

/// `DeleteOptions` from body and query; the body wins.
pub(crate) fn delete_options_of(body: &Value, query: &Query) -> Result<DeleteOptions, ApiError> {
    let mut options = delete_options(body)?;
    if options.grace_period_seconds.is_none() {
        options.grace_period_seconds = query.number("gracePeriodSeconds")?;
    }
    if options.propagation.is_none() {
        options.propagation = propagation(query.text("propagationPolicy"))?;
    }
    options.dry_run |= dry_run(query)?;
    Ok(options)
}

fn propagation(word: &str) -> Result<Option<Propagation>, ApiError> {
    match word {
        "" => Ok(None),
        "Orphan" => Ok(Some(Propagation::Orphan)),
        "Background" => Ok(Some(Propagation::Background)),
        "Foreground" => Ok(Some(Propagation::Foreground)),
        other => Err(ApiError::bad_request(format!(
            "propagationPolicy: Unsupported value: {other:?}: supported values: \"Foreground\", \"Background\", \"Orphan\""
        ))),
    }
}

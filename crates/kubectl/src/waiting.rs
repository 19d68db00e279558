//! Waiting for objects: upstream's `wait.IsDeleted` and what it is made of.

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::context::Context;
use crate::error::KubectlError;
use crate::resource::{Info, ListQuery, Requests};

/// Told where the time is over.
pub(crate) fn timed_out(info: &Info) -> KubectlError {
    KubectlError::new(format!("timed out waiting for the condition on {}/{}", info.resource.plural, info.name))
}

/// Waits until an object is gone, or is another one of the same name where `uid` says which is meant.
pub(crate) async fn until_deleted(
    context: &Context,
    info: &Info,
    uid: Option<&str>,
    deadline: Option<Instant>,
) -> Result<(), KubectlError> {
    let waiting = watch_deletion(context, info, uid);
    match deadline {
        Some(deadline) => timeout_at(deadline, waiting).await.unwrap_or_else(|_| Err(timed_out(info))),
        None => waiting.await,
    }
}

async fn watch_deletion(context: &Context, info: &Info, uid: Option<&str>) -> Result<(), KubectlError> {
    let requests = Requests::new(context.client()?);
    let is_meant = |object: &Value| uid.is_none_or(|uid| object["metadata"]["uid"] == uid);
    match requests.read(&info.resource, &info.namespace, &info.name).await {
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
        Ok(object) if !is_meant(&object) => return Ok(()),
        Ok(_) => {}
    }
    let mut query = ListQuery { field_selector: format!("metadata.name={}", info.name), ..ListQuery::default() };
    loop {
        query.resource_version.clear();
        let list = requests.list(&info.resource, &info.namespace, &query).await?;
        if !list["items"].as_array().into_iter().flatten().any(is_meant) {
            return Ok(());
        }
        list["metadata"]["resourceVersion"].as_str().unwrap_or_default().clone_into(&mut query.resource_version);
        let mut events = requests.watch(&info.resource, &info.namespace, &query).await?;
        // A watch that ends or expires is begun anew.
        while let Ok(Some((kind, object))) = events.next().await {
            if kind == "DELETED" || (kind != "BOOKMARK" && !is_meant(&object)) {
                return Ok(());
            }
        }
    }
}

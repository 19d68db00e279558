//! Watching one object: upstream's `UntilWithSync`.

use serde_json::Value;

use crate::error::KubectlError;
use crate::resource::{Info, ListQuery, Requests};

/// Shows `see` the object as it is, as `ADDED`, and then each event, until it gives something. A watch that ends is begun
/// anew. Where `must_exist` is set, an object that is not there at first is an error.
pub(crate) async fn watch_one<T>(
    requests: &Requests<'_>,
    info: &Info,
    must_exist: bool,
    mut see: impl FnMut(&str, Value) -> Result<Option<T>, KubectlError>,
) -> Result<T, KubectlError> {
    let mut query = ListQuery { field_selector: format!("metadata.name={}", info.name), ..ListQuery::default() };
    let mut is_first = true;
    loop {
        query.resource_version.clear();
        let mut list = requests.list(&info.resource, &info.namespace, &query).await?;
        match list["items"].get_mut(0).map(Value::take) {
            Some(mut object) => {
                // The server leaves out of a list's items what the list says.
                object["apiVersion"] = info.resource.api_version().into();
                object["kind"] = info.resource.kind.clone().into();
                if let Some(found) = see("ADDED", object)? {
                    return Ok(found);
                }
            }
            None if is_first && must_exist => {
                let (group, plural) = (&info.resource.group, &info.resource.plural);
                return Err(apimachinery::ApiError::not_found(group, plural, &info.name).into());
            }
            None => {}
        }
        is_first = false;
        list["metadata"]["resourceVersion"].as_str().unwrap_or_default().clone_into(&mut query.resource_version);
        let mut events = requests.watch(&info.resource, &info.namespace, &query).await?;
        while let Ok(Some((kind, object))) = events.next().await {
            if let Some(found) = see(&kind, object)? {
                return Ok(found);
            }
        }
    }
}

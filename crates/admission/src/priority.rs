//! A Pod's priority, from its class or the default one (upstream: `plugin/pkg/admission/priority`).

use api::resources::{PODS, PRIORITYCLASSES};
use apimachinery::{Admission, AdmissionRequest, ApiError, Operation, Reader};
use serde_json::{Value, json};

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct Priority;

impl Admission for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn admit(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        if !request.resource.is(PODS) || !request.subresource.is_empty() {
            return Ok(());
        }
        match (request.operation, request.old) {
            (Operation::Create, _) => self.set(request, reader),
            // An update that leaves the fields out keeps them.
            (Operation::Update, Some(old)) => {
                for field in ["priority", "preemptionPolicy"] {
                    if request.object["spec"][field].is_null() && !old["spec"][field].is_null() {
                        request.object["spec"][field] = old["spec"][field].clone();
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn validate(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let class = &*request.object;
        if !request.resource.is(PRIORITYCLASSES) || class["globalDefault"] != true {
            return Ok(());
        }
        let other = reader
            .list(PRIORITYCLASSES, "")
            .into_iter()
            .find(|other| other.meta().name != request.name && other.value()["globalDefault"] == true);
        match other {
            Some(other) => {
                let why = format!(
                    "PriorityClass {} is already marked as default. Only one default can exist",
                    other.meta().name
                );
                Err(ApiError::forbidden(request.resource.group, "priorityclasses", request.name, &why))
            }
            None => Ok(()),
        }
    }
}

impl Priority {
    fn set(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let asked = request.object["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
        let class = if asked.is_empty() {
            let classes = reader.list(PRIORITYCLASSES, "");
            classes.into_iter().map(|class| class.value()).find(|class| class["globalDefault"] == true)
        } else {
            let found = reader.get(PRIORITYCLASSES, "", &asked).map(|class| class.value());
            Some(found.ok_or_else(|| {
                let why = format!("no PriorityClass with name {asked} was found");
                ApiError::forbidden("", "pods", request.name, &why)
            })?)
        };
        let (name, priority, policy) = match &class {
            Some(class) => {
                (class["metadata"]["name"].clone(), class["value"].clone(), class["preemptionPolicy"].clone())
            }
            None => (Value::Null, json!(0), Value::Null),
        };
        let policy = if policy.is_null() { json!("PreemptLowerPriority") } else { policy };
        for (field, computed) in [("priority", &priority), ("preemptionPolicy", &policy)] {
            let given = &request.object["spec"][field];
            if !given.is_null() && given != computed {
                let words = if field == "priority" { "priority" } else { "string value of PreemptionPolicy" };
                let why = format!(
                    "the {words} provided in pod spec ({given}) must not be provided in pod spec if it differs from what \
                     admission computed from the PriorityClass ({computed})"
                );
                return Err(ApiError::forbidden("", "pods", request.name, &why));
            }
        }
        let spec = &mut request.object["spec"];
        if !name.is_null() {
            spec["priorityClassName"] = name;
        }
        spec["priority"] = priority;
        spec["preemptionPolicy"] = policy;
        Ok(())
    }
}

//! Nothing is created in a namespace that is missing or ends, and the namespaces that the cluster needs stay
//! (upstream: `apiserver/pkg/admission/plugin/namespace/lifecycle`).

use api::resources::NAMESPACES;
use apimachinery::{Admission, AdmissionRequest, ApiError, Cause, Operation, Reader};

/// Namespaces that may not be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct NamespaceLifecycle;

impl Admission for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn admit(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let resource = request.resource;
        if resource.is(NAMESPACES) {
            if request.operation == Operation::Delete && IMMORTAL.contains(&request.name) {
                return Err(ApiError::forbidden("", "namespaces", request.name, "this namespace may not be deleted"));
            }
            return Ok(());
        }
        if !resource.namespaced() || request.operation != Operation::Create {
            return Ok(());
        }
        let Some(namespace) = reader.get(NAMESPACES, "", request.namespace) else {
            return Err(ApiError::not_found("", "namespaces", request.namespace));
        };
        if namespace.meta().deletion_timestamp.is_none() {
            return Ok(());
        }
        let why =
            format!("unable to create new content in namespace {} because it is being terminated", request.namespace);
        let mut error = ApiError::forbidden(resource.group, resource.plural, request.name, &why);
        error.causes = vec![Cause {
            reason: "NamespaceTerminating".to_owned(),
            message: format!("namespace {} is being terminated", request.namespace),
            field: "metadata.namespace".to_owned(),
        }];
        Err(error)
    }
}

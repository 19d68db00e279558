//! Says so when an object is created of a kind that nothing acts on yet: it is stored, and nothing else happens.
//! A kind leaves this table when its controller lands.

use apimachinery::{Admission, AdmissionRequest, ApiError, Operation, Reader};

/// Group and plural.
const UNSERVED: &[(&str, &str)] = &[
    ("autoscaling", "horizontalpodautoscalers"),
    ("flowcontrol.apiserver.k8s.io", "flowschemas"),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
    ("networking.k8s.io", "ingressclasses"),
    ("networking.k8s.io", "ingresses"),
    ("networking.k8s.io", "ipaddresses"),
    ("networking.k8s.io", "networkpolicies"),
    ("networking.k8s.io", "servicecidrs"),
    ("resource.k8s.io", "deviceclasses"),
    ("resource.k8s.io", "devicetaintrules"),
    ("resource.k8s.io", "resourceclaims"),
    ("resource.k8s.io", "resourceclaimtemplates"),
    ("resource.k8s.io", "resourceslices"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "csistoragecapacities"),
    ("storage.k8s.io", "volumeattachments"),
    ("storage.k8s.io", "volumeattributesclasses"),
    ("storagemigration.k8s.io", "storageversionmigrations"),
];

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct UnservedKinds;

impl Admission for UnservedKinds {
    fn name(&self) -> &'static str {
        "UnservedKinds"
    }

    fn validate(&self, request: &mut AdmissionRequest<'_>, _reader: &dyn Reader) -> Result<(), ApiError> {
        let resource = request.resource;
        let creates = request.operation == Operation::Create && request.subresource.is_empty() && !request.dry_run;
        if creates && UNSERVED.contains(&(resource.group, resource.plural)) {
            request.warnings.push(format!(
                "skiff does not act on objects of kind {} yet: they are stored, and nothing else happens",
                resource.kind
            ));
        }
        Ok(())
    }
}

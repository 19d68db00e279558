//! What is served: the built-in resources, and those of the cluster's CustomResourceDefinitions.
//!
//! Who writes: the publisher of the watch cache, when it takes over a definition, so that whoever has seen a definition
//! established also finds its resource. Who reads: every request; a reader holds one state of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{ApiError, Object, Resource, Strategy};
use parking_lot::RwLock;
use registry::CustomType;
use registry::custom::types_of;

/// One served version of a custom resource, and since when its definition says what it says.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) ty: CustomType,
    /// Objects that were written after this revision are as the schema wants them.
    since: u64,
    /// How the JSON of objects in this version begins.
    header: Vec<u8>,
}

/// `example.com/v1/boats`: by group, then version, then name.
fn key(group: &str, version: &str, plural: &str) -> String {
    format!("{group}/{version}/{plural}")
}

/// All custom resources at one time.
#[derive(Debug, Default, Clone)]
pub(crate) struct CustomResources {
    types: BTreeMap<String, Arc<Served>>,
    /// Grows with each change: what is derived from the catalog is current if it knows this number.
    pub(crate) revision: u64,
}

/// What is served.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    custom: RwLock<Arc<CustomResources>>,
}

impl CustomResources {
    /// All of them, ordered by group, version and name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.types.values()
    }

    /// Whether the group has this version.
    pub(crate) fn serves(&self, group: &str, version: &str) -> bool {
        let from = key(group, version, "");
        self.types.range(from.clone()..).next().is_some_and(|(key, _)| key.starts_with(&from))
    }
}

impl Catalog {
    /// The custom resources as they are now.
    pub(crate) fn custom(&self) -> Arc<CustomResources> {
        self.custom.read().clone()
    }

    /// The resource that a path such as `/apis/example.com/v1/boats` names.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
        api::find(group, version, plural).or_else(|| Some(self.served(group, version, plural)?.ty.resource))
    }

    fn served(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Served>> {
        self.custom.read().types.get(&key(group, version, plural)).cloned()
    }

    /// The custom resource in another version, `example.com/v1`, if that is served.
    pub(crate) fn in_version(&self, resource: &Resource, version: &str) -> Option<Arc<Served>> {
        self.served(resource.group, version.split_once('/')?.1, resource.plural)
    }

    /// The custom resource that `resource` stands for; an error if its definition is gone by now.
    pub(crate) fn custom_type(&self, resource: &Resource) -> Result<Arc<Served>, ApiError> {
        self.served(resource.group, resource.version, resource.plural).ok_or_else(ApiError::path_not_found)
    }

    /// The rules of a resource's kind.
    pub(crate) fn rules(&self, resource: &'static Resource) -> Result<KindRules, ApiError> {
        if resource.is_custom() {
            return self.custom_type(resource).map(KindRules::Custom);
        }
        Ok(KindRules::BuiltIn(registry::strategy(api::storage_resource(resource))))
    }

    /// Takes over a definition as it is at its resource version. Gives a resource of it, whose objects have to be kept.
    pub(crate) fn accept(&self, definition: &Object) -> Option<&'static Resource> {
        let value = definition.value();
        let at = definition.meta().resource_version;
        let mut custom = CustomResources::clone(&self.custom.read());
        let before = take_out(&mut custom, &value);
        let mut any = None;
        for ty in types_of(&value) {
            let resource = ty.resource;
            let key = key(resource.group, resource.version, resource.plural);
            // A change of something else, such as of the status, leaves stored objects as they should be.
            let since = match before.get(&key) {
                Some(old)
                    if old.ty.declared_schema == ty.declared_schema && old.ty.storage_version == ty.storage_version =>
                {
                    old.since
                }
                _ => at,
            };
            let header = format!("{{\"apiVersion\":\"{}\",", resource.api_version()).into_bytes();
            custom.types.insert(key, Arc::new(Served { ty, since, header }));
            any = Some(resource);
        }
        custom.revision += 1;
        *self.custom.write() = Arc::new(custom);
        any
    }

    /// Forgets a definition.
    pub(crate) fn forget(&self, definition: &Object) {
        let mut custom = CustomResources::clone(&self.custom.read());
        take_out(&mut custom, &definition.value());
        custom.revision += 1;
        *self.custom.write() = Arc::new(custom);
    }
}

/// Takes the types of a definition out; gives them.
fn take_out(custom: &mut CustomResources, definition: &serde_json::Value) -> BTreeMap<String, Arc<Served>> {
    let spec = &definition["spec"];
    let (group, plural) = (&spec["group"], &spec["names"]["plural"]);
    let own = |served: &Served| *group == served.ty.resource.group && *plural == served.ty.resource.plural;
    let (own, others) = std::mem::take(&mut custom.types).into_iter().partition(|(_, served)| own(served));
    custom.types = others;
    own
}

impl Served {
    /// Whether an object is in this version.
    pub(crate) fn is_own(&self, object: &Object) -> bool {
        object.json().starts_with(&self.header)
    }

    /// The object in this version, by the schema of now.
    pub(crate) fn serve(&self, object: Arc<Object>) -> Result<Arc<Object>, ApiError> {
        if object.meta().resource_version > self.since && self.is_own(&object) {
            return Ok(object);
        }
        let mut value = object.value();
        self.ty.serve(&mut value);
        Object::from_value(&value).map(Arc::new).map_err(ApiError::internal)
    }
}

/// The rules of a kind.
#[derive(Debug, Clone)]
pub(crate) enum KindRules {
    /// Of a built-in one.
    BuiltIn(&'static dyn Strategy),
    /// Of a custom resource.
    Custom(Arc<Served>),
}

impl std::ops::Deref for KindRules {
    type Target = dyn Strategy;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::BuiltIn(strategy) => *strategy,
            Self::Custom(served) => &served.ty,
        }
    }
}

//! What is special about a kind when it is written and shown: upstream's `rest.RESTCreateStrategy` and its sisters. The
//! generic engine in `apiserver` calls these; crate `registry` implements them. Pure: no IO.

use component_base::Random;
use jiff::Timestamp;
use serde_json::Value;

use crate::{FieldError, Object};

/// Through which door a write comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subresource<'a> {
    /// The object itself.
    None,
    /// `/status`: only the status (and some metadata) may change.
    Status,
    /// Another one, such as `ephemeralcontainers` or `resize`.
    Other(&'a str),
}

/// What a strategy may know of a write.
#[derive(Debug, Clone, Copy)]
pub struct WriteContext<'a> {
    /// Wall time of the request.
    pub now: Timestamp,
    /// Randomness for generated values.
    pub random: &'a Random,
    /// The door.
    pub subresource: Subresource<'a>,
    /// The user's name, where a kind records it (CertificateSigningRequest).
    pub user: &'a str,
}

/// The rules of one kind. Every method has the behaviour of a kind without rules as its default.
pub trait Strategy: Send + Sync + std::fmt::Debug {
    /// Fills in the defaults of fields that are absent (upstream's `SetDefaults_*`). Called on create, on update, and on
    /// objects embedded in patches' results; must be idempotent.
    fn default(&self, _object: &mut Value) {}

    /// Clears what a client may not set on create, and sets what the server sets (`status` reset, `generation: 1` …).
    fn prepare_for_create(&self, _object: &mut Value, _context: &WriteContext<'_>) {}

    /// The same for an update through the door of `context`: the status is kept on a write of the object and the rest on
    /// a write of the status; `metadata.generation` grows when the spec changes.
    fn prepare_for_update(&self, _new: &mut Value, _old: &Value, _context: &WriteContext<'_>) {}

    /// All faults of an object that is to be created. The machinery checks `metadata` itself (see
    /// [`Strategy::validate_name`]).
    fn validate(&self, _object: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// All faults of a change.
    fn validate_update(&self, _new: &Value, _old: &Value, _subresource: Subresource<'_>) -> Vec<FieldError> {
        Vec::new()
    }

    /// What is wrong with `name`, as sentences; `prefix` when it is a `generateName`.
    fn validate_name(&self, _name: &str, _prefix: bool) -> Vec<String> {
        Vec::new()
    }

    /// Sentences for the `Warning` header.
    fn warnings(&self, _new: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// Whether a PUT to a name that does not exist creates the object.
    fn allow_create_on_update(&self) -> bool {
        false
    }

    /// Whether a PUT without `resourceVersion` overwrites whatever is there.
    fn allow_unconditional_update(&self) -> bool {
        true
    }

    /// Whether a deletion that does not say what becomes of dependants leaves them.
    fn orphans_dependants(&self) -> bool {
        false
    }

    /// How many seconds of grace a deletion gets; `None`: the kind has no graceful deletion and goes at once.
    fn grace_period_seconds(&self, _object: &Value, _requested: Option<i64>) -> Option<i64> {
        None
    }

    /// Marks an object whose deletion begins (a Namespace gets the phase `Terminating`).
    fn begin_deletion(&self, _object: &mut Value) {}

    /// Whether a deleted object must stay for a reason other than its finalizers and grace (a Namespace with
    /// `spec.finalizers`).
    fn keeps_deleted(&self, _object: &Value) -> bool {
        false
    }

    /// Whether field selectors may name `field`, besides `metadata.name` and `metadata.namespace`.
    fn selects_by(&self, _field: &str) -> bool {
        false
    }

    /// The value of a field that [`Strategy::selects_by`] names, as selectors compare it.
    fn selected_value(&self, _object: &Value, _field: &str) -> String {
        String::new()
    }

    /// The cells of the object's row in a Table, in the order of the kind's columns; `None`: the default Name and
    /// Created At columns.
    fn row(&self, _object: &Object, _now: Timestamp) -> Option<Vec<Value>> {
        None
    }
}

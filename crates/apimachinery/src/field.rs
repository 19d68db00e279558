//! Paths to fields and what can be wrong with a field (upstream: `apimachinery/pkg/util/validation/field`).

use std::fmt;

/// A path such as `spec.containers[0].name` or `metadata.labels[app]`, in upstream's notation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldPath(String);

impl FieldPath {
    /// The path of a top-level field; dots in `name` separate steps.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The root, which prints as nothing.
    pub fn root() -> Self {
        Self::default()
    }

    /// The path of a field whose name is empty: where upstream finds some faults of a whole object.
    pub fn nameless() -> Self {
        Self("[]".to_owned())
    }

    /// The field `name` below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    /// The element at `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The element with the key `key`.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("<nil>") } else { f.write_str(&self.0) }
    }
}

/// What kind of fault a field has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// The value must be there.
    Required,
    /// The value appears twice.
    Duplicate,
    /// The value is malformed or out of its range.
    Invalid,
    /// The value is not one of those that are supported.
    NotSupported(Vec<String>),
    /// The field may not be set now.
    Forbidden,
    /// The value is longer than this many bytes.
    TooLong(usize),
    /// The list has more than this many items.
    TooMany(usize),
    /// The value has the wrong type.
    TypeInvalid,
    /// What the value refers to does not exist.
    NotFound,
    /// Something of ours failed while validating.
    Internal,
}

impl FieldErrorKind {
    /// The word in a Status cause.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported(_) => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong(_) => "FieldValueTooLong",
            Self::TooMany(_) => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotFound => "FieldValueNotFound",
            Self::Internal => "InternalError",
        }
    }
}

/// One fault of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where.
    pub path: FieldPath,
    /// What kind of fault.
    pub kind: FieldErrorKind,
    /// The bad value as upstream prints it (strings quoted, objects as JSON); empty where upstream prints none.
    pub value: String,
    /// The rule that is broken.
    pub detail: String,
}

impl FieldError {
    fn make(path: &FieldPath, kind: FieldErrorKind, value: String, detail: impl Into<String>) -> Self {
        Self { path: path.clone(), kind, value, detail: detail.into() }
    }

    /// `path: Required value: detail`.
    pub fn required(path: &FieldPath, detail: impl Into<String>) -> Self {
        Self::make(path, FieldErrorKind::Required, String::new(), detail)
    }

    /// `path: Invalid value: "text": detail`.
    pub fn invalid(path: &FieldPath, value: impl Printed, detail: impl Into<String>) -> Self {
        Self::make(path, FieldErrorKind::Invalid, value.printed(), detail)
    }

    /// `path: Duplicate value: "text"`.
    pub fn duplicate(path: &FieldPath, value: impl Printed) -> Self {
        Self::make(path, FieldErrorKind::Duplicate, value.printed(), "")
    }

    /// `path: Unsupported value: "x": supported values: "a", "b"`.
    pub fn not_supported(path: &FieldPath, value: impl Printed, supported: &[&str]) -> Self {
        let all = supported.iter().map(|s| (*s).to_owned()).collect();
        Self::make(path, FieldErrorKind::NotSupported(all), value.printed(), "")
    }

    /// `path: Forbidden: detail`.
    pub fn forbidden(path: &FieldPath, detail: impl Into<String>) -> Self {
        Self::make(path, FieldErrorKind::Forbidden, String::new(), detail)
    }

    /// `path: Too long: may not be more than N bytes`.
    pub fn too_long(path: &FieldPath, max_bytes: usize) -> Self {
        Self::make(path, FieldErrorKind::TooLong(max_bytes), String::new(), "")
    }

    /// `path: Too many: N: must have at most M items`.
    pub fn too_many(path: &FieldPath, actual: usize, max: usize) -> Self {
        Self::make(path, FieldErrorKind::TooMany(max), actual.to_string(), "")
    }

    /// `path: Not found: "text"`.
    pub fn not_found(path: &FieldPath, value: impl Printed) -> Self {
        Self::make(path, FieldErrorKind::NotFound, value.printed(), "")
    }

    /// `path: Invalid value: "text": detail` for a value of the wrong type.
    pub fn type_invalid(path: &FieldPath, value: impl Printed, detail: impl Into<String>) -> Self {
        Self::make(path, FieldErrorKind::TypeInvalid, value.printed(), detail)
    }

    /// The text without the path, as in a Status cause.
    pub fn body(&self) -> String {
        let with_detail = |head: String| {
            if self.detail.is_empty() { head } else { format!("{head}: {}", self.detail) }
        };
        match &self.kind {
            FieldErrorKind::Required => with_detail("Required value".to_owned()),
            FieldErrorKind::Forbidden => with_detail("Forbidden".to_owned()),
            FieldErrorKind::Internal => with_detail("Internal error".to_owned()),
            FieldErrorKind::NotFound => with_detail(format!("Not found: {}", self.value)),
            FieldErrorKind::Invalid if self.value.is_empty() => with_detail("Invalid value".to_owned()),
            // Of objects and lists upstream shows no value.
            FieldErrorKind::Invalid | FieldErrorKind::Duplicate if self.value.is_empty() => {
                let head = if self.kind == FieldErrorKind::Invalid { "Invalid value" } else { "Duplicate value" };
                with_detail(head.to_owned())
            }
            FieldErrorKind::Duplicate => with_detail(format!("Duplicate value: {}", self.value)),
            FieldErrorKind::Invalid | FieldErrorKind::TypeInvalid => {
                with_detail(format!("Invalid value: {}", self.value))
            }
            FieldErrorKind::NotSupported(all) => {
                let quoted: Vec<String> = all.iter().map(|s| format!("{s:?}")).collect();
                format!("Unsupported value: {}: supported values: {}", self.value, quoted.join(", "))
            }
            FieldErrorKind::TooLong(max) => {
                let unit = if *max == 1 { "byte" } else { "bytes" };
                format!("Too long: may not be more than {max} {unit}")
            }
            FieldErrorKind::TooMany(max) => {
                let unit = if *max == 1 { "item" } else { "items" };
                format!("Too many: {}: must have at most {max} {unit}", self.value)
            }
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}

/// How a value appears in a fault: strings quoted, numbers and booleans bare, the rest as JSON.
pub trait Printed {
    /// The text.
    fn printed(&self) -> String;
}

impl Printed for &str {
    fn printed(&self) -> String {
        format!("{self:?}")
    }
}

impl Printed for &String {
    fn printed(&self) -> String {
        format!("{self:?}")
    }
}

impl Printed for &serde_json::Value {
    fn printed(&self) -> String {
        self.to_string()
    }
}

macro_rules! printed_bare {
    ($($t:ty),*) => {$(
        impl Printed for $t {
            fn printed(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
printed_bare!(i32, i64, u32, u64, usize, bool, f64);

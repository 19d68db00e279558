//! The types of the API, as far as the machinery must know them: fields, what they hold, how lists merge, what Go
//! leaves out when it is empty. Strict decoding, strategic merge, apply and OpenAPI follow from this one table.
//!
//! The table is parsed from text that `cargo xtask codegen schemas` writes. Words are separated by tabs. A line that
//! does not start with a tab is a type: its short name, then attributes. A line with a leading tab is a field of it:
//!
//! ```text
//! core/v1.ContainerPort
//!  protocol string o e=SCTP|TCP|UDP g=v1.Protocol d="TCP"
//!  (name)   (kind) (flags) (attributes)
//! ```
//!
//! Kinds: a scalar's name, `[]` and `{}` before the kind of a list's items and a map's values, or a type's short
//! name. Flags: `r` required, `p` a Go pointer, `o` omitempty, `z` omitzero, `d` the default is the zero value.
//! Attributes of fields: `l` list type, `k` list map keys, `m` map type, `s` patch strategy, `p` patch merge key, `e`
//! enumeration, `i` the embedded Go structs that it comes from, `g` its Go type, `d` default. Attributes of types: `k`
//! group/version/kind, `ma` atomic map, `u` unions as JSON, `as` a scalar kind that stands for the whole type.

use std::collections::HashMap;

use serde_json::Value;

mod decode;
mod duplicates;

pub use decode::{StrictError, TypeMismatch};
pub use duplicates::duplicate_fields;

/// The index of a type in [`Schemas`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(u16);

/// What a field, item or map value holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldType {
    /// Text.
    String,
    /// Base64 text.
    Bytes,
    /// `true` or `false`.
    Bool,
    /// A signed 32 bit number.
    Int32,
    /// A signed 64 bit number.
    Int64,
    /// A floating-point number.
    Number,
    /// A signed 32 bit number or text, such as a port or a percentage.
    IntOrString,
    /// An amount, such as `100Mi`.
    Quantity,
    /// RFC 3339 time in seconds.
    Time,
    /// RFC 3339 time in microseconds.
    MicroTime,
    /// Any JSON.
    Any,
    /// Any JSON object, untouched.
    Object,
    /// An object of this type.
    Struct(TypeId),
    /// An object of this type, a list of them, or any other JSON (parts of a CRD's schema).
    StructOrOther(TypeId),
    /// A list.
    Array(Box<FieldType>),
    /// A map with text keys.
    Map(Box<FieldType>),
}

/// How the items of a list are told apart when it is merged by apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListType {
    /// Nothing is said: atomic.
    #[default]
    Unset,
    /// The list is replaced as a whole.
    Atomic,
    /// Items are told apart by their value.
    Set,
    /// Items are told apart by [`Field::map_keys`].
    Map,
}

/// What strategic merge does with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PatchStrategy {
    /// Lists are merged, not replaced.
    pub merge: bool,
    /// Only the keys that the patch lists are kept.
    pub retain_keys: bool,
}

/// One field of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The JSON name.
    pub name: &'static str,
    /// What it holds.
    pub ty: FieldType,
    /// OpenAPI says that it must be there.
    pub required: bool,
    /// In Go a pointer: absent and zero differ.
    pub pointer: bool,
    /// Go leaves it out when it is zero (never a struct that is no pointer).
    pub omit_empty: bool,
    /// Go leaves it out when it is zero, structs too.
    pub omit_zero: bool,
    /// How list items are told apart.
    pub list_type: ListType,
    /// The keys of a [`ListType::Map`].
    pub map_keys: Vec<&'static str>,
    /// The field's object is replaced as a whole by apply.
    pub map_atomic: bool,
    /// What strategic merge does.
    pub patch_strategy: PatchStrategy,
    /// The key that tells items apart in strategic merge; empty for lists of scalars.
    pub patch_merge_key: &'static str,
    /// The default in OpenAPI, if it has one.
    pub default: Option<Value>,
    /// The values that are allowed, where OpenAPI lists them (of the field, its items or its map's values).
    pub enumeration: Vec<&'static str>,
    /// The embedded Go structs through which it comes, joined by dots.
    embedded: &'static str,
    /// The Go type where it can't be derived.
    go_type: &'static str,
}

/// One type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    /// The name in OpenAPI: `io.k8s.api.core.v1.Pod`.
    pub name: String,
    /// Fields sorted by name.
    pub fields: Vec<Field>,
    /// Group, version and kind of a top-level type.
    pub kinds: Vec<(&'static str, &'static str, &'static str)>,
    /// The object is replaced as a whole by apply.
    pub map_atomic: bool,
    /// Upstream's `x-kubernetes-unions`, as JSON text; empty if there are none.
    pub unions: &'static str,
    /// What the type is if it is no struct.
    pub alias: Option<FieldType>,
}

impl Type {
    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.binary_search_by(|f| f.name.cmp(name)).ok().map(|at| &self.fields[at])
    }

    /// `Pod`.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// `v1.Pod`, as Go prints it.
    fn go_name(&self) -> &str {
        let mut dots = self.name.rmatch_indices('.').map(|(at, _)| at);
        match (dots.next(), dots.next()) {
            (Some(_), Some(second)) => &self.name[second + 1..],
            _ => &self.name,
        }
    }
}

/// Why a table can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema table, line {line}: {what}")]
pub struct TableError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// All types.
#[derive(Debug, Clone, Default)]
pub struct Schemas {
    types: Vec<Type>,
    by_name: HashMap<String, TypeId>,
}

impl Schemas {
    /// Reads the table.
    pub fn parse(text: &'static str) -> Result<Self, TableError> {
        let mut by_short: HashMap<&'static str, TypeId> = HashMap::new();
        for (id, line) in text.lines().filter(|l| !l.starts_with('\t')).enumerate() {
            let short = line.split('\t').next().unwrap_or_default();
            let id = u16::try_from(id).map_err(|_| TableError { line: 0, what: "more than 65536 types".to_owned() })?;
            by_short.insert(short, TypeId(id));
        }
        let mut types: Vec<Type> = Vec::with_capacity(by_short.len());
        for (at, line) in text.lines().enumerate() {
            let error = |what: String| TableError { line: at + 1, what };
            match (line.strip_prefix('\t'), types.last_mut()) {
                (Some(field), Some(owner)) => owner.fields.push(parse_field(field, &by_short).map_err(error)?),
                (Some(_), None) => return Err(error("a field before the first type".to_owned())),
                (None, _) => types.push(parse_type(line, &by_short).map_err(error)?),
            }
        }
        for ty in &mut types {
            ty.fields.sort_by_key(|f| f.name);
        }
        let ids = (0..=u16::MAX).map(TypeId);
        let by_name = types.iter().zip(ids).map(|(t, id)| (t.name.clone(), id)).collect();
        Ok(Self { types, by_name })
    }

    /// The type with this OpenAPI name.
    pub fn find(&self, name: &str) -> Option<TypeId> {
        self.by_name.get(name).copied()
    }

    /// The type itself.
    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[usize::from(id.0)]
    }

    /// All types, sorted by OpenAPI name.
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// The type of the value at `field` of `ty`, if that is a struct.
    pub fn child(&self, ty: TypeId, field: &str) -> Option<TypeId> {
        match self.get(ty).field(field)?.ty {
            FieldType::Struct(id) => Some(id),
            _ => None,
        }
    }
}

/// `core/v1.Pod` → `io.k8s.api.core.v1.Pod`.
fn long_name(short: &str) -> String {
    let Some((group, rest)) = short.split_once('/') else {
        return short.to_owned();
    };
    let beginning = match group {
        "meta" => "io.k8s.apimachinery.pkg.apis",
        "apiextensions" => "io.k8s.apiextensions-apiserver.pkg.apis",
        "apiregistration" => "io.k8s.kube-aggregator.pkg.apis",
        _ => "io.k8s.api",
    };
    format!("{beginning}.{group}.{rest}")
}

fn parse_type(line: &'static str, by_short: &HashMap<&'static str, TypeId>) -> Result<Type, String> {
    let mut words = line.split('\t');
    let short = words.next().unwrap_or_default();
    let mut ty = Type {
        name: long_name(short),
        fields: Vec::new(),
        kinds: Vec::new(),
        map_atomic: false,
        unions: "",
        alias: None,
    };
    for word in words {
        match word.split_once('=') {
            Some(("k", gvk)) => {
                let mut parts = gvk.splitn(3, '/');
                let mut part = || parts.next().unwrap_or_default();
                ty.kinds.push((part(), part(), part()));
            }
            Some(("u", json)) => ty.unions = json,
            Some(("as", "schema-or-other")) => {
                let object = by_short.get("apiextensions/v1.JSONSchemaProps").ok_or("JSONSchemaProps is missing")?;
                ty.alias = Some(FieldType::StructOrOther(*object));
            }
            Some(("as", kind)) => ty.alias = Some(parse_kind(kind, by_short)?),
            None if word == "ma" => ty.map_atomic = true,
            _ => return Err(format!("unknown attribute {word:?} of a type")),
        }
    }
    Ok(ty)
}

fn parse_field(line: &'static str, by_short: &HashMap<&'static str, TypeId>) -> Result<Field, String> {
    let mut words = line.split('\t');
    let (Some(name), Some(kind), Some(flags)) = (words.next(), words.next(), words.next()) else {
        return Err("a field needs a name, a kind and flags".to_owned());
    };
    let mut field = Field {
        name,
        ty: parse_kind(kind, by_short)?,
        required: flags.contains('r'),
        pointer: flags.contains('p'),
        omit_empty: flags.contains('o'),
        omit_zero: flags.contains('z'),
        list_type: ListType::Unset,
        map_keys: Vec::new(),
        map_atomic: false,
        patch_strategy: PatchStrategy::default(),
        patch_merge_key: "",
        default: None,
        enumeration: Vec::new(),
        embedded: "",
        go_type: "",
    };
    if flags.contains('d') {
        field.default = Some(zero(&field.ty));
    }
    for word in words {
        match word.split_once('=') {
            Some(("l", "atomic")) => field.list_type = ListType::Atomic,
            Some(("l", "set")) => field.list_type = ListType::Set,
            Some(("l", "map")) => field.list_type = ListType::Map,
            Some(("k", keys)) => field.map_keys = keys.split(',').collect(),
            Some(("m", kind)) => field.map_atomic = kind == "atomic",
            Some(("s", strategies)) => {
                field.patch_strategy = PatchStrategy {
                    merge: strategies.split(',').any(|s| s == "merge"),
                    retain_keys: strategies.split(',').any(|s| s == "retainKeys"),
                };
            }
            Some(("p", key)) => field.patch_merge_key = key,
            Some(("e", values)) => field.enumeration = values.split('|').collect(),
            Some(("i", embedded)) => field.embedded = embedded,
            Some(("g", go_type)) => field.go_type = go_type,
            Some(("d", json)) => {
                field.default = Some(serde_json::from_str(json).map_err(|e| format!("default of {name}: {e}"))?);
            }
            _ => return Err(format!("unknown attribute {word:?} of field {name}")),
        }
    }
    Ok(field)
}

fn parse_kind(kind: &str, by_short: &HashMap<&'static str, TypeId>) -> Result<FieldType, String> {
    if let Some(item) = kind.strip_prefix("[]") {
        return Ok(FieldType::Array(Box::new(parse_kind(item, by_short)?)));
    }
    if let Some(value) = kind.strip_prefix("{}") {
        return Ok(FieldType::Map(Box::new(parse_kind(value, by_short)?)));
    }
    Ok(match kind {
        "string" => FieldType::String,
        "bytes" => FieldType::Bytes,
        "bool" => FieldType::Bool,
        "int32" => FieldType::Int32,
        "int64" => FieldType::Int64,
        "number" => FieldType::Number,
        "int-or-string" => FieldType::IntOrString,
        "quantity" => FieldType::Quantity,
        "time" => FieldType::Time,
        "microtime" => FieldType::MicroTime,
        "object" => FieldType::Object,
        "any" => FieldType::Any,
        name => FieldType::Struct(*by_short.get(name).ok_or_else(|| format!("kind {name:?} is unknown"))?),
    })
}

/// What Go has for a field that is not set and not left out.
fn zero(ty: &FieldType) -> Value {
    match ty {
        FieldType::String => Value::from(""),
        FieldType::Bool => Value::from(false),
        FieldType::Int32 | FieldType::Int64 | FieldType::Number | FieldType::IntOrString => Value::from(0),
        FieldType::Quantity => Value::from("0"),
        FieldType::Struct(_) => Value::Object(serde_json::Map::new()),
        FieldType::Bytes
        | FieldType::Time
        | FieldType::MicroTime
        | FieldType::Any
        | FieldType::Object
        | FieldType::StructOrOther(_)
        | FieldType::Array(_)
        | FieldType::Map(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests;

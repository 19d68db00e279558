//! Version 2 of OpenAPI as protobuf, which client-go asks for: kubectl checks Lists, and kinds that the server does not have,
//! by it (messages and numbers: `gnostic-models/openapiv2/OpenAPIv2.proto`).

use serde_json::Value;

/// How a value is written.
#[derive(Debug)]
enum Shape {
    Text,
    Bool,
    Double,
    Int64,
    /// Whatever it is, as YAML.
    Any,
    /// Each element. What is no list is its only element.
    Each(&'static Shape),
    /// A message that holds the value in this field.
    Within(u32, &'static Shape),
    /// A message that holds the value in a field which depends on it.
    OneOf(fn(&Value) -> (u32, &'static Shape)),
    Message(Message),
}

/// A message whose fields are an object's.
#[derive(Debug)]
struct Message {
    fields: &'static [(&'static str, u32, &'static Shape)],
    /// The number of the first of [`LIMITS`]; 0 without them.
    limits: u32,
    /// Where the fields stand that have no number, with their names, and what they are.
    others: Option<(u32, &'static Shape)>,
    /// Where the fields stand whose names begin with `x-`.
    extensions: Option<u32>,
}

const fn message(fields: &'static [(&'static str, u32, &'static Shape)], extensions: u32) -> Shape {
    Shape::Message(Message { fields, limits: 0, others: None, extensions: Some(extensions) })
}

/// What values have that are no objects, in the order of their numbers.
static LIMITS: [(&str, &Shape); 17] = [
    ("type", &Shape::Text),
    ("format", &Shape::Text),
    ("items", &PRIMITIVE_ITEMS),
    ("collectionFormat", &Shape::Text),
    ("default", &Shape::Any),
    ("maximum", &Shape::Double),
    ("exclusiveMaximum", &Shape::Bool),
    ("minimum", &Shape::Double),
    ("exclusiveMinimum", &Shape::Bool),
    ("maxLength", &Shape::Int64),
    ("minLength", &Shape::Int64),
    ("pattern", &Shape::Text),
    ("maxItems", &Shape::Int64),
    ("minItems", &Shape::Int64),
    ("uniqueItems", &Shape::Bool),
    ("enum", &ANYS),
    ("multipleOf", &Shape::Double),
];

/// A message with [`LIMITS`].
const fn limited(fields: &'static [(&'static str, u32, &'static Shape)], limits: u32, extensions: u32) -> Shape {
    Shape::Message(Message { fields, limits, others: None, extensions: Some(extensions) })
}

/// A map from names.
const fn map(value: &'static Shape) -> Shape {
    Shape::Message(Message { fields: &[], limits: 0, others: Some((1, value)), extensions: None })
}

static TEXTS: Shape = Shape::Each(&Shape::Text);
static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, &Shape::Text),
        ("info", 2, &INFO),
        ("host", 3, &Shape::Text),
        ("basePath", 4, &Shape::Text),
        ("schemes", 5, &TEXTS),
        ("consumes", 6, &TEXTS),
        ("produces", 7, &TEXTS),
        ("paths", 8, &PATHS),
        ("definitions", 9, &SCHEMAS),
        ("parameters", 10, &PARAMETERS),
        ("responses", 11, &RESPONSES_BY_NAME),
        ("security", 12, &SECURITY),
        ("securityDefinitions", 13, &SECURITY_DEFINITIONS),
        ("tags", 14, &TAGS),
        ("externalDocs", 15, &EXTERNAL_DOCS),
    ],
    limits: 0,
    others: None,
    extensions: Some(16),
};
static INFO: Shape = message(
    &[
        ("title", 1, &Shape::Text),
        ("version", 2, &Shape::Text),
        ("description", 3, &Shape::Text),
        ("termsOfService", 4, &Shape::Text),
        ("contact", 5, &CONTACT),
        ("license", 6, &LICENSE),
    ],
    7,
);
static CONTACT: Shape = message(&[("name", 1, &Shape::Text), ("url", 2, &Shape::Text), ("email", 3, &Shape::Text)], 4);
static LICENSE: Shape = message(&[("name", 1, &Shape::Text), ("url", 2, &Shape::Text)], 3);
static TAGS: Shape = Shape::Each(&TAG);
static TAG: Shape =
    message(&[("name", 1, &Shape::Text), ("description", 2, &Shape::Text), ("externalDocs", 3, &EXTERNAL_DOCS)], 4);
static EXTERNAL_DOCS: Shape = message(&[("description", 1, &Shape::Text), ("url", 2, &Shape::Text)], 3);

static PATHS: Shape =
    Shape::Message(Message { fields: &[], limits: 0, others: Some((2, &PATH_ITEM)), extensions: Some(1) });
static PATH_ITEM: Shape = message(
    &[
        ("$ref", 1, &Shape::Text),
        ("get", 2, &OPERATION),
        ("put", 3, &OPERATION),
        ("post", 4, &OPERATION),
        ("delete", 5, &OPERATION),
        ("options", 6, &OPERATION),
        ("head", 7, &OPERATION),
        ("patch", 8, &OPERATION),
        ("parameters", 9, &PARAMETER_ITEMS),
    ],
    10,
);
static OPERATION: Shape = message(
    &[
        ("tags", 1, &TEXTS),
        ("summary", 2, &Shape::Text),
        ("description", 3, &Shape::Text),
        ("externalDocs", 4, &EXTERNAL_DOCS),
        ("operationId", 5, &Shape::Text),
        ("produces", 6, &TEXTS),
        ("consumes", 7, &TEXTS),
        ("parameters", 8, &PARAMETER_ITEMS),
        ("responses", 9, &RESPONSES),
        ("schemes", 10, &TEXTS),
        ("deprecated", 11, &Shape::Bool),
        ("security", 12, &SECURITY),
    ],
    13,
);

static PARAMETERS: Shape = map(&PARAMETER);
static PARAMETER_ITEMS: Shape = Shape::Each(&PARAMETER_ITEM);
static PARAMETER_ITEM: Shape = Shape::OneOf(|value| or_reference(value, &PARAMETER));
static PARAMETER: Shape =
    Shape::OneOf(|value| if value["in"] == "body" { (1, &BODY_PARAMETER) } else { (2, &NON_BODY_PARAMETER) });
static BODY_PARAMETER: Shape = message(
    &[
        ("description", 1, &Shape::Text),
        ("name", 2, &Shape::Text),
        ("in", 3, &Shape::Text),
        ("required", 4, &Shape::Bool),
        ("schema", 5, &SCHEMA),
    ],
    6,
);
static NON_BODY_PARAMETER: Shape = Shape::OneOf(|value| match value["in"].as_str() {
    Some("header") => (1, &PLACED_PARAMETER),
    Some("formData") => (2, &OPTIONAL_PARAMETER),
    Some("path") => (4, &PLACED_PARAMETER),
    _ => (3, &OPTIONAL_PARAMETER),
});
/// Parameters in the path and in headers.
static PLACED_PARAMETER: Shape = limited(
    &[
        ("required", 1, &Shape::Bool),
        ("in", 2, &Shape::Text),
        ("description", 3, &Shape::Text),
        ("name", 4, &Shape::Text),
    ],
    5,
    22,
);
/// Parameters in the query and in forms.
static OPTIONAL_PARAMETER: Shape = limited(
    &[
        ("required", 1, &Shape::Bool),
        ("in", 2, &Shape::Text),
        ("description", 3, &Shape::Text),
        ("name", 4, &Shape::Text),
        ("allowEmptyValue", 5, &Shape::Bool),
    ],
    6,
    23,
);
static PRIMITIVE_ITEMS: Shape = limited(&[], 1, 18);
static ANYS: Shape = Shape::Each(&Shape::Any);

static RESPONSES: Shape =
    Shape::Message(Message { fields: &[], limits: 0, others: Some((1, &RESPONSE_VALUE)), extensions: Some(2) });
static RESPONSES_BY_NAME: Shape = map(&RESPONSE);
static RESPONSE_VALUE: Shape = Shape::OneOf(|value| or_reference(value, &RESPONSE));
static RESPONSE: Shape = message(
    &[
        ("description", 1, &Shape::Text),
        ("schema", 2, &SCHEMA_ITEM),
        ("headers", 3, &HEADERS),
        ("examples", 4, &EXAMPLES),
    ],
    5,
);
static SCHEMA_ITEM: Shape = Shape::Within(1, &SCHEMA);
static EXAMPLES: Shape = map(&Shape::Any);
static HEADERS: Shape = map(&HEADER);
static HEADER: Shape = limited(&[("description", 18, &Shape::Text)], 1, 19);

static SCHEMAS: Shape = map(&SCHEMA);
static SCHEMA: Shape = message(
    &[
        ("$ref", 1, &Shape::Text),
        ("format", 2, &Shape::Text),
        ("title", 3, &Shape::Text),
        ("description", 4, &Shape::Text),
        ("default", 5, &Shape::Any),
        ("multipleOf", 6, &Shape::Double),
        ("maximum", 7, &Shape::Double),
        ("exclusiveMaximum", 8, &Shape::Bool),
        ("minimum", 9, &Shape::Double),
        ("exclusiveMinimum", 10, &Shape::Bool),
        ("maxLength", 11, &Shape::Int64),
        ("minLength", 12, &Shape::Int64),
        ("pattern", 13, &Shape::Text),
        ("maxItems", 14, &Shape::Int64),
        ("minItems", 15, &Shape::Int64),
        ("uniqueItems", 16, &Shape::Bool),
        ("maxProperties", 17, &Shape::Int64),
        ("minProperties", 18, &Shape::Int64),
        ("required", 19, &TEXTS),
        ("enum", 20, &ANYS),
        ("additionalProperties", 21, &ADDITIONAL_PROPERTIES),
        ("type", 22, &TYPES),
        ("items", 23, &ITEMS),
        ("allOf", 24, &SCHEMA_LIST),
        ("properties", 25, &SCHEMAS),
        ("discriminator", 26, &Shape::Text),
        ("readOnly", 27, &Shape::Bool),
        ("xml", 28, &XML),
        ("externalDocs", 29, &EXTERNAL_DOCS),
        ("example", 30, &Shape::Any),
    ],
    31,
);
static XML: Shape = message(
    &[
        ("name", 1, &Shape::Text),
        ("namespace", 2, &Shape::Text),
        ("prefix", 3, &Shape::Text),
        ("attribute", 4, &Shape::Bool),
        ("wrapped", 5, &Shape::Bool),
    ],
    6,
);
static ADDITIONAL_PROPERTIES: Shape =
    Shape::OneOf(|value| if value.is_boolean() { (2, &Shape::Bool) } else { (1, &SCHEMA) });
static TYPES: Shape = Shape::Within(1, &TEXTS);
static ITEMS: Shape = Shape::Within(1, &SCHEMA_LIST);
static SCHEMA_LIST: Shape = Shape::Each(&SCHEMA);

static SECURITY: Shape = Shape::Each(&SECURITY_REQUIREMENT);
static SECURITY_REQUIREMENT: Shape = map(&TEXT_ARRAY);
static TEXT_ARRAY: Shape = Shape::Within(1, &TEXTS);
static SECURITY_DEFINITIONS: Shape = map(&SECURITY_DEFINITION);
/// A server of Kubernetes has tokens in a header, and nothing else.
static SECURITY_DEFINITION: Shape = Shape::Within(2, &API_KEY);
static API_KEY: Shape = message(
    &[("type", 1, &Shape::Text), ("name", 2, &Shape::Text), ("in", 3, &Shape::Text), ("description", 4, &Shape::Text)],
    5,
);

static REFERENCE: Shape = Shape::Message(Message {
    fields: &[("$ref", 1, &Shape::Text), ("description", 2, &Shape::Text)],
    limits: 0,
    others: None,
    extensions: None,
});

fn or_reference(value: &Value, shape: &'static Shape) -> (u32, &'static Shape) {
    if value["$ref"].is_string() { (2, &REFERENCE) } else { (1, shape) }
}

/// The wire types.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;

/// A document as protobuf.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    DOCUMENT.write(&mut out, document);
    out
}

impl Shape {
    /// Writes `value` as the field `number`. What has the default value is left out, as in proto 3.
    fn write(&self, out: &mut Vec<u8>, number: u32, value: &Value) {
        match self {
            Self::Text => match value.as_str() {
                Some(text) if !text.is_empty() => bytes(out, number, text.as_bytes()),
                _ => {}
            },
            Self::Bool if value == true => {
                tag(out, number, VARINT);
                varint(out, 1);
            }
            Self::Bool => {}
            Self::Double => {
                if let Some(number_value) = value.as_f64().filter(|value| *value != 0.0) {
                    tag(out, number, FIXED_64);
                    out.extend(number_value.to_le_bytes());
                }
            }
            Self::Int64 => {
                if let Some(integer) = value.as_i64().filter(|value| *value != 0) {
                    tag(out, number, VARINT);
                    varint(out, integer.cast_unsigned());
                }
            }
            Self::Each(shape) => match value.as_array() {
                Some(elements) => elements.iter().for_each(|element| shape.write(out, number, element)),
                None => shape.write(out, number, value),
            },
            Self::Any => nested(out, number, |out| bytes(out, 2, format!("{value}\n").as_bytes())),
            Self::Within(field, shape) => nested(out, number, |out| shape.write(out, *field, value)),
            Self::OneOf(choose) => {
                let (field, shape) = choose(value);
                nested(out, number, |out| shape.write(out, field, value));
            }
            Self::Message(message) => nested(out, number, |out| message.write(out, value)),
        }
    }
}

impl Message {
    fn field(&self, name: &str) -> Option<(u32, &'static Shape)> {
        let own = self.fields.iter().find(|(known, ..)| *known == name).map(|(_, number, shape)| (*number, *shape));
        own.or_else(|| {
            let mut limits = (self.limits..).zip(&LIMITS).filter(|_| self.limits > 0);
            limits.find(|(_, (known, _))| *known == name).map(|(number, (_, shape))| (number, *shape))
        })
    }

    fn write(&self, out: &mut Vec<u8>, value: &Value) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let named = |out: &mut Vec<u8>, (number, shape): (u32, &Shape)| {
                nested(out, number, |out| {
                    bytes(out, 1, name.as_bytes());
                    shape.write(out, 2, value);
                });
            };
            if let Some((number, shape)) = self.field(name) {
                shape.write(out, number, value);
            } else if let Some(number) = self.extensions.filter(|_| name.starts_with("x-")) {
                named(out, (number, &Shape::Any));
            } else if let Some(others) = self.others {
                named(out, others);
            }
        }
    }
}

fn nested(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    bytes(out, number, &inner);
}

fn bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    tag(out, number, BYTES);
    varint(out, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(bytes);
}

fn tag(out: &mut Vec<u8>, number: u32, wire: u64) {
    varint(out, u64::from(number) << 3 | wire);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests;

//! OpenAPI: the documents of the built-in kinds with their descriptions, and those of custom resources, which are made of their
//! definitions when somebody asks (upstream: `apiextensions-apiserver/pkg/controller/openapi`).

mod definition;
mod operations;
mod protobuf;

use std::io::Write as _;
use std::sync::Arc;

use apimachinery::ApiError;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue, IF_NONE_MATCH};
use http::{HeaderMap, Response, StatusCode};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::body::{Body, response, whole, with_body};
use super::negotiate::accepted;
use crate::catalog::{CustomResources, Served};

/// The two versions of OpenAPI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Two,
    Three,
}

impl Version {
    /// Where schemas are referred to.
    fn reference(self, name: &str) -> Value {
        match self {
            Self::Two => json!({"$ref": format!("#/definitions/{name}")}),
            Self::Three => json!({"$ref": format!("#/components/schemas/{name}")}),
        }
    }
}

/// A document as it is sent.
#[derive(Debug, Clone)]
struct Packed {
    media_type: &'static str,
    hash: String,
    gzip: Bytes,
}

/// The media type of version 2 as protobuf, in answers.
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What client-go asks for, by an earlier name.
const PROTOBUF_BEFORE: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const JSON: &str = "application/json";

impl Packed {
    fn new(document: &Value) -> Result<Self, ApiError> {
        Self::of(JSON, document.to_string().as_bytes())
    }

    fn of(media_type: &'static str, body: &[u8]) -> Result<Self, ApiError> {
        let hash = Sha256::digest(body).iter().take(16).map(|b| format!("{b:02X}")).collect();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).map_err(ApiError::internal)?;
        Ok(Self { media_type, hash, gzip: encoder.finish().map_err(ApiError::internal)?.into() })
    }

    /// The same as protobuf, if this is version 2 as JSON.
    fn as_protobuf(&self) -> Result<Self, ApiError> {
        let document = serde_json::from_slice(&unpack(&self.gzip)?).map_err(ApiError::internal)?;
        Self::of(PROTOBUF, &protobuf::encode(&document))
    }

    /// A built-in document, with what is said of its types and fields.
    fn described(document: &'static api::openapi::Document, place: &[&str]) -> Result<Self, ApiError> {
        let mut value: Value =
            serde_json::from_slice(&document.json().map_err(ApiError::internal)?).map_err(ApiError::internal)?;
        let schemas = place.iter().fold(&mut value, |value, step| &mut value[*step]);
        if let Some(schemas) = schemas.as_object_mut() {
            api::openapi::describe(schemas);
        }
        if let Some(paths) = value["paths"].as_object_mut() {
            api::openapi::describe_answers(paths);
        }
        Ok(Self { hash: document.described_hash(), ..Self::new(&value)? })
    }

    fn answer(&self, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
        let header = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).unwrap_or_default();
        let tag = format!("\"{}\"", self.hash);
        let mut response = if header(IF_NONE_MATCH) == tag {
            with_body(StatusCode::NOT_MODIFIED, self.media_type, whole(Bytes::new()))
        } else if header(ACCEPT_ENCODING).contains("gzip") {
            let mut response = with_body(StatusCode::OK, self.media_type, whole(self.gzip.clone()));
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        } else {
            response(StatusCode::OK, self.media_type, unpack(&self.gzip)?)
        };
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert("etag", tag);
        }
        Ok(response)
    }
}

fn unpack(gzip: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    std::io::copy(&mut GzDecoder::new(gzip), &mut body).map_err(ApiError::internal)?;
    Ok(body)
}

/// What was made of one state of the catalog.
#[derive(Debug, Default)]
struct Made {
    /// The catalog's revision.
    revision: u64,
    /// By path: `apis/example.com/v1`; the document of version 2 is under `v2` and `v2.protobuf`.
    documents: std::collections::BTreeMap<String, Packed>,
}

/// The documents.
#[derive(Debug, Default)]
pub(crate) struct OpenApi {
    made: Mutex<Made>,
    /// Built-in ones that somebody has asked for, by path.
    built_in: Mutex<std::collections::BTreeMap<&'static str, Packed>>,
}

/// Where a document has its schemas.
const SCHEMAS: &[&str] = &["components", "schemas"];

impl OpenApi {
    /// `/openapi/v3`.
    pub(crate) fn index(&self, custom: &Arc<CustomResources>) -> Value {
        let entry = |path: &str, hash: String| {
            (path.to_owned(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}))
        };
        let mut paths: Map<String, Value> =
            api::openapi::DOCUMENTS.iter().map(|document| entry(document.path, document.described_hash())).collect();
        for path in custom_paths(custom) {
            if let Ok(document) = self.custom(&path, custom) {
                paths.extend([entry(&path, document.hash)]);
            }
        }
        json!({"paths": paths})
    }

    /// `/openapi/v3/PATH`.
    pub(crate) fn document(
        &self,
        path: &str,
        custom: &Arc<CustomResources>,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, ApiError> {
        match api::openapi::DOCUMENTS.iter().find(|d| d.path == path) {
            Some(document) => self.built_in(document, SCHEMAS)?.answer(headers),
            None if custom_paths(custom).contains(path) => self.custom(path, custom)?.answer(headers),
            None => Err(ApiError::path_not_found()),
        }
    }

    /// `/openapi/v2`.
    pub(crate) fn second(
        &self,
        custom: &Arc<CustomResources>,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, ApiError> {
        let form = |name: &str| match name {
            JSON | "application/*" | "*/*" => Some(JSON),
            PROTOBUF | PROTOBUF_BEFORE => Some(PROTOBUF),
            _ => None,
        };
        let ranges = accepted(headers);
        let wanted = if ranges.is_empty() { Some(JSON) } else { ranges.iter().find_map(|range| form(range.name)) };
        let Some(wanted) = wanted else { return Err(ApiError::not_acceptable(&[JSON, PROTOBUF])) };
        if wanted == PROTOBUF {
            let json = self.second_as_json(custom)?;
            return self.made("v2.protobuf", custom, || json.as_protobuf())?.answer(headers);
        }
        self.second_as_json(custom)?.answer(headers)
    }

    fn second_as_json(&self, custom: &Arc<CustomResources>) -> Result<Packed, ApiError> {
        if custom.iter().next().is_none() {
            return self.built_in(&api::openapi::VERSION_2, &["definitions"]);
        }
        self.made("v2", custom, || Packed::new(&second_document(custom)?))
    }

    fn built_in(&self, document: &'static api::openapi::Document, place: &[&str]) -> Result<Packed, ApiError> {
        let mut built_in = self.built_in.lock();
        if let Some(packed) = built_in.get(document.path) {
            return Ok(packed.clone());
        }
        let packed = Packed::described(document, place)?;
        built_in.insert(document.path, packed.clone());
        Ok(packed)
    }

    fn custom(&self, path: &str, custom: &Arc<CustomResources>) -> Result<Packed, ApiError> {
        self.made(path, custom, || Packed::new(&third_document(path, custom)?))
    }

    /// The document for `key`, made if the one that is there is of an earlier catalog.
    fn made(
        &self,
        key: &str,
        custom: &CustomResources,
        make: impl FnOnce() -> Result<Packed, ApiError>,
    ) -> Result<Packed, ApiError> {
        let mut made = self.made.lock();
        if made.revision != custom.revision {
            *made = Made { revision: custom.revision, ..Made::default() };
        }
        if let Some(document) = made.documents.get(key) {
            return Ok(document.clone());
        }
        let document = make()?;
        made.documents.insert(key.to_owned(), document.clone());
        Ok(document)
    }
}

fn path_of(served: &Served) -> String {
    format!("apis/{}/{}", served.ty.resource.group, served.ty.resource.version)
}

fn custom_paths(custom: &CustomResources) -> std::collections::BTreeSet<String> {
    custom.iter().map(|served| path_of(served)).collect()
}

/// The schemas that all kinds refer to, and the Scale, from a built-in document.
fn shared_schemas() -> Result<Map<String, Value>, ApiError> {
    let document = api::openapi::DOCUMENTS.iter().find(|document| document.path == "apis/apps/v1");
    let body = document.map(api::openapi::Document::json).transpose().map_err(ApiError::internal)?;
    let mut parsed: Value = serde_json::from_slice(&body.unwrap_or_default()).map_err(ApiError::internal)?;
    let Value::Object(mut schemas) = parsed["components"]["schemas"].take() else { return Ok(Map::new()) };
    schemas.retain(|name, _| {
        name.starts_with("io.k8s.apimachinery.") || name.starts_with("io.k8s.api.autoscaling.v1.Scale")
    });
    api::openapi::describe(&mut schemas);
    Ok(schemas)
}

fn third_document(path: &str, custom: &CustomResources) -> Result<Value, ApiError> {
    let mut schemas = shared_schemas()?;
    let mut paths = Map::new();
    for served in custom.iter().filter(|served| path_of(served) == path) {
        schemas.extend(definition::of_type(&served.ty, Version::Three));
        paths.extend(operations::of_type(&served.ty, Version::Three));
    }
    Ok(json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"},
        "paths": paths, "components": {"schemas": schemas},
    }))
}

fn second_document(custom: &CustomResources) -> Result<Value, ApiError> {
    let built_in = api::openapi::VERSION_2.json().map_err(ApiError::internal)?;
    let mut document: Value = serde_json::from_slice(&built_in).map_err(ApiError::internal)?;
    if let Some(definitions) = document["definitions"].as_object_mut() {
        api::openapi::describe(definitions);
    }
    if let Some(paths) = document["paths"].as_object_mut() {
        api::openapi::describe_answers(paths);
    }
    for served in custom.iter() {
        let made = [
            ("definitions", definition::of_type(&served.ty, Version::Two)),
            ("paths", operations::of_type(&served.ty, Version::Two)),
        ];
        for (place, more) in made {
            if let Some(all) = document[place].as_object_mut() {
                all.extend(more);
            }
        }
    }
    Ok(document)
}

#[cfg(test)]
mod tests;

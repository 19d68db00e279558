//! Manifests: files, directories, standard input and URLs, with several documents each.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use client::{RestClient, RestConfig, ServerUrl};
use http::Method;
use serde_json::Value;

use super::{Check, Info, Selected, Selection};
use crate::context::Context;
use crate::discovery::{Mapper, ResourceType};
use crate::error::KubectlError;
use apimachinery::gotext;

/// What a directory's manifests are called.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];
/// How messages name standard input.
const STDIN: &str = "STDIN";

/// The files that a path means: itself, or those in the directory (and below).
pub(crate) fn expand_paths(path: &str, recursive: bool) -> Result<Vec<PathBuf>, KubectlError> {
    let root = Path::new(path);
    let metadata = std::fs::metadata(root).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => KubectlError::new(format!("the path {path:?} does not exist")),
        _ => KubectlError::new(format!("the path {path:?} cannot be accessed: {error}")),
    })?;
    if !metadata.is_dir() {
        return Ok(vec![root.to_owned()]);
    }
    let mut found = Vec::new();
    walk(root, recursive, &mut found).map_err(|error| KubectlError::new(format!("error reading {path:?}: {error}")))?;
    if found.is_empty() {
        return Err(KubectlError::new(format!(
            "error reading [{path}]: recognized file extensions are [.json .yaml .yml]"
        )));
    }
    Ok(found)
}

fn walk(directory: &Path, recursive: bool, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            if recursive {
                walk(&path, recursive, found)?;
            }
        } else if path.extension().and_then(|e| e.to_str()).is_some_and(|e| EXTENSIONS.contains(&e)) {
            found.push(path);
        }
    }
    Ok(())
}

impl Selection {
    /// The objects of all files, lists taken apart, namespaces filled in.
    pub(super) async fn read_files(&self, context: &Context) -> Result<Selected, KubectlError> {
        let mut sources: Vec<(String, String)> = Vec::new();
        let (mut stream, mut faults) = (false, Vec::new());
        for name in &self.filenames {
            if name == "-" {
                stream = true;
                let mut text = String::new();
                let read = std::io::stdin().read_to_string(&mut text);
                read.map_err(|error| KubectlError::new(format!("error reading {STDIN}: {error}")))?;
                sources.push((STDIN.to_owned(), text));
            } else if name.starts_with("http://") || name.starts_with("https://") {
                sources.push((name.clone(), download(context, name).await?));
            } else {
                match expand_paths(name, self.recursive) {
                    Ok(paths) => {
                        for path in paths {
                            let shown = path.display().to_string();
                            match std::fs::read_to_string(&path) {
                                Ok(text) => sources.push((shown, text)),
                                Err(error) => faults.push(KubectlError::new(format!("open {shown}: {error}"))),
                            }
                        }
                    }
                    Err(error) => faults.push(error),
                }
            }
        }
        KubectlError::all(faults)?;
        let mut selected = Selected { single: !stream && sources.len() == 1, ..Selected::default() };
        let mapper = if self.local { None } else { Some(context.mapper().await?) };
        for (source, text) in &sources {
            for document in apimachinery::yaml::documents(text) {
                match self.document(context, mapper, source, document) {
                    Ok(infos) => infos.into_iter().for_each(|info| match info {
                        Ok(info) => selected.infos.push(info),
                        Err(error) => selected.errors.push(error),
                    }),
                    Err(error) => {
                        // What follows in this file can't be told apart from the fault.
                        selected.errors.push(error);
                        break;
                    }
                }
            }
        }
        Ok(selected)
    }

    /// The objects of a text, as if it were a file.
    pub(crate) async fn read_text(
        &self,
        context: &Context,
        source: &str,
        text: &str,
    ) -> Result<Vec<Info>, KubectlError> {
        let mapper = context.mapper().await?;
        let mut infos = Vec::new();
        for document in apimachinery::yaml::documents(text) {
            for info in self.document(context, Some(mapper), source, document)? {
                infos.push(info?);
            }
        }
        Ok(infos)
    }

    fn document(
        &self,
        context: &Context,
        mapper: Option<&Mapper>,
        source: &str,
        text: &str,
    ) -> Result<Vec<Result<Info, KubectlError>>, KubectlError> {
        let parsed = apimachinery::yaml::parse(text);
        let object = parsed.map_err(|error| KubectlError::new(format!("error parsing {source}: {error}")))?.value;
        if object.is_null() {
            return Ok(Vec::new());
        }
        if self.check == Check::Header {
            check_header(&object).map_err(|fault| {
                KubectlError::new(format!(
                    "error validating {source:?}: error validating data: {fault}; if you choose to ignore these errors, \
                     turn validation off with --validate=false"
                ))
            })?;
        }
        let mut found = Vec::new();
        if object["kind"].is_string()
            && let Some(fault) = metadata_fault(&object["metadata"])
        {
            found.push(Err(KubectlError::new(format!("unable to decode {source:?}: {fault}"))));
            return Ok(found);
        }
        self.take_apart(context, mapper, source, object, &mut found);
        Ok(found)
    }

    fn take_apart(
        &self,
        context: &Context,
        mapper: Option<&Mapper>,
        source: &str,
        mut object: Value,
        found: &mut Vec<Result<Info, KubectlError>>,
    ) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        if kind.is_empty() {
            let data = gotext::json(&object);
            found.push(Err(KubectlError::new(format!(
                "unable to decode {source:?}: Object 'Kind' is missing in '{data}'"
            ))));
            return;
        }
        if kind.ends_with("List")
            && let Some(items) = object.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take)
        {
            for item in items {
                self.take_apart(context, mapper, source, item, found);
            }
            return;
        }
        found.push(self.info(context, mapper, source, object, &api_version, &kind));
    }

    fn info(
        &self,
        context: &Context,
        mapper: Option<&Mapper>,
        source: &str,
        mut object: Value,
        api_version: &str,
        kind: &str,
    ) -> Result<Info, KubectlError> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&object["metadata"]["name"]);
        let mut namespace = text(&object["metadata"]["namespace"]);
        let resource = match mapper {
            Some(mapper) => mapper.kind(api_version, kind).ok_or_else(|| {
                KubectlError::new(format!(
                    "resource mapping not found for name: {name:?} namespace: {namespace:?} from {source:?}: no matches for \
                     kind {kind:?} in version {api_version:?}\nensure CRDs are installed first"
                ))
            })?,
            None => Arc::new(unasked(api_version, kind)),
        };
        if !resource.namespaced {
            namespace.clear();
        } else if self.local {
            // Without the server nobody knows whether the type has namespaces.
        } else if namespace.is_empty() {
            context.namespace()?.clone_into(&mut namespace);
        } else if context.namespace_is_explicit() && namespace != context.namespace()? {
            let wanted = context.namespace()?;
            return Err(KubectlError::new(format!(
                "the namespace from the provided object {namespace:?} does not match the namespace {wanted:?}. You must pass \
                 '--namespace={namespace}' to perform this operation."
            )));
        }
        if let Some(metadata) =
            object.as_object_mut().map(|o| o.entry("metadata").or_insert_with(|| serde_json::json!({})))
            && let Some(metadata) = metadata.as_object_mut()
        {
            if namespace.is_empty() {
                metadata.remove("namespace");
            } else {
                metadata.insert("namespace".to_owned(), namespace.clone().into());
            }
        }
        Ok(Info { resource, namespace, name, source: source.to_owned(), object })
    }
}

/// What can be said of a type without the server.
fn unasked(api_version: &str, kind: &str) -> ResourceType {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ResourceType {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: kind.to_lowercase(),
        namespaced: true,
        ..ResourceType::default()
    }
}

/// Upstream's `getObjectKind` of its validation.
fn check_header(object: &Value) -> Result<(), String> {
    if !object.is_object() {
        return Err("invalid object to validate".to_owned());
    }
    let mut faults = Vec::new();
    for key in ["apiVersion", "kind"] {
        match &object[key] {
            Value::Null => faults.push(format!("{key} not set")),
            Value::String(_) => {}
            _ => faults.push(format!("{key} isn't string type")),
        }
    }
    match faults.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

/// The first field of text in an object's metadata that holds something else, in the words of Go's decoder (upstream:
/// `cli-runtime/pkg/resource/metadata_decoder.go`).
fn metadata_fault(metadata: &Value) -> Option<String> {
    let fault = |value: &Value, field: &str, ty: &str| {
        let found = match value {
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::String(_) => "string",
            Value::Null => return None,
        };
        Some(format!("json: cannot unmarshal {found} into Go struct field ObjectMeta.metadata.{field} of type {ty}"))
    };
    metadata.as_object()?.iter().find_map(|(field, value)| match field.as_str() {
        "generateName" | "name" | "namespace" if !value.is_string() => fault(value, field, "string"),
        "annotations" | "labels" => match value.as_object() {
            Some(pairs) => {
                pairs.values().filter(|text| !text.is_string()).find_map(|text| fault(text, field, "string"))
            }
            None => fault(value, field, "map[string]string"),
        },
        _ => None,
    })
}

async fn download(context: &Context, url: &str) -> Result<String, KubectlError> {
    let at = url.find("://").map_or(0, |at| at + 3);
    let end = url[at..].find('/').map_or(url.len(), |slash| at + slash);
    let server = ServerUrl::parse(&url[..end], false).map_err(KubectlError::new)?;
    let client = RestClient::new(RestConfig::new(server), context.supervisor.clone(), Arc::new(()))?;
    let path = if end == url.len() { "/" } else { &url[end..] };
    let response = client.request(Method::GET, path, &[], Bytes::new()).await.map_err(|error| match error.api() {
        Some(error) => {
            let status = http::StatusCode::from_u16(error.code).unwrap_or_default();
            KubectlError::new(format!(
                "unable to read URL {url:?}, server reported {status}, status code={}",
                error.code
            ))
        }
        None => error.into(),
    })?;
    Ok(String::from_utf8_lossy(&response.body).into_owned())
}

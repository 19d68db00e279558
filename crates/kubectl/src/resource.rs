//! The objects that a command line means: `TYPE NAME…`, `TYPE/NAME…`, selectors, files (upstream:
//! `cli-runtime/pkg/resource.Builder`).

mod arguments;
mod files;
mod request;

use std::sync::Arc;

use apimachinery::labels::Selector;
use clap::Args;
use client::RestError;
use serde_json::Value;

pub(crate) use arguments::Named;
pub(crate) use files::expand_paths;
pub(crate) use request::{ListQuery, Requests, delete_options};

use crate::context::Context;
use crate::discovery::ResourceType;
use crate::error::KubectlError;

/// `-f` and `-R`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FileFlags {
    /// Files, directories or URLs of manifests; - for standard input
    #[arg(long = "filename", short = 'f')]
    filename_lists: Vec<String>,
    /// Read the directories of -f with all that are in them
    #[arg(long, short = 'R')]
    pub(crate) recursive: bool,
}

impl FileFlags {
    /// The files, where a value may hold several with commas between them.
    pub(crate) fn filenames(&self) -> Vec<String> {
        crate::flags::values::split_list(&self.filename_lists)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.filename_lists.is_empty()
    }
}

/// One object, or one list or Table that was asked for as such.
#[derive(Debug, Clone)]
pub(crate) struct Info {
    /// Its type.
    pub(crate) resource: Arc<ResourceType>,
    /// Its namespace; empty where the type has none.
    pub(crate) namespace: String,
    /// Its name; empty for lists.
    pub(crate) name: String,
    /// The file it comes from; empty if it is the server's.
    pub(crate) source: String,
    /// The object; null where only its name is known.
    pub(crate) object: Value,
}

impl Info {
    /// `deployments/web`, as messages name it.
    pub(crate) fn object_name(&self) -> String {
        format!("{}/{}", self.resource.plural, self.name)
    }

    /// Takes over an object that the server gave.
    pub(crate) fn refresh(&mut self, object: Value) {
        if let Some(name) = object["metadata"]["name"].as_str() {
            name.clone_into(&mut self.name);
        }
        if let Some(namespace) = object["metadata"]["namespace"].as_str() {
            namespace.clone_into(&mut self.namespace);
        }
        self.object = object;
    }
}

/// What to do with files: how their objects are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Check {
    /// Not at all.
    #[default]
    None,
    /// `apiVersion` and `kind` must be there, as upstream's validation wants; the server looks at the rest.
    Header,
}

/// What is asked for. Start from [`Selection::default`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// Files.
    pub(crate) filenames: Vec<String>,
    /// Directories with all that is in them.
    pub(crate) recursive: bool,
    /// How objects of files are checked.
    pub(crate) check: Check,
    /// `TYPE NAME…` or `TYPE/NAME…`.
    pub(crate) arguments: Vec<String>,
    /// `-l`.
    pub(crate) label_selector: String,
    /// `--field-selector`.
    pub(crate) field_selector: String,
    /// `--all`: every object of the types.
    pub(crate) all: bool,
    /// `-A`.
    pub(crate) all_namespaces: bool,
    /// A type alone means every object of it.
    pub(crate) type_means_all: bool,
    /// Only names are needed: objects given by name are not read.
    pub(crate) names_only: bool,
    /// Objects of files are read from the server.
    pub(crate) latest: bool,
    /// A subresource of objects given by name.
    pub(crate) subresource: String,
    /// The `Accept` header of reads; JSON if empty.
    pub(crate) accept: String,
    /// Further query parameters of reads.
    pub(crate) parameters: Vec<(String, String)>,
    /// The most objects of one answer; 0 for all at once.
    pub(crate) chunk_size: u64,
    /// More than one type is an error.
    pub(crate) single_type: bool,
    /// Objects stay in the lists that hold them.
    pub(crate) keep_lists: bool,
    /// The first fault ends the selection.
    pub(crate) stop_on_error: bool,
    /// Files are read without asking the server for the kinds.
    pub(crate) local: bool,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selected {
    /// The objects.
    pub(crate) infos: Vec<Info>,
    /// What could not be had.
    pub(crate) errors: Vec<KubectlError>,
    /// The command line means exactly one object.
    pub(crate) single: bool,
}

impl Selected {
    /// The objects, or the error if there is any.
    pub(crate) fn all(self) -> Result<Vec<Info>, KubectlError> {
        KubectlError::all(self.errors)?;
        Ok(self.infos)
    }

    /// The one object that the command line means.
    pub(crate) fn one(self) -> Result<Info, KubectlError> {
        let mut infos = self.all()?;
        if infos.len() == 1 { Ok(infos.remove(0)) } else { Err(KubectlError::new("multiple objects provided")) }
    }
}

impl Selection {
    /// A selection by `-f`, `-R` and arguments.
    pub(crate) fn new(files: &FileFlags, arguments: &[String]) -> Self {
        Self {
            filenames: files.filenames(),
            recursive: files.recursive,
            arguments: arguments.to_vec(),
            ..Self::default()
        }
    }

    /// Finds the objects. Faults of the command line are an `Err`; faults of single objects are in
    /// [`Selected::errors`].
    pub(crate) async fn fetch(&self, context: &Context) -> Result<Selected, KubectlError> {
        let label_selector = self.label_selector.trim();
        let field_selector = self.field_selector.trim();
        if self.all && !(label_selector.is_empty() && field_selector.is_empty()) {
            return Err(KubectlError::new("setting 'all' parameter but found a non empty selector. "));
        }
        if !self.filenames.is_empty() {
            return self.in_files(context, label_selector).await;
        }
        let named = Named::parse(&self.arguments, context).await?;
        let by_selector = self.all
            || !label_selector.is_empty()
            || !field_selector.is_empty()
            || (self.type_means_all && self.arguments.len() == 1 && !named.types.is_empty());
        if by_selector {
            return self.by_selector(context, &named).await;
        }
        self.by_name(context, &named).await
    }

    async fn by_selector(&self, context: &Context, named: &Named) -> Result<Selected, KubectlError> {
        if !named.names.is_empty() {
            return Err(KubectlError::new("name cannot be provided when a selector is specified"));
        }
        if !named.tuples.is_empty() {
            return Err(KubectlError::new(
                "selectors and the all flag cannot be used when passing resource/name arguments",
            ));
        }
        if named.types.is_empty() {
            return Err(KubectlError::new("at least one resource must be specified to use a selector"));
        }
        if !self.subresource.is_empty() {
            return Err(KubectlError::new("subresource cannot be used when bulk resources are specified"));
        }
        let types = named.resolve_types(context, self.single_type).await?;
        let namespace = if self.all_namespaces { "" } else { context.namespace()? };
        let requests = Requests::new(context.client()?);
        let mut selected = Selected::default();
        for resource in types {
            let mut query = ListQuery {
                label_selector: self.label_selector.trim().to_owned(),
                field_selector: self.field_selector.trim().to_owned(),
                limit: self.chunk_size,
                parameters: self.parameters.clone(),
                accept: self.accept.clone(),
                ..ListQuery::default()
            };
            loop {
                let list = match requests.list(&resource, namespace, &query).await {
                    Ok(list) => list,
                    Err(error) => {
                        selected.errors.push(enhance_list_error(error, &query, &resource));
                        break;
                    }
                };
                query.continue_token = list["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
                let namespace = if resource.namespaced { namespace.to_owned() } else { String::new() };
                let resource = resource.clone();
                let info = Info { resource, namespace, name: String::new(), source: String::new(), object: list };
                if self.keep_lists {
                    selected.infos.push(info);
                } else {
                    selected.infos.extend(flatten(info));
                }
                if query.continue_token.is_empty() {
                    break;
                }
            }
        }
        Ok(selected)
    }

    async fn by_name(&self, context: &Context, named: &Named) -> Result<Selected, KubectlError> {
        let pairs = named.resolve_names(context, self.single_type).await?;
        let mut selected = Selected { single: pairs.len() == 1, ..Selected::default() };
        let requests = Requests::new(context.client()?);
        for (resource, name) in pairs {
            let namespace = if resource.namespaced {
                if self.all_namespaces {
                    return Err(KubectlError::new("a resource cannot be retrieved by name across all namespaces"));
                }
                context.namespace()?.to_owned()
            } else {
                String::new()
            };
            let mut info = Info { resource, namespace, name, source: String::new(), object: Value::Null };
            if !self.names_only {
                match requests.get(&info.resource, &info.namespace, &info.name, self).await {
                    Ok(object) => {
                        // A Table has no name of its own.
                        if object["kind"] == "Table" { info.object = object } else { info.refresh(object) }
                    }
                    Err(error) if self.stop_on_error => return Err(error),
                    Err(error) => {
                        selected.errors.push(error);
                        continue;
                    }
                }
            }
            selected.infos.push(info);
        }
        Ok(selected)
    }

    async fn in_files(&self, context: &Context, label_selector: &str) -> Result<Selected, KubectlError> {
        // A file that is not there is told before anything else.
        for name in self.filenames.iter().filter(|name| *name != "-" && !name.contains("://")) {
            expand_paths(name, self.recursive)?;
        }
        let named = Named::parse(&self.arguments, context).await?;
        for (given, text) in [
            (
                !named.types.is_empty(),
                "when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well",
            ),
            (!named.names.is_empty(), "name cannot be provided when a path is specified"),
            (!named.tuples.is_empty(), "resource/name arguments cannot be provided when a path is specified"),
        ] {
            if given {
                return Err(KubectlError::new(text));
            }
        }
        let mut selected = self.read_files(context).await?;
        if !label_selector.is_empty() {
            let selector = Selector::parse(label_selector).map_err(|error| {
                KubectlError::new(format!("the provided selector {label_selector:?} is not valid: {error}"))
            })?;
            selected.infos.retain(|info| selector.matches(&labels_of(&info.object)));
        }
        if self.latest {
            let requests = Requests::new(context.client()?);
            for mut info in std::mem::take(&mut selected.infos) {
                match requests.get(&info.resource, &info.namespace, &info.name, self).await {
                    Ok(object) if object["kind"] == "Table" => info.object = object,
                    Ok(object) => info.refresh(object),
                    Err(error) => {
                        selected.errors.push(error);
                        continue;
                    }
                }
                selected.infos.push(info);
            }
        }
        Ok(selected)
    }
}

/// The items of a list, each with its kind; anything else as it is.
pub(crate) fn flatten(mut list: Info) -> Vec<Info> {
    let is_list = list.object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    let items = list.object.get_mut("items").and_then(Value::as_array_mut).filter(|_| is_list).map(std::mem::take);
    let Some(items) = items else {
        return vec![list];
    };
    let (api_version, kind) = (list.resource.api_version(), list.resource.kind.clone());
    let item = |mut object: Value| {
        // The server leaves out of a list's items what the list says.
        if let Some(fields) = object.as_object_mut() {
            fields.entry("apiVersion").or_insert_with(|| api_version.clone().into());
            fields.entry("kind").or_insert_with(|| kind.clone().into());
        }
        let mut info = Info { object: Value::Null, ..list.clone() };
        info.refresh(object);
        info
    };
    items.into_iter().map(item).collect()
}

/// The labels of an object.
pub(crate) fn labels_of(object: &Value) -> std::collections::BTreeMap<String, String> {
    let labels = object["metadata"]["labels"].as_object();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    labels.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// Upstream's `EnhanceListError`: what was listed, before the server's words.
fn enhance_list_error(error: KubectlError, query: &ListQuery, resource: &ResourceType) -> KubectlError {
    let what = format!("{}/{}, Resource={}", resource.group, resource.version, resource.plural);
    let (labels, fields) = (&query.label_selector, &query.field_selector);
    let about = if labels.is_empty() && fields.is_empty() {
        format!("Unable to list {what:?}")
    } else {
        format!("Unable to find {what:?} that match label selector {labels:?}, field selector {fields:?}")
    };
    match error {
        KubectlError::Request(RestError::Api(mut error)) if matches!(error.code, 400 | 404) => {
            error.message = format!("{about}: {}", error.message);
            error.into()
        }
        KubectlError::Request(RestError::Api(error)) => error.into(),
        other => other,
    }
}

#[cfg(test)]
mod tests;

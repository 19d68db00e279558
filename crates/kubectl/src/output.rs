//! `-o`: how objects are printed (upstream: `cli-runtime/pkg/genericclioptions` and `printers`).

pub(crate) mod columns;
pub(crate) mod kyaml;
pub(crate) mod sort;
pub(crate) mod table;

use std::cell::{Cell, RefCell};

use clap::{ArgAction, Args};
use serde_json::Value;

use crate::error::KubectlError;
use crate::flags::values;
use crate::gotemplate::GoTemplate;
use crate::printer::Printer;
use crate::resource::Info;
use apimachinery::jsonpath::JsonPath;
use columns::{ColumnWriter, CustomColumns};

/// The flags of commands that print objects.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutputFlags {
    /// Output format: json, yaml, kyaml, name, go-template, go-template-file, template, templatefile, jsonpath, jsonpath-as-json, jsonpath-file
    #[arg(long, short)]
    pub(crate) output: Option<String>,
    /// The template of -o go-template and the like, or its file
    #[arg(long)]
    pub(crate) template: Option<String>,
    /// Let templates name fields that are not there
    #[arg(long, value_parser = values::switch, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value = "true")]
    pub(crate) allow_missing_template_keys: bool,
    /// Keep metadata.managedFields in JSON and YAML
    #[arg(long)]
    pub(crate) show_managed_fields: bool,
}

impl Default for OutputFlags {
    fn default() -> Self {
        Self { output: None, template: None, allow_missing_template_keys: true, show_managed_fields: false }
    }
}

/// The formats that every such command has.
const FORMATS: [&str; 11] = [
    "go-template",
    "go-template-file",
    "json",
    "jsonpath",
    "jsonpath-as-json",
    "jsonpath-file",
    "kyaml",
    "name",
    "template",
    "templatefile",
    "yaml",
];

/// Formats that take a template behind `=`.
const TEMPLATE_FORMATS: [&str; 4] = ["go-template", "go-template-file", "template", "templatefile"];
const JSONPATH_FORMATS: [&str; 3] = ["jsonpath", "jsonpath-as-json", "jsonpath-file"];
const COLUMN_FORMATS: [&str; 2] = ["custom-columns", "custom-columns-file"];

/// One way to print.
#[derive(Debug)]
enum Format {
    /// `kind.group/name`, with what was done.
    Name {
        operation: String,
    },
    Json,
    Kyaml,
    Yaml,
    Template(GoTemplate),
    JsonPath(JsonPath),
    Columns(CustomColumns),
}

/// Prints objects one after the other.
#[derive(Debug)]
pub(crate) struct ObjectPrinter {
    format: Format,
    show_managed_fields: bool,
    printed: Cell<usize>,
    columns: RefCell<ColumnWriter>,
}

/// What [`ObjectPrinter`] may print besides the formats that all commands have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extras {
    /// `custom-columns`, `custom-columns-file` and `wide`, which `get` has.
    pub(crate) columns: bool,
    /// `--no-headers`.
    pub(crate) no_headers: bool,
}

impl OutputFlags {
    /// The printer that the flags choose; without `-o`, one that says `kind/name operation`.
    pub(crate) fn printer(&self, operation: &str) -> Result<ObjectPrinter, KubectlError> {
        self.printer_with(operation, Extras::default())
    }

    /// The same with formats that not all commands have.
    pub(crate) fn printer_with(&self, operation: &str, extras: Extras) -> Result<ObjectPrinter, KubectlError> {
        let template = self.template.as_deref().unwrap_or_default();
        let output = self.output.as_deref().unwrap_or_default();
        let output = if output.is_empty() && !template.is_empty() { "go-template" } else { output };
        let format = match output {
            "" => Format::Name { operation: operation.to_owned() },
            "name" => Format::Name { operation: String::new() },
            "json" => Format::Json,
            "kyaml" => Format::Kyaml,
            "yaml" => Format::Yaml,
            other => self.template_format(other, template, extras)?,
        };
        Ok(ObjectPrinter {
            format,
            show_managed_fields: self.show_managed_fields,
            printed: Cell::new(0),
            columns: RefCell::default(),
        })
    }

    fn template_format(&self, output: &str, template: &str, extras: Extras) -> Result<Format, KubectlError> {
        let no_template = || KubectlError::new("template format specified but no template given");
        let split = |formats: &[&'static str]| {
            let (name, inline) = match output.split_once('=').filter(|_| template.is_empty()) {
                Some((name, inline)) => (name, inline),
                None => (output, template),
            };
            formats.iter().find(|format| **format == name).map(|format| (*format, inline.to_owned()))
        };
        if let Some((format, mut text)) = split(&TEMPLATE_FORMATS) {
            if text.is_empty() {
                return Err(no_template());
            }
            if matches!(format, "go-template-file" | "templatefile") {
                text = read_template(&text)?;
            }
            let parsed = GoTemplate::parse(&text);
            let parsed =
                parsed.map_err(|error| KubectlError::new(format!("error parsing template {text}, {error}")))?;
            return Ok(Format::Template(parsed.allow_missing_keys(self.allow_missing_template_keys)));
        }
        if let Some((format, mut text)) = split(&JSONPATH_FORMATS) {
            if text.is_empty() {
                return Err(no_template());
            }
            if format == "jsonpath-file" {
                text = read_template(&text)?;
            }
            let parsed = JsonPath::parse(&text);
            let parsed =
                parsed.map_err(|error| KubectlError::new(format!("error parsing jsonpath {text}, {error}")))?;
            let parsed = parsed.allow_missing_keys(self.allow_missing_template_keys);
            return Ok(Format::JsonPath(parsed.output_json(format == "jsonpath-as-json")));
        }
        if extras.columns
            && let Some((format, text)) = split(&COLUMN_FORMATS)
        {
            if text.is_empty() {
                return Err(KubectlError::new("custom-columns format specified but no custom columns given"));
            }
            if format == "custom-columns-file" {
                let file = std::fs::read_to_string(&text)
                    .map_err(|error| KubectlError::new(format!("error reading template {text}, {error}\n")))?;
                return Ok(Format::Columns(CustomColumns::from_file(&file)?));
            }
            return Ok(Format::Columns(CustomColumns::from_spec(&text, extras.no_headers)?));
        }
        let mut formats: Vec<&str> = FORMATS.to_vec();
        if extras.columns {
            formats.extend(COLUMN_FORMATS);
            formats.push("wide");
        }
        formats.sort_unstable();
        Err(KubectlError::new(format!(
            "unable to match a printer suitable for the output format {output:?}, allowed formats are: {}",
            formats.join(",")
        )))
    }
}

fn read_template(file: &str) -> Result<String, KubectlError> {
    std::fs::read_to_string(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            KubectlError::new(format!("error reading --template {file}, open {file}: no such file or directory"))
        }
        _ => KubectlError::new(format!("error reading --template {file}, open {file}: {error}")),
    })
}

impl ObjectPrinter {
    /// Prints an object or a list.
    pub(crate) fn print(&self, printer: &Printer, object: &Value) -> Result<(), KubectlError> {
        let count = self.printed.replace(self.printed.get() + 1);
        match &self.format {
            Format::Name { operation } => {
                for item in items(object) {
                    printer.line(named(item, operation))?;
                }
                Ok(())
            }
            Format::Json => {
                printer.out(apimachinery::gotext::json_indented(&self.without_managed_fields(object), "    ") + "\n")
            }
            Format::Kyaml => printer.out(kyaml::to_kyaml(&self.without_managed_fields(object))),
            Format::Yaml => {
                if count > 0 {
                    printer.line("---")?;
                }
                printer.out(apimachinery::yaml::to_yaml(&self.without_managed_fields(object)))
            }
            Format::Template(template) => {
                let (text, outcome) = template.print_object(object);
                printer.out(text)?;
                outcome.map_err(|error| KubectlError::new(error.to_string()))
            }
            Format::JsonPath(path) => {
                printer.out(path.print_object(object).map_err(|error| KubectlError::new(error.to_string()))?)
            }
            Format::Columns(columns) => {
                let mut writer = self.columns.borrow_mut();
                if count == 0 {
                    columns.header().into_iter().for_each(|header| writer.row(header));
                }
                for item in items(object) {
                    writer.row(columns.cells(item)?);
                }
                printer.out(writer.flush())
            }
        }
    }

    /// Prints what happened to an object.
    pub(crate) fn print_event(&self, printer: &Printer, kind: &str, object: &Value) -> Result<(), KubectlError> {
        let event = || serde_json::json!({"type": kind, "object": object});
        match &self.format {
            // As upstream has it: one line, with the managed fields.
            Format::Json => printer.line(format!(
                "{{\"type\":{},\"object\":{}}}",
                apimachinery::gotext::json(&kind.into()),
                apimachinery::gotext::json(object)
            )),
            Format::Name { .. } | Format::Columns(_) => self.print(printer, object),
            Format::Kyaml | Format::Yaml | Format::Template(_) | Format::JsonPath(_) => self.print(printer, &event()),
        }
    }

    /// Prints what was done to an object.
    pub(crate) fn print_info(&self, printer: &Printer, info: &Info) -> Result<(), KubectlError> {
        self.print(printer, &info.object)
    }

    fn without_managed_fields(&self, object: &Value) -> Value {
        let mut object = object.clone();
        if !self.show_managed_fields {
            if let Some(list) = object.get_mut("items").and_then(Value::as_array_mut) {
                list.iter_mut().for_each(drop_managed_fields);
            }
            drop_managed_fields(&mut object);
        }
        object
    }
}

fn drop_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

/// The items of a list, else the object itself.
fn items(object: &Value) -> Vec<&Value> {
    let is_list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match object["items"].as_array().filter(|_| is_list) {
        Some(items) => items.iter().collect(),
        None => vec![object],
    }
}

/// `deployment.apps/web created`.
pub(crate) fn named(object: &Value, operation: &str) -> String {
    let name = object["metadata"]["name"].as_str().filter(|name| !name.is_empty()).unwrap_or("<unknown>");
    let kind = object["kind"].as_str().filter(|kind| !kind.is_empty()).unwrap_or("<unknown>").to_lowercase();
    let group = object["apiVersion"].as_str().and_then(|version| version.split_once('/')).map(|(group, _)| group);
    let space = if operation.is_empty() { "" } else { " " };
    match group {
        Some(group) => format!("{kind}.{group}/{name}{space}{operation}"),
        None => format!("{kind}/{name}{space}{operation}"),
    }
}

#[cfg(test)]
mod tests;

//! `kubectl get` (upstream: `kubectl/pkg/cmd/get`).

mod watch;

use clap::{ArgAction, Args};
use http::Method;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::output::columns::ColumnWriter;
use crate::output::sort::sort_by;
use crate::output::table::{TableOptions, TablePrinter, default_table};
use crate::output::{Extras, OutputFlags};
use crate::raw;
use crate::resource::{FileFlags, Info, Selected, Selection};

/// Asks the server for rows instead of objects.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,\
                     application/json";

/// Display one or many resources: a table of the most important fields, or the objects themselves with -o.
#[derive(Debug, Args)]
pub(crate) struct GetCommand {
    /// The types and names
    #[arg(value_name = "TYPE[.VERSION][.GROUP] [NAME | -l label] | TYPE/NAME ...")]
    arguments: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    output: OutputFlags,
    /// Objects of all namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Ask for large lists in parts of this many objects; 0 for all at once
    #[arg(long, value_parser = values::int64, default_value = "500", allow_negative_numbers = true)]
    chunk_size: i64,
    /// Choose by fields, such as metadata.name=web
    #[arg(long)]
    field_selector: Option<String>,
    /// A named object that does not exist is no error
    #[arg(long)]
    ignore_not_found: bool,
    /// Labels to show as columns
    #[arg(long = "label-columns", short = 'L')]
    label_columns: Vec<String>,
    /// No line of headers
    #[arg(long)]
    no_headers: bool,
    /// With --watch or --watch-only: show what happened to each object; those that exist were ADDED
    #[arg(long)]
    output_watch_events: bool,
    /// Print what the server answers to this path
    #[arg(long)]
    raw: Option<String>,
    /// Choose by labels, such as app=web,tier!=db
    #[arg(long, short = 'l')]
    selector: Option<String>,
    /// Let the server make the table
    #[arg(long, value_parser = values::switch, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value = "true")]
    server_print: bool,
    /// Name the type of each object
    #[arg(long)]
    show_kind: bool,
    /// Show all labels in the last column
    #[arg(long)]
    show_labels: bool,
    /// Sort by this field, given as JSONPath
    #[arg(long)]
    sort_by: Option<String>,
    /// The subresource of the named objects
    #[arg(long)]
    subresource: Option<String>,
    /// Go on and show changes
    #[arg(long, short)]
    watch: bool,
    /// Show changes only
    #[arg(long)]
    watch_only: bool,
}

impl GetCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        if let Some(path) = &self.raw {
            return self.print_raw(context, path).await;
        }
        self.validate(context)?;
        if self.watch || self.watch_only {
            return self.run_watch(context).await;
        }
        let mut selected = self.selection().fetch(context).await?;
        if self.ignore_not_found {
            selected.errors.retain(|error| !error.is_not_found());
        }
        if self.is_table() { self.print_tables(context, selected) } else { self.print_objects(context, selected) }
    }

    /// Whether rows are shown, not objects.
    fn is_table(&self) -> bool {
        let output = self.output.output.as_deref().unwrap_or_default();
        (output.is_empty() && self.output.template.as_deref().unwrap_or_default().is_empty()) || output == "wide"
    }

    fn sort_field(&self) -> Option<&str> {
        self.sort_by.as_deref().filter(|field| !field.is_empty())
    }

    fn validate(&self, context: &Context) -> Result<(), KubectlError> {
        let output = self.output.output.as_deref().unwrap_or_default();
        let sorted = self.sort_field().is_some();
        if self.watch && sorted {
            context.printer.err_line("warning: --watch requested, --sort-by will be ignored for watch events received");
        } else if self.watch_only && !self.watch && sorted {
            context.printer.err_line("warning: --watch-only requested, --sort-by will be ignored");
        } else if !self.watch && !self.watch_only && self.arguments.is_empty() && self.files.is_empty() {
            context.printer.err_line(
                "You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of \
                 supported resources.\n",
            );
            return Err(KubectlError::usage(
                &context.command_path,
                "Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description of that \
                 resource (e.g. kubectl explain pods).",
            ));
        }
        if self.show_labels && !matches!(output, "" | "wide") {
            return Err(KubectlError::new(format!("--show-labels option cannot be used with {output} printer")));
        }
        if !self.label_columns.is_empty() && output.starts_with("custom-columns") {
            return Err(KubectlError::new(format!("--label-columns option cannot be used with {output} printer")));
        }
        if self.output_watch_events && !self.watch && !self.watch_only {
            let text = "--output-watch-events option can only be used with --watch or --watch-only";
            return Err(KubectlError::new(text));
        }
        Ok(())
    }

    fn selection(&self) -> Selection {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let table = self.is_table() && self.server_print;
        let mut parameters = Vec::new();
        if table && self.sort_field().is_some() {
            // The field may be anywhere in the object, so the rows must hold it.
            parameters.push(("includeObject".to_owned(), "Object".to_owned()));
        }
        Selection {
            label_selector: text(&self.selector),
            field_selector: text(&self.field_selector),
            all_namespaces: self.all_namespaces,
            type_means_all: true,
            latest: true,
            subresource: text(&self.subresource),
            accept: if table { TABLE.to_owned() } else { String::new() },
            parameters,
            chunk_size: if self.sort_field().is_some() {
                0
            } else {
                u64::try_from(self.chunk_size).unwrap_or_default()
            },
            ..Selection::new(&self.files, &self.arguments)
        }
    }

    async fn print_raw(&self, context: &Context, path: &str) -> Result<(), KubectlError> {
        if !self.arguments.is_empty() {
            return Err(KubectlError::new("arguments may not be passed when --raw is specified"));
        }
        if self.watch || self.watch_only || self.selector.as_ref().is_some_and(|selector| !selector.is_empty()) {
            return Err(KubectlError::new(
                "--raw may not be specified with other flags that filter the server request or alter the output",
            ));
        }
        if self.output.output.as_ref().is_some_and(|output| !output.is_empty()) {
            return Err(KubectlError::new("--raw and --output are mutually exclusive"));
        }
        raw::check_path(path)?;
        raw::send(context, Method::GET, path, None).await
    }

    fn table_options(&self, info: &Info, with_kind: bool) -> TableOptions {
        TableOptions {
            no_headers: self.no_headers,
            wide: self.output.output.as_deref() == Some("wide"),
            with_namespace: self.all_namespaces && info.resource.namespaced,
            kind: if with_kind { info.resource.qualified_kind() } else { String::new() },
            column_labels: values::split_list(&self.label_columns),
            show_labels: self.show_labels,
            event: String::new(),
        }
    }

    fn print_tables(&self, context: &Context, mut selected: Selected) -> Result<(), KubectlError> {
        if let Some(field) = self.sort_field() {
            self.sort_tables(&mut selected.infos, field)?;
        }
        let infos = &selected.infos;
        let type_of = |info: &Info| (info.resource.api_version(), info.resource.kind.clone());
        let several = infos.iter().any(|info| type_of(info) != type_of(&infos[0]));
        let (mut wrote, mut all_namespaced) = (false, !self.all_namespaces);
        let mut rest = infos.as_slice();
        while let Some(first) = rest.first() {
            let count = rest.iter().take_while(|info| type_of(info) == type_of(first)).count();
            let (group, others) = rest.split_at(count);
            rest = others;
            all_namespaced &= first.resource.namespaced;
            let mut writer = ColumnWriter::default();
            let mut table = TablePrinter::new(self.table_options(first, several || self.show_kind));
            for info in group {
                if info.object["kind"] == "Table" {
                    table.print(&info.object, &mut writer);
                } else {
                    table.print(&default_table(&info.object, context.clock.now()), &mut writer);
                }
            }
            let text = writer.flush();
            if text.is_empty() {
                continue;
            }
            // An empty line parts the tables of several types, unless they are read by machines.
            if wrote && !self.no_headers {
                context.printer.line("")?;
            }
            context.printer.out(text)?;
            wrote = true;
        }
        if !wrote && !self.ignore_not_found && selected.errors.is_empty() {
            if all_namespaced {
                context.printer.err_line(format!("No resources found in {} namespace.", context.namespace()?));
            } else {
                context.printer.err_line("No resources found");
            }
        }
        KubectlError::all(selected.errors)
    }

    /// Sorts what was found, and the rows in it. Upstream looks for the field in the Tables themselves where there are
    /// several, and leaves a lone one without the field out.
    fn sort_tables(&self, infos: &mut Vec<Info>, field: &str) -> Result<(), KubectlError> {
        if infos.len() > 1 {
            sort_by(infos, field, |info| &info.object)?;
        }
        infos.retain_mut(|info| match info.object.get_mut("rows").and_then(Value::as_array_mut) {
            Some(rows) => sort_by(rows, field, |row| &row["object"]).is_ok(),
            None => true,
        });
        Ok(())
    }

    fn print_objects(&self, context: &Context, selected: Selected) -> Result<(), KubectlError> {
        let Selected { mut infos, errors, single } = selected;
        if single && !errors.is_empty() {
            return KubectlError::all(errors);
        }
        if infos.is_empty() && self.ignore_not_found {
            return KubectlError::all(errors);
        }
        let objects = self.output.printer_with("", Extras { columns: true, no_headers: self.no_headers })?;
        if single && infos.len() == 1 {
            objects.print(&context.printer, &infos[0].object)?;
            return KubectlError::all(errors);
        }
        if let Some(field) = self.sort_field() {
            sort_by(&mut infos, field, |info| &info.object)?;
        }
        let items: Vec<Value> = infos.into_iter().map(|info| info.object).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items});
        objects.print(&context.printer, &list)?;
        KubectlError::all(errors)
    }
}

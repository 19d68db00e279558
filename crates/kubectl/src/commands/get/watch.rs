//! `kubectl get -w`.

use serde_json::Value;

use super::{GetCommand, TABLE};
use crate::context::Context;
use crate::error::KubectlError;
use crate::output::columns::ColumnWriter;
use crate::output::table::{TablePrinter, default_table};
use crate::output::{Extras, ObjectPrinter};
use crate::resource::{ListQuery, Requests, Selection, flatten};

/// How the objects of a watch are shown.
enum Shown {
    Table(TablePrinter, ColumnWriter),
    Objects(ObjectPrinter),
}

impl Shown {
    /// Prints an object, and before it what happened to it unless `kind` is empty.
    fn print(&mut self, context: &Context, kind: &str, object: &Value) -> Result<(), KubectlError> {
        match self {
            Self::Objects(objects) if kind.is_empty() => objects.print(&context.printer, object),
            Self::Objects(objects) => objects.print_event(&context.printer, kind, object),
            Self::Table(table, writer) => {
                kind.clone_into(&mut table.options.event);
                if object["kind"] == "Table" {
                    table.print(object, writer);
                } else {
                    table.print(&default_table(object, context.clock.now()), writer);
                }
                context.printer.out(writer.flush())
            }
        }
    }
}

impl GetCommand {
    pub(super) async fn run_watch(&self, context: &Context) -> Result<(), KubectlError> {
        let selection =
            Selection { single_type: true, keep_lists: true, stop_on_error: true, chunk_size: 0, ..self.selection() };
        let infos = match selection.fetch(context).await?.all() {
            Err(error) if self.ignore_not_found && error.is_not_found() => return Ok(()),
            other => other?,
        };
        let [info] = infos.as_slice() else {
            return Err(KubectlError::new(
                "watch is only supported on individual resources and resource collections - more than 1 resource was found",
            ));
        };
        let mut shown = if self.is_table() {
            Shown::Table(TablePrinter::new(self.table_options(info, self.show_kind)), ColumnWriter::default())
        } else {
            let extras = Extras { columns: true, no_headers: self.no_headers };
            Shown::Objects(self.output.printer_with("", extras)?)
        };
        let is_list = info.name.is_empty();
        if !self.watch_only {
            for existing in flatten(info.clone()) {
                shown.print(context, if self.output_watch_events { "ADDED" } else { "" }, &existing.object)?;
            }
        }
        // A list says from which revision on; a single object is sent once more, which is then left out.
        let resource_version = if is_list {
            info.object["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned()
        } else {
            "0".to_owned()
        };
        let mut query = ListQuery {
            label_selector: selection.label_selector.clone(),
            field_selector: selection.field_selector.clone(),
            resource_version,
            accept: selection.accept.clone(),
            parameters: selection.parameters.clone(),
            ..ListQuery::default()
        };
        if !is_list {
            query.field_selector = format!("metadata.name={}", info.name);
        }
        debug_assert!(query.accept.is_empty() || query.accept == TABLE);
        let requests = Requests::new(context.client()?);
        let mut events = requests.watch(&info.resource, &info.namespace, &query).await?;
        let mut skip = !is_list;
        while let Some((kind, object)) = events.next().await? {
            if kind == "BOOKMARK" || std::mem::take(&mut skip) {
                continue;
            }
            shown.print(context, if self.output_watch_events { &kind } else { "" }, &object)?;
        }
        Ok(())
    }
}

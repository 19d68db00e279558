//! The server's Tables as text (upstream: `printers.HumanReadablePrinter`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::columns::{ColumnWriter, cell_text};
use crate::resource::labels_of;

/// How a Table is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TableOptions {
    /// No line of headers.
    pub(crate) no_headers: bool,
    /// The columns of lower priority too.
    pub(crate) wide: bool,
    /// The namespace first.
    pub(crate) with_namespace: bool,
    /// `kind.group`, before each name; empty for none.
    pub(crate) kind: String,
    /// `-L`.
    pub(crate) column_labels: Vec<String>,
    /// `--show-labels`.
    pub(crate) show_labels: bool,
    /// What happened to the objects, before everything else; empty for none.
    pub(crate) event: String,
}

/// Prints the Tables of one resource; headers once.
#[derive(Debug, Default)]
pub(crate) struct TablePrinter {
    pub(crate) options: TableOptions,
    /// The columns of the last Table: those of a watch's events come only with the first.
    columns: Vec<Value>,
    printed_headers: bool,
}

impl TablePrinter {
    /// For one resource.
    pub(crate) fn new(options: TableOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Writes a Table's rows.
    pub(crate) fn print(&mut self, table: &Value, writer: &mut ColumnWriter) {
        let empty = Vec::new();
        let columns = table["columnDefinitions"].as_array().unwrap_or(&empty);
        let mut no_headers = self.options.no_headers;
        if self.printed_headers && (columns.is_empty() || *columns == self.columns) {
            no_headers = true;
        }
        if !columns.is_empty() && *columns != self.columns {
            self.columns.clone_from(columns);
            self.printed_headers = false;
        }
        let rows = table["rows"].as_array().unwrap_or(&empty);
        if rows.is_empty() {
            return;
        }
        self.printed_headers = true;
        let visible: Vec<usize> = (0..self.columns.len())
            .filter(|at| self.options.wide || self.columns[*at]["priority"].as_i64().unwrap_or_default() == 0)
            .collect();
        if !no_headers {
            writer.row(self.headers(&visible));
        }
        let name_column =
            self.columns.iter().position(|column| column["format"] == "name" && column["type"] == "string");
        for row in rows {
            writer.row(self.cells(row, &visible, name_column));
        }
    }

    fn headers(&self, visible: &[usize]) -> Vec<String> {
        let mut headers = Vec::new();
        if !self.options.event.is_empty() {
            headers.push("EVENT".to_owned());
        }
        if self.options.with_namespace {
            headers.push("NAMESPACE".to_owned());
        }
        headers.extend(visible.iter().map(|at| self.columns[*at]["name"].as_str().unwrap_or_default().to_uppercase()));
        for label in &self.options.column_labels {
            headers.push(label.rsplit('/').next().unwrap_or(label).to_uppercase());
        }
        if self.options.show_labels {
            headers.push("LABELS".to_owned());
        }
        headers
    }

    fn cells(&self, row: &Value, visible: &[usize], name_column: Option<usize>) -> Vec<String> {
        let mut cells = Vec::new();
        let object = &row["object"];
        if !self.options.event.is_empty() {
            // As wide as the longest, for the rows of a watch come one by one.
            cells.push(format!("{:<8}", self.options.event));
        }
        if self.options.with_namespace {
            cells.push(object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned());
        }
        for at in visible {
            let text = match &row["cells"][*at] {
                Value::Null => String::new(),
                value => shorten(&cell_text(value)),
            };
            let named = name_column == Some(*at) && !self.options.kind.is_empty();
            cells.push(if named { format!("{}/{text}", self.options.kind) } else { text });
        }
        let labels = labels_of(object);
        for key in &self.options.column_labels {
            cells.push(labels.get(key).cloned().unwrap_or_default());
        }
        if self.options.show_labels {
            cells.push(shown_labels(&labels));
        }
        cells
    }
}

/// A cell is one line: what follows a break is cut off.
fn shorten(text: &str) -> String {
    match text.find(['\n', '\r', '\x0c']) {
        Some(at) => format!("{}...", super::columns::escape_terminal(&text[..at])),
        None => super::columns::escape_terminal(text),
    }
}

/// `a=1,b=2`, or `<none>`.
pub(crate) fn shown_labels(labels: &BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return "<none>".to_owned();
    }
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// A Table of objects that the server could not make one of: name and age (upstream's default handler).
pub(crate) fn default_table(object: &Value, now: jiff::Timestamp) -> Value {
    let created =
        object["metadata"]["creationTimestamp"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let age = created.map_or_else(|| "<unknown>".to_owned(), |created| age(now.duration_since(created).as_secs()));
    json!({
        "columnDefinitions": [{"name": "Name", "type": "string", "format": "name"}, {"name": "Age", "type": "string"}],
        "rows": [{"cells": [object["metadata"]["name"], age], "object": object}],
    })
}

/// Upstream's `duration.HumanDuration`: two units at most, the finer one only while it matters.
pub(crate) fn age(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let with = |whole: i64, unit: &str, rest: i64, fine: &str| match rest {
        0 => format!("{whole}{unit}"),
        rest => format!("{whole}{unit}{rest}{fine}"),
    };
    match seconds {
        ..=-2 => "<invalid>".to_owned(),
        -1..=0 => "0s".to_owned(),
        1..=119 => format!("{seconds}s"),
        _ if minutes < 10 => with(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => with(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => with(days, "d", hours % 24, "h"),
        _ if hours < 24 * 365 * 2 => format!("{days}d"),
        _ if hours < 24 * 365 * 8 => with(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(options: TableOptions, expected: Expect) {
        let table = json!({
            "columnDefinitions": [
                {"name": "Name", "type": "string", "format": "name", "priority": 0},
                {"name": "Restarts", "type": "integer", "priority": 0},
                {"name": "Node", "type": "string", "priority": 1}],
            "rows": [
                {"cells": ["web", 3, "n1"], "object": {"metadata": {"namespace": "a", "labels": {"app": "web", "x.y/z": "1"}}}},
                {"cells": ["line\nbreak", 0, null], "object": {"metadata": {"namespace": "b"}}}],
        });
        let mut writer = ColumnWriter::default();
        let mut printer = TablePrinter::new(options);
        printer.print(&table, &mut writer);
        printer.print(&json!({"columnDefinitions": null, "rows": []}), &mut writer);
        expected.assert_eq(&writer.flush());
    }

    #[test]
    fn tables() {
        check(
            TableOptions::default(),
            expect![[r#"
            NAME      RESTARTS
            web       3
            line...   0
        "#]],
        );
        check(
            TableOptions { wide: true, with_namespace: true, kind: "pod".into(), ..TableOptions::default() },
            expect![[r#"
                NAMESPACE   NAME          RESTARTS   NODE
                a           pod/web       3          n1
                b           pod/line...   0          
            "#]],
        );
        check(
            TableOptions {
                show_labels: true,
                column_labels: vec!["x.y/z".into()],
                no_headers: true,
                ..TableOptions::default()
            },
            expect![[r#"
                web       3     1     app=web,x.y/z=1
                line...   0           <none>
            "#]],
        );
    }

    #[test]
    fn ages() {
        let ages: Vec<String> = [-5, 0, 119, 120, 130, 659, 10800, 28799, 28800, 172_800, 700_000, 70_000_000]
            .into_iter()
            .map(age)
            .collect();
        assert_eq!(ages.join(" "), "<invalid> 0s 119s 2m 2m10s 10m 3h 7h59m 8h 2d 8d 2y80d");
    }
}

//! Columns that line up (liggitt's `tabwriter` with upstream's settings), and `-o custom-columns`.

use serde_json::Value;

use crate::error::KubectlError;
use apimachinery::jsonpath::{JsonPath, relaxed};

/// The least width of a column, its padding included.
const WIDTH_MIN: usize = 6;
/// Spaces after the widest cell.
const PADDING: usize = 3;

/// Collects rows and lines them up. Widths are remembered from one flush to the next, so that the rows of a watch stand
/// under those that were printed before.
#[derive(Debug, Default)]
pub(crate) struct ColumnWriter {
    rows: Vec<Vec<String>>,
    remembered: Vec<usize>,
}

impl ColumnWriter {
    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The rows since the last flush as text.
    pub(crate) fn flush(&mut self) -> String {
        let rows = std::mem::take(&mut self.rows);
        // The last cell of a row ends no column.
        for row in &rows {
            for (at, cell) in row.iter().take(row.len().saturating_sub(1)).enumerate() {
                let width = (cell.chars().count() + PADDING).max(WIDTH_MIN);
                match self.remembered.get_mut(at) {
                    Some(known) => *known = (*known).max(width),
                    None => self.remembered.push(width),
                }
            }
        }
        let mut out = String::new();
        for row in rows {
            let last = row.len().saturating_sub(1);
            for (at, cell) in row.iter().enumerate() {
                out.push_str(cell);
                if at < last {
                    let width = self.remembered[at];
                    out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
                }
            }
            out.push('\n');
        }
        out
    }
}

/// Replaces what would disturb a terminal.
pub(crate) fn escape_terminal(text: &str) -> String {
    text.replace('\x1b', "^[").replace('\r', "\\r")
}

/// A value as Go's `fmt.Sprint` shows it.
pub(crate) fn cell_text(value: &Value) -> String {
    apimachinery::gotext::value(&apimachinery::gotext::Any::from_json(value))
}

/// `-o custom-columns`: headers, each with a JSONPath.
#[derive(Debug)]
pub(crate) struct CustomColumns {
    headers: Vec<String>,
    paths: Vec<JsonPath>,
    no_headers: bool,
}

impl CustomColumns {
    fn new(pairs: Vec<(String, String)>, no_headers: bool) -> Result<Self, KubectlError> {
        let mut columns = Self { headers: Vec::new(), paths: Vec::new(), no_headers };
        for (header, path) in pairs {
            let fault = |error: &dyn std::fmt::Display| KubectlError::new(error.to_string());
            let path = relaxed(&path).map_err(|error| fault(&error))?;
            let path = JsonPath::parse(&path).map_err(|error| fault(&error))?;
            columns.headers.push(header);
            columns.paths.push(path.allow_missing_keys(true));
        }
        Ok(columns)
    }

    /// From `HEADER:PATH,HEADER:PATH`.
    pub(crate) fn from_spec(spec: &str, no_headers: bool) -> Result<Self, KubectlError> {
        let mut pairs = Vec::new();
        for part in spec.split(',') {
            let Some((header, path)) = part.split_once(':') else {
                return Err(KubectlError::new(format!(
                    "unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"
                )));
            };
            pairs.push((header.to_owned(), path.to_owned()));
        }
        Self::new(pairs, no_headers)
    }

    /// From a file of two lines: headers and paths.
    pub(crate) fn from_file(text: &str) -> Result<Self, KubectlError> {
        let mut lines = text.lines();
        let mut words = |what: &str| {
            let line = lines.next().ok_or_else(|| {
                KubectlError::new(format!(
                    "invalid template, missing {what} line. Expected format is one line of space separated headers, one \
                     line of space separated column specs."
                ))
            })?;
            Ok::<Vec<String>, KubectlError>(line.split_whitespace().map(str::to_owned).collect())
        };
        let (headers, specs) = (words("header")?, words("spec")?);
        if headers.len() != specs.len() {
            return Err(KubectlError::new(format!(
                "number of headers ({}) and field specifications ({}) don't match",
                headers.len(),
                specs.len()
            )));
        }
        Self::new(headers.into_iter().zip(specs).collect(), false)
    }

    /// The header's row, if there is to be one.
    pub(crate) fn header(&self) -> Option<Vec<String>> {
        (!self.no_headers).then(|| self.headers.clone())
    }

    /// An object's row.
    pub(crate) fn cells(&self, object: &Value) -> Result<Vec<String>, KubectlError> {
        let mut cells = Vec::new();
        for path in &self.paths {
            let found = path.find(object).map_err(|error| KubectlError::new(error.to_string()))?;
            let mut texts = Vec::new();
            if found.first().is_none_or(Vec::is_empty) {
                texts.push("<none>".to_owned());
            }
            texts.extend(found.iter().flatten().map(|value| escape_terminal(&cell_text(value))));
            cells.push(texts.join(","));
        }
        Ok(cells)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_line_up_and_are_remembered() {
        let mut writer = ColumnWriter::default();
        writer.row(row(&["NAME", "READY", "AGE"]));
        writer.row(row(&["a-long-name", "1/1", "5s"]));
        let first = writer.flush();
        writer.row(row(&["b", "", "6s"]));
        let second = writer.flush();
        expect![[r#"
            NAME          READY   AGE
            a-long-name   1/1     5s
            b                     6s
        "#]]
        .assert_eq(&(first + &second));
    }

    #[test]
    fn custom_columns() {
        let columns = CustomColumns::from_spec("N:.metadata.name,X:spec.x,L:{.l[*]}", false).unwrap();
        let object = json!({"metadata": {"name": "a"}, "l": [1, 2.5, "x"]});
        assert_eq!(columns.cells(&object).unwrap(), ["a", "<none>", "1,2.5,x"]);
        let fault = |spec: &str| CustomColumns::from_spec(spec, false).unwrap_err().to_string();
        assert_eq!(fault("N"), "unexpected custom-columns spec: N, expected <header>:<json-path-expr>");
    }
}

//! A type of an OpenAPI v3 document as text, in the layout of upstream's `plaintext` template. Pure.

use serde_json::Value;

/// Values of an enumeration that a list of fields shows.
const ENUM_SHOWN_MAX: usize = 4;

/// A document and how much of it is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Explained<'a> {
    pub(super) document: &'a Value,
    pub(super) recursive: bool,
    /// 0 for all.
    pub(super) max_depth: usize,
}

fn pad(text: &str, amount: usize) -> String {
    let pad = " ".repeat(amount);
    format!("{pad}{}", text.replace('\n', &format!("\n{pad}")))
}

/// Breaks lines at spaces so that none is longer than `limit`, where that is possible.
fn wrap(text: &str, limit: usize) -> String {
    let (mut out, mut line, mut space, mut word) = (String::new(), 0, String::new(), String::new());
    for c in text.chars() {
        match c {
            '\n' => {
                if word.is_empty() {
                    if line + space.len() <= limit {
                        out.push_str(&space);
                    }
                } else {
                    out.push_str(&space);
                    out.push_str(&word);
                    word.clear();
                }
                space.clear();
                out.push('\n');
                line = 0;
            }
            c if c.is_whitespace() && c != '\u{a0}' => {
                if space.is_empty() || !word.is_empty() {
                    line += space.chars().count() + word.chars().count();
                    out.push_str(&space);
                    out.push_str(&word);
                    space.clear();
                    word.clear();
                }
                space.push(c);
            }
            c => {
                word.push(c);
                let length = word.chars().count();
                if line + length + space.chars().count() > limit && length < limit {
                    out.push('\n');
                    line = 0;
                    space.clear();
                }
            }
        }
    }
    if word.is_empty() {
        if line + space.len() <= limit {
            out.push_str(&space);
        }
    } else {
        out.push_str(&space);
        out.push_str(&word);
    }
    out
}

/// The schema of a map's values, if it has one.
fn values_of(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|values| values.is_object())
}

fn text<'v>(schema: &'v Value, key: &str) -> &'v str {
    schema[key].as_str().unwrap_or_default()
}

impl<'a> Explained<'a> {
    /// The kind, then the field that `path` leads to. Where it leads nowhere, what was to be printed up to there comes
    /// with the error.
    pub(super) fn render(
        &self,
        (group, version, kind): (&str, &str, &str),
        path: &[String],
    ) -> (String, Result<(), String>) {
        let schemas = self.document["components"]["schemas"].as_object();
        let is_kind = |schema: &&Value| {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten();
            kinds.into_iter().any(|gvk| gvk["group"] == group && gvk["version"] == version && gvk["kind"] == kind)
        };
        let Some(schema) = schemas.and_then(|schemas| schemas.values().find(is_kind)) else {
            let missing =
                format!("error: GVK map[group:{group} kind:{kind} version:{version}] not found in OpenAPI schema");
            return (String::new(), Err(missing));
        };
        let mut out = String::new();
        if !group.is_empty() {
            out.push_str(&format!("GROUP:      {group}\n"));
        }
        out.push_str(&format!("KIND:       {kind}\nVERSION:    {version}\n\n"));
        let body = self.output(schema, path, &[]);
        if body.is_empty() {
            let field = path.last().map(String::as_str).unwrap_or_default();
            return (out, Err(format!("error: field {field:?} does not exist")));
        }
        (out + &body + "\n", Ok(()))
    }

    /// What a reference points to, else the schema itself.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let pointer = text(schema, "$ref").strip_prefix('#').filter(|pointer| !pointer.is_empty());
        pointer.and_then(|pointer| self.document.pointer(pointer)).unwrap_or(schema)
    }

    /// Follows the path, then describes what is there; nothing if the path leads nowhere.
    fn output(&self, schema: &'a Value, path: &[String], history: &[&'a str]) -> String {
        let reference = text(schema, "$ref");
        let resolved = self.resolve(schema);
        let [first, rest @ ..] = path else { return self.described(resolved) };
        if !reference.is_empty() && history.contains(&reference) {
            return String::new();
        }
        let next: Vec<&str> = history.iter().copied().chain([reference]).collect();
        if let Some(field) = resolved["properties"].get(first) {
            let mut out = String::new();
            if rest.is_empty() {
                out = format!("FIELD: {first} <{}>\n{}\n\n", self.type_of(field), long_enum(field));
            }
            return out + &self.output(field, rest, &[]);
        }
        if let Some(items) = resolved.get("items") {
            return self.output(items, path, &next);
        }
        if let Some(values) = values_of(resolved) {
            return self.output(values, path, &next);
        }
        let alternatives = resolved["allOf"].as_array().into_iter().flatten();
        alternatives.map(|schema| self.output(schema, path, &next)).find(|out| !out.is_empty()).unwrap_or_default()
    }

    fn described(&self, schema: &'a Value) -> String {
        let description = match self.description(schema) {
            text if text.is_empty() => "<empty>".to_owned(),
            text => text,
        };
        let mut out = format!("DESCRIPTION:\n{}\n", pad(&wrap(&description, 76), 4));
        let external = external_docs(&schema["externalDocs"], 0);
        if !external.is_empty() {
            out.push_str(&format!("\n{external}"));
        }
        let mut fields = String::new();
        self.fields(schema, 1, &[], &mut fields);
        if !fields.is_empty() {
            out.push_str(&format!("FIELDS:\n{fields}"));
        }
        out
    }

    /// The description of a schema and of those that it is made of.
    fn description(&self, schema: &'a Value) -> String {
        let resolved = self.resolve(schema);
        let mut out = match text(resolved, "description") {
            "" => String::new(),
            description => format!("{description}\n"),
        };
        let parts = resolved["allOf"].as_array().into_iter().flatten();
        for part in parts.chain(resolved.get("items")).chain(values_of(resolved)) {
            out.push_str(&self.description(part));
        }
        out
    }

    fn fields(&self, schema: &'a Value, level: usize, history: &[&'a str], out: &mut String) {
        let reference = text(schema, "$ref");
        if !reference.is_empty() && history.contains(&reference) {
            return;
        }
        let next: Vec<&str> = history.iter().copied().chain([reference]).collect();
        let resolved = self.resolve(schema);
        for (name, field) in resolved["properties"].as_object().into_iter().flatten() {
            let required = resolved["required"].as_array().is_some_and(|names| names.iter().any(|known| known == name));
            self.field(name, field, level, required, out);
            if self.recursive && (self.max_depth == 0 || level < self.max_depth) {
                self.fields(field, level + 1, &next, out);
            }
        }
        let parts = resolved["allOf"].as_array().into_iter().flatten();
        for part in parts.chain(resolved.get("items")).chain(values_of(resolved)) {
            self.fields(part, level, &next, out);
        }
    }

    fn field(&self, name: &str, field: &'a Value, level: usize, required: bool, out: &mut String) {
        let amount = level * 2;
        out.push_str(&format!("{}\t<{}>", pad(name, amount), self.type_of(field)));
        if required {
            out.push_str(" -required-");
        }
        if let Some(values) = field["enum"].as_array().filter(|values| !values.is_empty()) {
            let mut shown: Vec<String> = values.iter().take(ENUM_SHOWN_MAX).map(enum_text).collect();
            if values.len() > ENUM_SHOWN_MAX {
                shown.push("....".to_owned());
            }
            out.push_str(&format!("\n{}enum: {}", " ".repeat(amount), shown.join(", ")));
        }
        out.push('\n');
        if self.recursive {
            return;
        }
        let description = match text(field, "description") {
            "" => "<no description>",
            description => description,
        };
        out.push_str(&pad(&wrap(description, 78 - amount), amount + 2));
        out.push('\n');
        let external = external_docs(&field["externalDocs"], amount + 2);
        if !external.is_empty() {
            out.push_str(&format!("\n{external}"));
        }
        out.push('\n');
    }

    /// `string`, `[]Container`, `map[string]Quantity`.
    fn type_of(&self, schema: &'a Value) -> String {
        if let Some(items) = schema.get("items") {
            return format!("[]{}", self.type_of(items));
        }
        if let Some(values) = values_of(schema) {
            return format!("map[string]{}", self.type_of(values));
        }
        if let Some([one]) =
            schema["allOf"].as_array().map(Vec::as_slice).filter(|_| schema.get("properties").is_none())
        {
            return self.type_of(one);
        }
        let reference = text(schema, "$ref");
        if reference.is_empty() {
            return match text(schema, "type") {
                "object" | "" => "Object".to_owned(),
                ty => ty.to_owned(),
            };
        }
        match text(self.resolve(schema), "type") {
            "" | "object" => {
                let name = reference.rsplit(['/', '.']).next().unwrap_or_default();
                if name.is_empty() { "Object".to_owned() } else { name.to_owned() }
            }
            ty => ty.to_owned(),
        }
    }
}

fn enum_text(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn long_enum(schema: &Value) -> String {
    match schema["enum"].as_array().filter(|values| !values.is_empty()) {
        Some(values) => {
            let lines: String = values.iter().map(|value| format!("\n    {}", enum_text(value))).collect();
            format!("ENUM:{lines}")
        }
        None => String::new(),
    }
}

fn external_docs(docs: &Value, amount: usize) -> String {
    if !docs.is_object() {
        return String::new();
    }
    let mut out = pad("EXTERNAL DOCS:", amount) + "\n";
    match text(docs, "description") {
        "" => {}
        description => out.push_str(&format!("{}\n", pad(&wrap(description, 76 - amount.min(76)), amount + 4))),
    }
    match text(docs, "url") {
        "" => {}
        url => out.push_str(&format!("{}\n", pad(&format!("URL: {url}"), amount + 4))),
    }
    out
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_type_and_its_fields() {
        let document = json!({"components": {"schemas": {
            "x.v1.Widget": {
                "description": "A widget.", "type": "object", "required": ["spec"],
                "x-kubernetes-group-version-kind": [{"group": "x", "version": "v1", "kind": "Widget"}],
                "properties": {
                    "spec": {"allOf": [{"$ref": "#/components/schemas/x.v1.Spec"}], "description": "What it shall be."},
                    "size": {"type": "string", "enum": ["", "a", "b", "c", "d"]},
                },
            },
            "x.v1.Spec": {"type": "object", "properties": {
                "parts": {"type": "array", "items": {"$ref": "#/components/schemas/x.v1.Spec"}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            }},
        }}});
        let explained = Explained { document: &document, recursive: false, max_depth: 0 };
        let kind = ("x", "v1", "Widget");
        expect![[r#"
            GROUP:      x
            KIND:       Widget
            VERSION:    v1

            DESCRIPTION:
                A widget.
                
            FIELDS:
              size	<string>
              enum: "", a, b, c, ....
                <no description>

              spec	<Spec> -required-
                What it shall be.


        "#]]
        .assert_eq(&explained.render(kind, &[]).0);
        expect![[r#"
            GROUP:      x
            KIND:       Widget
            VERSION:    v1

            FIELD: labels <map[string]string>


            DESCRIPTION:
                <empty>

        "#]]
        .assert_eq(&explained.render(kind, &["spec".into(), "labels".into()]).0);
        expect![[r#"
            GROUP:      x
            KIND:       Widget
            VERSION:    v1

            DESCRIPTION:
                A widget.
                
            FIELDS:
              size	<string>
              enum: "", a, b, c, ....
              spec	<Spec> -required-
                labels	<map[string]string>
                parts	<[]Spec>

        "#]]
        .assert_eq(&Explained { recursive: true, ..explained }.render(kind, &[]).0);
        assert_eq!(explained.render(kind, &["foo".into()]).1.unwrap_err(), "error: field \"foo\" does not exist");
    }

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap("aaa bbb ccc", 7), "aaa bbb\nccc");
        assert_eq!(wrap("aaaaaaaaaa b", 5), "aaaaaaaaaa\nb");
        assert_eq!(wrap("a\n\nb", 5), "a\n\nb");
    }
}

use super::{JsonPath, relaxed};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Corpus {
    data: BTreeMap<String, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    data: String,
    template: String,
    #[serde(default)]
    strict: bool,
    #[serde(default)]
    json: bool,
}

#[derive(Deserialize, Debug, PartialEq)]
struct Outcome {
    template: String,
    #[serde(default)]
    output: String,
    #[serde(default)]
    error: String,
}

/// Every template of the corpus gives what upstream's own code gave.
#[test]
fn templates_give_what_upstream_gives() {
    let corpus = crate::yaml::parse(include_str!("../../golden/jsonpath.yaml")).unwrap().value;
    let corpus: Corpus = serde_json::from_value(corpus).unwrap();
    let expected: Vec<Outcome> = serde_json::from_str(include_str!("../../golden/jsonpath.json")).unwrap();
    assert_eq!(corpus.cases.len(), expected.len(), "regenerate the golden data");
    let mut wrong = Vec::new();
    for (case, expected) in corpus.cases.iter().zip(&expected) {
        let outcome = JsonPath::parse(&case.template)
            .map(|path| path.allow_missing_keys(!case.strict).output_json(case.json))
            .and_then(|path| path.execute(&corpus.data[&case.data]));
        let (output, error) = match outcome {
            Ok(output) => (output, String::new()),
            Err(error) => (String::new(), error.to_string()),
        };
        let outcome = Outcome { template: case.template.clone(), output, error };
        if outcome != *expected {
            wrong.push(format!("ours {outcome:?}\nthem {expected:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_error_shows_template_and_object() {
    let path = JsonPath::parse("{.metadata.name[0]}").unwrap();
    let error = path.print_object(&json!({"metadata": {"name": "x", "n": 1}})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "error executing jsonpath \"{.metadata.name[0]}\": Error executing template: string is not array or slice. Printing \
         more information for debugging the template:\n\ttemplate was:\n\t\t{.metadata.name[0]}\n\tobject given to jsonpath \
         engine was:\n\t\tmap[string]interface {}{\"metadata\":map[string]interface {}{\"n\":1, \"name\":\"x\"}}\n\n\n"
    );
}

#[test]
fn paths_may_be_written_without_braces_and_point() {
    for path in ["spec.x", ".spec.x", "{spec.x}", "{.spec.x}"] {
        assert_eq!(relaxed(path).unwrap(), "{.spec.x}", "{path}");
    }
    assert!(relaxed("{.x}{.y}").is_err());
    assert!(relaxed("{.x").is_err());
}

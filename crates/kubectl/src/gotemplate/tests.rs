use super::GoTemplate;
use serde::Deserialize;
use serde_json::Value;
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
}

#[derive(Deserialize, Debug, PartialEq)]
struct Outcome {
    template: String,
    #[serde(default)]
    output: String,
    #[serde(default)]
    error: String,
}

/// Every template of the corpus gives what upstream's printer gave, errors included.
#[test]
fn templates_give_what_upstream_gives() {
    let corpus = apimachinery::yaml::parse(include_str!("../../golden/gotemplate.yaml")).unwrap().value;
    let corpus: Corpus = serde_json::from_value(corpus).unwrap();
    let expected: Vec<Outcome> = serde_json::from_str(include_str!("../../golden/gotemplate.json")).unwrap();
    assert_eq!(corpus.cases.len(), expected.len(), "regenerate the golden data");
    let mut wrong = Vec::new();
    for (case, expected) in corpus.cases.iter().zip(&expected) {
        let (output, error) = match GoTemplate::parse(&case.template) {
            Ok(template) => {
                let template = template.allow_missing_keys(!case.strict);
                let (output, result) = template.print_object(&corpus.data[&case.data]);
                (output, result.err().map(|error| error.to_string()).unwrap_or_default())
            }
            Err(error) => (String::new(), error.to_string()),
        };
        let outcome = Outcome { template: case.template.clone(), output, error };
        if outcome != *expected {
            let shown = |outcome: &Outcome| format!("{:.150?} / {:?}", outcome.output, outcome.error);
            wrong.push(format!("{:?}\nours {}\nthem {}\n", case.template, shown(&outcome), shown(expected)));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_template_that_calls_itself_without_end_is_an_error() {
    let template = GoTemplate::parse(r#"{{define "T"}}{{template "T" .}}{{end}}{{template "T" .}}"#).unwrap();
    let (_, result) = template.print_object(&Value::Null);
    assert!(result.unwrap_err().to_string().contains("exceeded maximum template depth"));
}

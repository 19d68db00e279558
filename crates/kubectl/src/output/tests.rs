use std::io::Write;
use std::sync::Arc;

use expect_test::{Expect, expect};
use parking_lot::Mutex;
use serde_json::json;

use super::*;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn check(output: &str, expected: Expect) {
    let captured = Captured::default();
    let printer = Printer::new(Box::new(captured.clone()), Box::new(std::io::sink()));
    let flags = OutputFlags { output: (!output.is_empty()).then(|| output.to_owned()), ..OutputFlags::default() };
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "managedFields": [1]}, "spec": {"x": "<&>", "n": [1, true]}});
    let shown = match flags.printer_with("created", Extras { columns: true, no_headers: false }) {
        Ok(objects) => match objects.print(&printer, &object).and_then(|()| objects.print(&printer, &object)) {
            Ok(()) => String::from_utf8(captured.0.lock().clone()).expect("text"),
            Err(error) => error.printed(),
        },
        Err(error) => error.printed(),
    };
    expected.assert_eq(&shown);
}

#[test]
fn formats() {
    check(
        "",
        expect![[r#"
        deployment.apps/web created
        deployment.apps/web created
    "#]],
    );
    check(
        "name",
        expect![[r#"
        deployment.apps/web
        deployment.apps/web
    "#]],
    );
    check(
        "yaml",
        expect![[r#"
            apiVersion: apps/v1
            kind: Deployment
            metadata:
              name: web
            spec:
              "n":
              - 1
              - true
              x: <&>
            ---
            apiVersion: apps/v1
            kind: Deployment
            metadata:
              name: web
            spec:
              "n":
              - 1
              - true
              x: <&>
        "#]],
    );
    check("jsonpath={.spec.n}", expect!["[1,true][1,true]"]);
    check("go-template={{.metadata.name}} ", expect!["web web "]);
    check(
        "custom-columns=NAME:.metadata.name",
        expect![[r#"
        NAME
        web
        web
    "#]],
    );
}

#[test]
fn faults() {
    check(
        "xyz",
        expect![[r#"
            error: unable to match a printer suitable for the output format "xyz", allowed formats are: custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,kyaml,name,template,templatefile,wide,yaml
        "#]],
    );
    check(
        "jsonpath",
        expect![[r#"
        error: template format specified but no template given
    "#]],
    );
    check(
        "go-template-file=/nonexistent",
        expect![[r#"
        error: error reading --template /nonexistent, open /nonexistent: no such file or directory
    "#]],
    );
}

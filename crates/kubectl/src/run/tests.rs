//! Whole command lines against a scripted API server on loopback: what is asked of it, what is printed, how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use expect_test::{Expect, expect};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;

/// Method and path with query, and the answer: status and JSON.
type Script = Vec<(&'static str, u16, Value)>;

/// Answers each request with the first line of the script that fits and is not used up; discovery is always there.
struct Server {
    address: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (asked, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let script = Arc::new(Mutex::new(script));
        let thread = std::thread::spawn({
            let (asked, ended) = (asked.clone(), ended.clone());
            move || {
                let mut connections = Vec::new();
                for stream in listener.incoming() {
                    if ended.load(Ordering::SeqCst) {
                        break;
                    }
                    let (script, asked) = (script.clone(), asked.clone());
                    let stream = stream.expect("a client");
                    connections.push(std::thread::spawn(move || serve(stream, &script, &asked)));
                }
                connections.into_iter().for_each(|connection| connection.join().expect("no panic"));
            }
        });
        Self { address, asked, ended, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: TcpStream, script: &Mutex<Script>, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
    let mut stream = stream;
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if reader.read_line(&mut line).unwrap_or_default() == 0 {
            return;
        }
        let request = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).expect("a header");
            if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            if header.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let (status, answer) = match request.as_str() {
            "GET /api" => (200, discovery("", "v1", &[("configmaps", "configmap", "ConfigMap", "cm")])),
            "GET /apis" => (200, discovery("example.test", "v1", &[("widgets", "widget", "Widget", "wd")])),
            _ => {
                let shown = String::from_utf8_lossy(&body);
                asked.lock().push(format!("{request} {shown}").trim_end().to_owned());
                let mut script = script.lock();
                match script.iter().position(|(known, ..)| *known == request) {
                    Some(at) => {
                        let (_, status, answer) = script.remove(at);
                        (status, answer)
                    }
                    None => (404, apimachinery::ApiError::path_not_found().to_status()),
                }
            }
        };
        let body = answer.to_string();
        let head =
            format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn discovery(group: &str, version: &str, resources: &[(&str, &str, &str, &str)]) -> Value {
    let resource = |(plural, singular, kind, short): &(&str, &str, &str, &str)| {
        json!({"resource": plural, "singularResource": singular, "responseKind": {"kind": kind}, "scope": "Namespaced",
            "shortNames": [short], "verbs": ["get", "list"]})
    };
    let resources: Vec<Value> = resources.iter().map(resource).collect();
    let version = json!({"version": version, "resources": resources});
    json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": group}, "versions": [version]}]})
}

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

/// Runs a line; `files` are written into a directory that `{dir}` in the line names.
fn check(line: &str, files: &[(&str, &str)], script: Script, expected: Expect) {
    let server = Server::start(script);
    let directory = std::env::temp_dir().join(format!("kubectl-test-{}", server.address.port()));
    std::fs::create_dir_all(&directory).expect("a directory");
    for (name, text) in files {
        std::fs::write(directory.join(name), text).expect("a file");
    }
    let line = line.replace("{dir}", &directory.display().to_string());
    let mut arguments = vec!["--server".to_owned(), format!("http://{}", server.address)];
    arguments.extend(line.split(' ').map(str::to_owned));
    let captured = Captured::default();
    let printer = Printer::new(Box::new(captured.clone()), Box::new(captured.clone()));
    let world = World { printer: printer.clone(), clock: Arc::new(SystemClock), environment: Environment::default() };
    let code = match run_in(world, &arguments) {
        Ok(()) => 0,
        Err(error) => {
            printer.err(error.printed());
            error.code()
        }
    };
    std::fs::remove_dir_all(&directory).expect("the directory is ours");
    let asked: String = server.asked.lock().iter().map(|request| format!("> {request}\n")).collect();
    let printed = String::from_utf8(captured.0.lock().clone()).expect("text");
    let shown = format!("{asked}{printed}exit {code}\n").replace(&directory.display().to_string(), "DIR");
    expected.assert_eq(&shown.replace(&server.address.to_string(), "SERVER"));
}

fn config_map(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default", "uid": "u1"}, "data": data})
}

#[test]
fn rows_of_the_server() {
    let table = json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "5"},
        "columnDefinitions": [{"name": "Name", "type": "string", "format": "name"}, {"name": "Data", "type": "integer"}],
        "rows": [{"cells": ["c", 1], "object": {"metadata": {"name": "c"}}}]});
    check(
        "get cm -l a=b",
        &[],
        vec![("GET /api/v1/namespaces/default/configmaps?labelSelector=a%3Db&limit=500", 200, table)],
        expect![[r#"
            > GET /api/v1/namespaces/default/configmaps?labelSelector=a%3Db&limit=500
            NAME   DATA
            c      1
            exit 0
        "#]],
    );
    check(
        "get wd -n x",
        &[],
        vec![(
            "GET /apis/example.test/v1/namespaces/x/widgets?limit=500",
            200,
            json!({
        "kind": "Table", "metadata": {}, "columnDefinitions": [], "rows": []}),
        )],
        expect![[r#"
        > GET /apis/example.test/v1/namespaces/x/widgets?limit=500
        No resources found in x namespace.
        exit 0
    "#]],
    );
}

#[test]
fn apply_creates_then_patches_then_leaves_alone() {
    let file = [("c.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1'}\n")];
    let path = "GET /api/v1/namespaces/default/configmaps/c";
    let missing = apimachinery::ApiError::not_found("", "configmaps", "c").to_status();
    let create =
        "POST /api/v1/namespaces/default/configmaps?fieldManager=kubectl-client-side-apply&fieldValidation=Strict";
    let patch =
        "PATCH /api/v1/namespaces/default/configmaps/c?fieldManager=kubectl-client-side-apply&fieldValidation=Strict";
    check(
        "apply -f {dir}/c.yaml",
        &file,
        vec![(path, 404, missing), (create, 201, config_map(&json!({"a": "1"})))],
        expect![[r#"
            > GET /api/v1/namespaces/default/configmaps/c
            > POST /api/v1/namespaces/default/configmaps?fieldManager=kubectl-client-side-apply&fieldValidation=Strict {"apiVersion":"v1","data":{"a":"1"},"kind":"ConfigMap","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"v1\",\"data\":{\"a\":\"1\"},\"kind\":\"ConfigMap\",\"metadata\":{\"annotations\":{},\"name\":\"c\",\"namespace\":\"default\"}}\n"},"name":"c","namespace":"default"}}
            configmap/c created
            exit 0
        "#]],
    );
    let mut current = config_map(&json!({"a": "0", "b": "2"}));
    let mut applied = config_map(&json!({"a": "0", "c": "3"}));
    crate::write::annotate(&mut applied);
    current["metadata"]["annotations"] = applied["metadata"]["annotations"].clone();
    check(
        "apply -f {dir}/c.yaml",
        &file,
        vec![(path, 200, current), (patch, 200, config_map(&json!({})))],
        expect![[r#"
            > GET /api/v1/namespaces/default/configmaps/c
            > PATCH /api/v1/namespaces/default/configmaps/c?fieldManager=kubectl-client-side-apply&fieldValidation=Strict {"data":{"a":"1","c":null},"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"v1\",\"data\":{\"a\":\"1\"},\"kind\":\"ConfigMap\",\"metadata\":{\"annotations\":{},\"name\":\"c\",\"namespace\":\"default\"}}\n"},"uid":null}}
            configmap/c configured
            exit 0
        "#]],
    );
    let mut same: Value = apimachinery::yaml::parse(file[0].1).expect("YAML").value;
    same["metadata"]["namespace"] = "default".into();
    crate::write::annotate(&mut same);
    check(
        "apply -f {dir}/c.yaml",
        &file,
        vec![(path, 200, same)],
        expect![[r#"
        > GET /api/v1/namespaces/default/configmaps/c
        configmap/c unchanged
        exit 0
    "#]],
    );
}

#[test]
fn delete_waits_for_the_end() {
    let deleted = json!({"kind": "Status", "status": "Success", "details": {"uid": "u1"}});
    let path = "GET /api/v1/namespaces/default/configmaps/c";
    let gone = apimachinery::ApiError::not_found("", "configmaps", "c").to_status();
    check(
        "delete cm c",
        &[],
        vec![("DELETE /api/v1/namespaces/default/configmaps/c", 200, deleted), (path, 404, gone)],
        expect![[r#"
            > DELETE /api/v1/namespaces/default/configmaps/c {"apiVersion":"v1","kind":"DeleteOptions","propagationPolicy":"Background"}
            > GET /api/v1/namespaces/default/configmaps/c
            configmap "c" deleted from default namespace
            exit 0
        "#]],
    );
}

#[test]
fn an_object_of_the_same_name_is_not_waited_for() {
    let deleted = json!({"kind": "Status", "status": "Success", "details": {"uid": "u0"}});
    let path = "GET /api/v1/namespaces/default/configmaps/c";
    check(
        "delete cm/c --now",
        &[],
        vec![("DELETE /api/v1/namespaces/default/configmaps/c", 200, deleted), (path, 200, config_map(&json!({})))],
        expect![[r#"
            > DELETE /api/v1/namespaces/default/configmaps/c {"apiVersion":"v1","gracePeriodSeconds":1,"kind":"DeleteOptions","propagationPolicy":"Background"}
            > GET /api/v1/namespaces/default/configmaps/c
            configmap "c" deleted from default namespace
            exit 0
        "#]],
    );
}

#[test]
fn custom_resources_are_patched_by_merge() {
    let widget = json!({"apiVersion": "example.test/v1", "kind": "Widget", "metadata": {"name": "w"}});
    let path = "/apis/example.test/v1/namespaces/default/widgets/w";
    let answers = vec![
        ("GET /apis/example.test/v1/namespaces/default/widgets/w", 200, widget.clone()),
        ("PATCH /apis/example.test/v1/namespaces/default/widgets/w?fieldManager=kubectl-label", 200, widget),
    ];
    assert!(answers[0].0.ends_with(path));
    // Labels of objects are read twice: once to find them, once for their newest state.
    check(
        "label widget/w a=b",
        &[],
        answers,
        expect![[r#"
        > GET /apis/example.test/v1/namespaces/default/widgets/w
        > PATCH /apis/example.test/v1/namespaces/default/widgets/w?fieldManager=kubectl-label {"metadata":{"labels":{"a":"b"}}}
        widget.example.test/w labeled
        exit 0
    "#]],
    );
}

#[test]
fn the_server_refuses() {
    let forbidden = apimachinery::ApiError::forbidden("", "configmaps", "", "User \"x\" cannot list").to_status();
    check(
        "get cm",
        &[],
        vec![("GET /api/v1/namespaces/default/configmaps?limit=500", 403, forbidden)],
        expect![[r#"
        > GET /api/v1/namespaces/default/configmaps?limit=500
        Error from server (Forbidden): configmaps is forbidden: User "x" cannot list
        exit 1
    "#]],
    );
    check(
        "get cm c -o name",
        &[],
        vec![],
        expect![[r#"
        > GET /api/v1/namespaces/default/configmaps/c
        Error from server (NotFound): the server could not find the requested resource
        exit 1
    "#]],
    );
    check(
        "run --replicas=2",
        &[],
        vec![],
        expect![[r#"
        error: unknown flag: --replicas
        See 'kubectl run --help' for usage.
        exit 1
    "#]],
    );
}

use std::net::Ipv4Addr;

use expect_test::{Expect, expect};
use serde_json::json;

use super::{exposed, table};

fn check(service: &serde_json::Value, scheme: &str, expected: &Expect) {
    let exposed = exposed(service, Ipv4Addr::new(10, 88, 3, 2), scheme);
    let lines: Vec<String> = exposed.ports.iter().map(|port| format!("{} {:?}", port.title, port.url)).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn each_node_port_has_a_url() {
    let service = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {"ports": [
        {"port": 8080, "nodePort": 30080}, {"name": "admin", "port": 9000, "nodePort": 30090}, {"port": 1},
    ]}});
    check(
        &service,
        "http",
        &expect![[r#"
        8080 Some("http://10.88.3.2:30080")
        admin/9000 Some("http://10.88.3.2:30090")
        1 None"#]],
    );
    check(
        &json!({"spec": {"ports": [{"port": 443, "nodePort": 30443}]}}),
        "https",
        &expect![[r#"443 Some("https://10.88.3.2:30443")"#]],
    );
}

#[test]
fn the_table_says_which_services_the_host_does_not_reach() {
    let services = [
        json!({"metadata": {"name": "kubernetes", "namespace": "default"}, "spec": {"ports": [{"port": 443}]}}),
        json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [
            {"name": "http", "port": 80, "nodePort": 30080}, {"port": 81, "nodePort": 30081},
        ]}}),
    ];
    let exposed: Vec<_> =
        services.iter().map(|service| exposed(service, Ipv4Addr::new(10, 88, 3, 2), "http")).collect();
    expect![[r#"
        |-----------|------------|-------------|------------------------|
        | NAMESPACE | NAME       | TARGET PORT | URL                    |
        |-----------|------------|-------------|------------------------|
        | default   | kubernetes |             | No node port           |
        | shop      | web        | http/80     | http://10.88.3.2:30080 |
        |           |            | 81          | http://10.88.3.2:30081 |
        |-----------|------------|-------------|------------------------|
    "#]]
    .assert_eq(&table(&exposed));
}

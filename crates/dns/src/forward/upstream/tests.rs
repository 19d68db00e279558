use std::net::SocketAddr;

use super::Upstreams;

fn servers(upstreams: Upstreams, text: &str) -> Vec<String> {
    let served: SocketAddr = "10.96.0.10:53".parse().expect("an address");
    upstreams.servers(text, &[served]).iter().map(ToString::to_string).collect()
}

#[test]
fn resolv_conf_names_the_servers() {
    let text = "# nameserver 1.1.1.1\nsearch a.example\nnameserver 192.0.2.1\nnameserver 192.0.2.1\nnameserver nonsense\n\
        nameserver 2001:db8::1\noptions ndots:5\n";
    assert_eq!(servers(Upstreams::Own, text), ["192.0.2.1:53", "[2001:db8::1]:53"]);
}

#[test]
fn nobody_asks_himself() {
    let text = "nameserver 127.0.0.53\nnameserver 10.96.0.10\nnameserver ::1\nnameserver 0.0.0.0\n";
    assert!(servers(Upstreams::Own, text).is_empty());
    assert_eq!(servers(Upstreams::Host, text), ["127.0.0.53:53", "[::1]:53", "0.0.0.0:53"]);
}

#[test]
fn three_servers_are_enough() {
    let text: String = (1..6).map(|n| format!("nameserver 192.0.2.{n}\n")).collect();
    assert_eq!(servers(Upstreams::Host, &text).len(), 3);
}

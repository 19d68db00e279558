//! Which ports are meant. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

/// A port here and one of the Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forwarded {
    /// Zero: any that is free.
    pub(super) local: u16,
    pub(super) remote: u16,
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listen {
    pub(super) address: IpAddr,
    /// One of several for `localhost`: enough if the other can be had.
    pub(super) spare: bool,
}

/// The addresses of `--address`, in the order in which they are listened on.
pub(super) fn addresses(given: &[String]) -> Result<Vec<Listen>, String> {
    let mut addresses: Vec<Listen> = Vec::new();
    let mut add = |address: IpAddr, spare: bool| {
        addresses.retain(|known| known.address != address || !spare);
        if !addresses.iter().any(|known| known.address == address) {
            addresses.push(Listen { address, spare });
        }
    };
    for text in given {
        if text == "localhost" {
            add(Ipv4Addr::LOCALHOST.into(), true);
            add(Ipv6Addr::LOCALHOST.into(), true);
        } else {
            add(text.parse().map_err(|_| format!("{text} is not a valid IP"))?, false);
        }
    }
    addresses.sort_by_key(|listen| listen.address.to_string());
    Ok(addresses)
}

/// The local and the remote half of `[LOCAL:]REMOTE`.
fn halves(port: &str) -> (&str, &str) {
    match port.split_once(':') {
        Some((local, remote)) if !remote.contains(':') => (local, remote),
        Some((local, _)) => (local, local),
        None => (port, port),
    }
}

/// What the ports mean for a Pod, whose ports may be named.
pub(super) fn of_pod(ports: &[String], pod: &Value) -> Result<Vec<String>, String> {
    let named = |name: &str| container_port(pod, name);
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let declared = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    refuse_udp(ports, declared, "containerPort", named)?;
    let mut converted = Vec::new();
    for port in ports {
        let (local, remote) = halves(port);
        if remote.is_empty() {
            return Err("remote port cannot be empty".to_owned());
        }
        let number = match remote.parse::<i64>() {
            Ok(_) => remote.to_owned(),
            Err(_) => named(remote)?.to_string(),
        };
        converted.push(if local == remote { number } else { format!("{local}:{number}") });
    }
    Ok(converted)
}

/// What the ports of a Service mean for a Pod behind it.
pub(super) fn of_service(ports: &[String], service: &Value, pod: &Value) -> Result<Vec<String>, String> {
    let name = service["metadata"]["name"].as_str().unwrap_or_default();
    let declared = || service["spec"]["ports"].as_array().into_iter().flatten();
    let named = |wanted: &str| {
        let port = declared().find(|port| port["name"] == wanted).and_then(|port| port["port"].as_i64());
        port.ok_or_else(|| format!("Service '{name}' does not have a named port '{wanted}'"))
    };
    refuse_udp(ports, declared(), "port", named)?;
    let mut translated = Vec::new();
    for port in ports {
        let (local, remote) = halves(port);
        let (number, local) = match remote.parse::<i64>() {
            Ok(number) => (number, local.to_owned()),
            Err(_) => {
                let number = named(remote)?;
                (number, if local == remote { number.to_string() } else { local.to_owned() })
            }
        };
        let found = declared().find(|port| port["port"] == number);
        let found = found.ok_or_else(|| format!("Service {name} does not have a service port {number}"))?;
        let target = match &found["targetPort"] {
            _ if service["spec"]["clusterIP"] == "None" => number,
            Value::String(name) => container_port(pod, name)?,
            target => target.as_i64().filter(|port| *port > 0).unwrap_or(number),
        };
        let target = target.to_string();
        translated.push(if local == target { target } else { format!("{local}:{target}") });
    }
    Ok(translated)
}

fn container_port(pod: &Value, name: &str) -> Result<i64, String> {
    let lists = [&pod["spec"]["containers"], &pod["spec"]["initContainers"]];
    let containers = lists.into_iter().flat_map(|list| list.as_array().into_iter().flatten());
    let mut ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let port = ports.find(|port| port["name"] == name).and_then(|port| port["containerPort"].as_i64());
    let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
    port.ok_or_else(|| format!("Pod '{pod}' does not have a named port '{name}'"))
}

/// Ports that are declared for UDP alone can't be forwarded.
fn refuse_udp<'a>(
    ports: &[String],
    declared: impl Iterator<Item = &'a Value>,
    field: &str,
    named: impl Fn(&str) -> Result<i64, String>,
) -> Result<(), String> {
    let declared: Vec<(&Value, Option<i64>)> = declared.map(|port| (&port["protocol"], port[field].as_i64())).collect();
    for port in ports {
        let remote = halves(port).1;
        let number = remote.parse::<i64>().map_or_else(|_| named(remote), Ok)?;
        let has = |protocol: &str| declared.iter().any(|(p, n)| *p == protocol && *n == Some(number));
        if has("UDP") && !has("TCP") {
            return Err(format!("UDP protocol is not supported for {remote}"));
        }
    }
    Ok(())
}

/// Reads `[LOCAL:]REMOTE`, both numbers by now.
pub(super) fn parse(port: &str) -> Result<Forwarded, String> {
    let (local, remote) = match port.split(':').collect::<Vec<_>>()[..] {
        [port] => (port, port),
        ["", remote] => ("0", remote),
        [local, remote] => (local, remote),
        _ => return Err(format!("invalid port format '{port}'")),
    };
    let number = |what: &str, text: &str| {
        text.parse::<u16>().map_err(|error| {
            let why = match error.kind() {
                std::num::IntErrorKind::PosOverflow => "value out of range",
                _ => "invalid syntax",
            };
            format!("error parsing {what} port '{text}': strconv.ParseUint: parsing {text:?}: {why}")
        })
    };
    match (number("local", local)?, number("remote", remote)?) {
        (_, 0) => Err("remote port must be > 0".to_owned()),
        (local, remote) => Ok(Forwarded { local, remote }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn ports_are_numbers_names_or_pairs() {
        let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [
            {"ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]},
        ]}});
        let of = |ports: &[&str]| of_pod(&words(ports), &pod);
        assert_eq!(of(&["80", "1:http", "http", ":9"]), Ok(words(&["80", "1:8080", "8080", ":9"])));
        assert_eq!(of(&["https"]), Err("Pod 'web' does not have a named port 'https'".to_owned()));
        assert_eq!(of(&["5353:53"]), Err("UDP protocol is not supported for 53".to_owned()));
    }

    #[test]
    fn a_services_port_leads_to_the_port_behind_it() {
        let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [
            {"ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]},
        ]}});
        let service = json!({"metadata": {"name": "shop"}, "spec": {"clusterIP": "10.96.0.9", "ports": [
            {"name": "plain", "port": 80, "targetPort": "http"}, {"port": 443, "targetPort": 8443}, {"port": 90},
        ]}});
        let of = |ports: &[&str]| of_service(&words(ports), &service, &pod);
        assert_eq!(of(&["80", "plain", "1:443", "90"]), Ok(words(&["80:8080", "80:8080", "1:8443", "90"])));
        assert_eq!(of(&["8000"]), Err("Service shop does not have a service port 8000".to_owned()));
        assert_eq!(of(&["secure"]), Err("Service 'shop' does not have a named port 'secure'".to_owned()));
    }

    #[test]
    fn what_is_no_port_is_said() {
        assert_eq!(parse("8888:5000"), Ok(Forwarded { local: 8888, remote: 5000 }));
        assert_eq!(parse(":5000"), Ok(Forwarded { local: 0, remote: 5000 }));
        let said = |text: &str| parse(text).expect_err("it is refused");
        assert_eq!(said("1:0"), "remote port must be > 0");
        assert_eq!(said("1:2:3"), "invalid port format '1:2:3'");
        assert_eq!(
            said("70000"),
            "error parsing local port '70000': strconv.ParseUint: parsing \"70000\": value out of range"
        );
    }

    #[test]
    fn localhost_is_two_addresses_of_which_one_is_enough() {
        let listens = addresses(&words(&["localhost", "10.0.0.1"])).expect("they are addresses");
        let found: Vec<(String, bool)> = listens.iter().map(|l| (l.address.to_string(), l.spare)).collect();
        let wanted = [("10.0.0.1", false), ("127.0.0.1", true), ("::1", true)];
        assert_eq!(found, wanted.map(|(address, spare)| (address.to_owned(), spare)));
        assert_eq!(addresses(&words(&["host"])), Err("host is not a valid IP".to_owned()));
    }
}

//! What a name in the cluster's domain is about (specification 1.1.0; CoreDNS `plugin/kubernetes/parse.go`).

use hickory_proto::rr::Name;

/// What is asked about. All text is in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The cluster's domain itself.
    Apex,
    /// `dns-version`.
    Version,
    /// `svc` or `pod`: a name that only has others below it.
    Branch,
    /// `NAMESPACE.svc` or `NAMESPACE.pod`.
    Namespace(String),
    /// `SERVICE.NAMESPACE.svc`, perhaps with a part before it.
    Service { namespace: String, service: String, part: Part },
    /// `1-2-3-4.NAMESPACE.pod`.
    Pod { namespace: String, address: String },
    /// No name of this kind exists.
    Nothing,
}

/// Which part of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// `HOSTNAME.SERVICE…`: one endpoint.
    Endpoint(String),
    /// `_PORT._PROTOCOL.SERVICE…`: one port. The underscores may be absent, as in CoreDNS.
    Port { port: String, protocol: String },
}

/// The labels of a name, in lower case; `None` if one is no UTF-8.
pub(crate) fn labels(name: &Name) -> Option<Vec<String>> {
    name.iter().map(|label| std::str::from_utf8(label).ok().map(str::to_ascii_lowercase)).collect()
}

impl Subject {
    /// The subject of the labels that stand before the cluster's domain.
    pub(crate) fn parse(labels: &[String]) -> Self {
        let Some((last, rest)) = labels.split_last() else { return Self::Apex };
        match (last.as_str(), rest) {
            ("dns-version", []) => Self::Version,
            ("svc" | "pod", []) => Self::Branch,
            ("svc" | "pod", [namespace]) => Self::Namespace(namespace.clone()),
            ("pod", [address, namespace]) => Self::Pod { namespace: namespace.clone(), address: address.clone() },
            ("svc", [part @ .., service, namespace]) => {
                let plain = |label: &String| label.strip_prefix('_').unwrap_or(label).to_owned();
                let part = match part {
                    [] => Part::Whole,
                    [hostname] => Part::Endpoint(hostname.clone()),
                    [port, protocol] => Part::Port { port: plain(port), protocol: plain(protocol) },
                    _ => return Self::Nothing,
                };
                Self::Service { namespace: namespace.clone(), service: service.clone(), part }
            }
            _ => Self::Nothing,
        }
    }
}

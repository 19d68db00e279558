//! What the ConfigMap says: what others have written there stays beside this server's own, each thing once.

use serde_json::{Value, json};

/// Where a certificate ends in PEM.
const END: &str = "-----END CERTIFICATE-----\n";

/// Lists, as JSON in texts, and what this server says in each.
const LISTS: [(&str, &str); 5] = [
    ("requestheader-allowed-names", "front-proxy-client"),
    ("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
    ("requestheader-group-headers", "X-Remote-Group"),
    ("requestheader-uid-headers", "X-Remote-Uid"),
    ("requestheader-username-headers", "X-Remote-User"),
];

/// The authorities of this cluster, PEM.
#[derive(Debug)]
pub(super) struct Trust<'a> {
    /// Of users.
    pub(super) client_ca: &'a str,
    /// Of the server, when it speaks to others for a user.
    pub(super) front_proxy_ca: &'a str,
}

/// The ConfigMap's data, from what it is.
pub(super) fn data(current: &Value, trust: &Trust<'_>) -> Value {
    let text = |key: &str| current[key].as_str().unwrap_or_default();
    let mut data = json!({});
    for (key, own) in [("client-ca-file", trust.client_ca), ("requestheader-client-ca-file", trust.front_proxy_ca)] {
        let mut bundle: Vec<&str> = Vec::new();
        for certificate in certificates(text(key)).chain(certificates(own)) {
            if !bundle.contains(&certificate) {
                bundle.push(certificate);
            }
        }
        data[key] = json!(bundle.concat());
    }
    for (key, own) in LISTS {
        // What is no list of words is no use to anybody.
        let mut words: Vec<String> = serde_json::from_str(text(key)).unwrap_or_default();
        words.push(own.to_owned());
        let mut once: Vec<String> = Vec::new();
        for word in words {
            if !once.contains(&word) {
                once.push(word);
            }
        }
        data[key] = json!(json!(once).to_string());
    }
    data
}

fn certificates(bundle: &str) -> impl Iterator<Item = &str> {
    bundle.split_inclusive(END).filter(|certificate| certificate.ends_with(END))
}

#[cfg(test)]
mod tests;

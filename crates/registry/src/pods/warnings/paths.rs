//! Files of one volume that would lie in each other's place: the last one would win, or the volume could not be made.

use serde_json::Value;

use crate::value::{has, list, text};

/// A file and, in a projected volume, whose it is.
#[derive(Clone, PartialEq)]
struct File {
    path: String,
    source: String,
}

impl std::fmt::Display for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.source.as_str() {
            "" => write!(f, "{:?}", self.path),
            source => write!(f, "{:?} ({source})", self.path),
        }
    }
}

impl File {
    fn new(path: &str, source: &str) -> Self {
        Self { path: path.trim_end_matches('/').to_owned(), source: source.to_owned() }
    }

    /// Whether it is the same file as `other`, or in its way.
    fn overlaps(&self, other: &Self) -> bool {
        let (own, theirs) = (format!("{}/", self.path), format!("{}/", other.path));
        !self.path.is_empty() && !other.path.is_empty() && (own.starts_with(&theirs) || theirs.starts_with(&own))
    }
}

/// What is said of `volumes`.
pub(super) fn overlapping(volumes: &[Value]) -> Vec<String> {
    let mut warnings = Vec::new();
    for volume in volumes {
        let name = text(volume, "name");
        for (field, what) in [
            ("configMap", format!("ConfigMap {:?}", text(&volume["configMap"], "name"))),
            ("secret", format!("Secret {:?}", text(&volume["secret"], "secretName"))),
            ("downwardAPI", "DownwardAPI".to_owned()),
        ] {
            let clashes = clashes(items(&volume[field], ""));
            warnings.extend(clashes.iter().map(|clash| sentence(name, &what, clash)));
        }
        if has(volume, "projected") {
            let sources = list(&volume["projected"], "sources");
            let empty =
                sources.iter().filter(|source| source.as_object().is_none_or(|s| s.values().all(Value::is_null)));
            warnings.extend(empty.map(|_| format!("volume {name:?} (Projected) has no sources provided")));
            let clashes = clashes(sources.iter().flat_map(projected).collect());
            warnings.extend(clashes.iter().map(|clash| sentence(name, "Projected", clash)));
        }
    }
    warnings
}

fn sentence(volume: &str, what: &str, clash: &str) -> String {
    format!("volume {volume:?} ({what}): overlapping paths: {clash}")
}

fn items(holder: &Value, source: &str) -> Vec<File> {
    list(holder, "items").iter().map(|item| File::new(text(item, "path"), source)).collect()
}

/// The files of one source of a projected volume.
fn projected(source: &Value) -> Vec<File> {
    let named = |field: &str, word: &str| format!("{word} {:?}", text(&source[field], "name"));
    if !list(&source["configMap"], "items").is_empty() {
        items(&source["configMap"], &named("configMap", "ConfigMap"))
    } else if !list(&source["secret"], "items").is_empty() {
        items(&source["secret"], &named("secret", "Secret"))
    } else if !list(&source["downwardAPI"], "items").is_empty() {
        items(&source["downwardAPI"], "DownwardAPI")
    } else if has(source, "serviceAccountToken") {
        vec![File::new(text(&source["serviceAccountToken"], "path"), "ServiceAccountToken")]
    } else if has(source, "clusterTrustBundle") {
        let bundle = &source["clusterTrustBundle"];
        let name = bundle["name"].as_str().unwrap_or(text(bundle, "signerName"));
        vec![File::new(text(bundle, "path"), &format!("ClusterTrustBundle {name:?}"))]
    } else {
        let certificate = &source["podCertificate"];
        let files = [
            ("certificateChainPath", "PodCertificate chain"),
            ("keyPath", "PodCertificate key"),
            ("credentialBundlePath", "PodCertificate credential bundle"),
        ];
        let used = files.iter().filter(|(field, _)| !text(certificate, field).is_empty());
        used.map(|(field, source)| File::new(text(certificate, field), source)).collect()
    }
}

/// Each file that overlaps an earlier one, with that.
fn clashes(files: Vec<File>) -> Vec<String> {
    let mut clashes = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let earlier = files[..at].iter().filter(|other| file.overlaps(other));
        clashes.extend(earlier.map(|other| format!("{file} with {other}")));
    }
    clashes
}

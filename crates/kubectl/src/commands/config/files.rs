//! The kubeconfig files as they are written, so that what is not understood stays in them. Read as a whole, changed entry
//! by entry in the file where the entry is (upstream: `clientcmd.ModifyConfig`).

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use client::kubeconfig::{Kubeconfig, LoadingRules};
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::KubectlError;

/// One of the lists of named entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct List {
    /// The key of the list.
    pub(super) key: &'static str,
    /// The key of an entry's content.
    pub(super) entry: &'static str,
    /// What it is called in messages.
    pub(super) what: &'static str,
    /// The fields of an entry that hold text.
    pub(super) texts: &'static [&'static str],
    /// The fields that hold bytes, in base64.
    pub(super) bytes: &'static [&'static str],
    /// The fields that are true or false.
    pub(super) switches: &'static [&'static str],
}

/// The clusters.
pub(super) const CLUSTERS: List = List {
    key: "clusters",
    entry: "cluster",
    what: "cluster",
    texts: &["server", "tls-server-name", "certificate-authority", "proxy-url"],
    bytes: &["certificate-authority-data"],
    switches: &["insecure-skip-tls-verify", "disable-compression"],
};
/// The contexts.
pub(super) const CONTEXTS: List = List {
    key: "contexts",
    entry: "context",
    what: "context",
    texts: &["cluster", "user", "namespace"],
    bytes: &[],
    switches: &[],
};
/// The users.
pub(super) const USERS: List = List {
    key: "users",
    entry: "user",
    what: "user",
    texts: &["client-certificate", "client-key", "token", "tokenFile", "as", "as-uid", "username", "password"],
    bytes: &["client-certificate-data", "client-key-data"],
    switches: &[],
};
/// All lists.
pub(super) const LISTS: [List; 3] = [CLUSTERS, CONTEXTS, USERS];

/// The files that count.
#[derive(Debug)]
pub(super) struct Files {
    rules: LoadingRules,
    /// Those that exist, the one that wins first.
    loaded: Vec<(PathBuf, Value)>,
}

impl Files {
    /// Reads them. An explicit file that is missing is an empty one, for it may be about to be made.
    pub(super) fn load(context: &Context) -> Result<Self, KubectlError> {
        let rules = context.loading_rules();
        let mut loaded = Vec::new();
        for path in rules.files() {
            if let Some(value) = Kubeconfig::read_file(path)? {
                loaded.push((path.to_owned(), value));
            }
        }
        Ok(Self { rules, loaded })
    }

    /// Whether `--kubeconfig` named the file.
    pub(super) fn is_explicit(&self) -> bool {
        self.rules.explicit.is_some()
    }

    /// Where new entries go, and what messages name.
    pub(super) fn default_file(&self) -> PathBuf {
        self.rules.default_file().map(Path::to_owned).unwrap_or_default()
    }

    /// The context that is used where none is asked for; empty for none.
    pub(super) fn current_context(&self) -> String {
        let mut currents = self.loaded.iter().filter_map(|(_, file)| file["current-context"].as_str());
        currents.find(|name| !name.is_empty()).unwrap_or_default().to_owned()
    }

    /// The entries by name, the first file's win. Each with the file that it is in.
    pub(super) fn entries(&self, list: List) -> Vec<(String, Map<String, Value>, &Path)> {
        let mut entries: Vec<(String, Map<String, Value>, &Path)> = Vec::new();
        for (path, file) in &self.loaded {
            for item in file[list.key].as_array().into_iter().flatten() {
                let name = item["name"].as_str().unwrap_or_default();
                if !entries.iter().any(|(known, ..)| known == name) {
                    let content = item[list.entry].as_object().cloned().unwrap_or_default();
                    entries.push((name.to_owned(), content, path));
                }
            }
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries
    }

    /// One entry's content.
    pub(super) fn entry(&self, list: List, name: &str) -> Option<Map<String, Value>> {
        self.entries(list).into_iter().find(|(known, ..)| known == name).map(|(_, content, _)| content)
    }

    /// The file that an entry is in, or a new one goes to.
    pub(super) fn home(&self, list: List, name: &str) -> PathBuf {
        let entries = self.entries(list);
        let found = entries.iter().find(|(known, ..)| known == name);
        found.map_or_else(|| self.default_file(), |(_, _, path)| path.to_path_buf())
    }

    /// Writes an entry, or takes it out.
    pub(super) fn set_entry(
        &mut self,
        list: List,
        name: &str,
        content: Option<Map<String, Value>>,
    ) -> Result<(), KubectlError> {
        let path = self.home(list, name);
        self.change(&path, |file| {
            let mut items = file[list.key].as_array().cloned().unwrap_or_default();
            items.retain(|item| item["name"] != name);
            items.extend(content.map(|content| json!({"name": name, list.entry: content})));
            file[list.key] = Value::Array(items);
        })
    }

    /// Makes a context the current one; clears it where `name` is empty.
    pub(super) fn set_current_context(&mut self, name: &str) -> Result<(), KubectlError> {
        if self.current_context() == name {
            return Ok(());
        }
        let path = if name.is_empty() && !self.is_explicit() {
            let sets =
                |(_, file): &&(PathBuf, Value)| file["current-context"].as_str().is_some_and(|name| !name.is_empty());
            self.loaded.iter().find(sets).map_or_else(|| self.default_file(), |(path, _)| path.clone())
        } else {
            self.default_file()
        };
        self.change(&path, |file| file["current-context"] = name.into())
    }

    /// Changes one file and writes it: aside and renamed, so that a crash leaves the old one or the new one.
    fn change(&mut self, path: &Path, change: impl FnOnce(&mut Value)) -> Result<(), KubectlError> {
        let at = match self.loaded.iter().position(|(known, _)| known == path) {
            Some(at) => at,
            None => {
                self.loaded.push((path.to_owned(), json!({})));
                self.loaded.len() - 1
            }
        };
        change(&mut self.loaded[at].1);
        let text = apimachinery::yaml::to_yaml(&whole(&self.loaded[at].1));
        let failed = |error: std::io::Error| KubectlError::new(format!("open {}: {error}", path.display()));
        // A link stays a link: what it points to is replaced.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        let aside = path.with_extension("kubectl-new");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&aside).map_err(failed)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
        std::fs::rename(&aside, &path).map_err(failed)
    }

    /// All files as one.
    pub(super) fn merged(&self) -> Value {
        let mut merged = json!({"current-context": self.current_context()});
        for list in LISTS {
            let item =
                |(name, content, _): (String, Map<String, Value>, &Path)| json!({"name": name, list.entry: content});
            let items: Vec<Value> = self.entries(list).into_iter().map(item).collect();
            merged[list.key] = if items.is_empty() { Value::Null } else { Value::Array(items) };
        }
        whole(&merged)
    }
}

/// A kubeconfig with the keys that upstream always writes, entries sorted by name, empty fields left out.
fn whole(file: &Value) -> Value {
    let mut file = file.clone();
    file["apiVersion"] = "v1".into();
    file["kind"] = "Config".into();
    if !file["current-context"].is_string() {
        file["current-context"] = "".into();
    }
    for list in LISTS {
        let mut items = file[list.key].as_array().cloned().unwrap_or_default();
        items.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
        for item in &mut items {
            let Some(content) = item[list.entry].as_object_mut() else { continue };
            content.retain(|_, value| !matches!(value, Value::Null | Value::Bool(false)) && *value != "");
            // These are always written.
            let always: &[&str] = match list.key {
                "clusters" => &["server"],
                "contexts" => &["cluster", "user"],
                _ => &[],
            };
            for key in always {
                content.entry(*key).or_insert_with(|| "".into());
            }
        }
        file[list.key] = if items.is_empty() { Value::Null } else { Value::Array(items) };
    }
    file
}

/// A path as it is written into a kubeconfig: from the file's directory where it lies below it, else absolute.
pub(super) fn relative_to(file: &Path, path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let directory = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let below = directory.parent().and_then(|directory| absolute.strip_prefix(directory).ok());
    below.unwrap_or(&absolute).display().to_string()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_is_always_written() {
        let file = json!({"clusters": [{"name": "b", "cluster": {"insecure-skip-tls-verify": false}}, {"name": "a"}],
            "preferences": {"colors": true}});
        expect![[r#"
            apiVersion: v1
            clusters:
            - cluster: null
              name: a
            - cluster:
                server: ""
              name: b
            contexts: null
            current-context: ""
            kind: Config
            preferences:
              colors: true
            users: null
        "#]]
        .assert_eq(&apimachinery::yaml::to_yaml(&whole(&file)));
    }

    #[test]
    fn paths_are_relative_below_the_file() {
        assert_eq!(relative_to(Path::new("/home/me/.kube/config"), "/home/me/.kube/tls/ca.crt"), "tls/ca.crt");
        assert_eq!(relative_to(Path::new("/home/me/.kube/config"), "/etc/ca.crt"), "/etc/ca.crt");
    }
}

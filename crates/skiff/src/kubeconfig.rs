//! Writes the cluster into the user's kubeconfig, and takes it out again. What others have in the file stays as it is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::pki::Pki;

/// The user's file: the first of `$KUBECONFIG`, else `~/.kube/config`.
pub(crate) fn path() -> Result<PathBuf> {
    if let Some(list) = std::env::var_os("KUBECONFIG")
        && let Some(first) = std::env::split_paths(&list).find(|p| !p.as_os_str().is_empty())
    {
        return Ok(first);
    }
    let home = std::env::var_os("HOME")
        .context("neither KUBECONFIG nor HOME is set, so there is no place for a kubeconfig")?;
    Ok(PathBuf::from(home).join(".kube/config"))
}

fn load(path: &PathBuf) -> Result<Value> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
    };
    let wrong =
        || format!("{} is not a kubeconfig; mend it, move it away or set KUBECONFIG to another", path.display());
    let value = apimachinery::yaml::parse(&text).with_context(wrong)?.value;
    if value.is_null() {
        return Ok(json!({"apiVersion": "v1", "kind": "Config"}));
    }
    let has_lists = LISTS.iter().all(|list| value[*list].is_null() || value[*list].is_array());
    if value.is_object() && has_lists { Ok(value) } else { bail!(wrong()) }
}

/// Where the parts of a context are.
const LISTS: [&str; 3] = ["clusters", "users", "contexts"];

/// Refuses a file that can't be changed later.
pub(crate) fn check() -> Result<()> {
    load(&path()?).map(drop)
}

fn save(path: &PathBuf, value: &Value) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = || format!("failed to write {}", path.display());
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(failed)?;
    }
    // What a link leads to is changed, and not the link.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    // Written aside and renamed: a crash leaves the old file or the new one.
    let aside = path.with_extension("skiff-new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .with_context(failed)?;
    std::io::Write::write_all(&mut file, apimachinery::yaml::to_yaml(value).as_bytes()).with_context(failed)?;
    std::fs::rename(&aside, path).with_context(failed)
}

fn set(config: &mut Value, list: &str, name: &str, entry: Option<Value>) {
    let mut entries = config[list].as_array().cloned().unwrap_or_default();
    entries.retain(|e| e["name"] != name);
    entries.extend(entry);
    config[list] = Value::Array(entries);
}

/// Adds or renews the context `name` and makes it the current one.
pub(crate) fn add(name: &str, server: &str, pki: &Pki) -> Result<PathBuf> {
    let path = path()?;
    let mut config = load(&path)?;
    let encode = |text: &str| BASE64_STANDARD.encode(text);
    let cluster = json!({"server": server, "certificate-authority-data": encode(&pki.ca)});
    let user = json!({
        "client-certificate-data": encode(&pki.admin.certificate), "client-key-data": encode(&pki.admin.key),
    });
    set(&mut config, "clusters", name, Some(json!({"name": name, "cluster": cluster})));
    set(&mut config, "users", name, Some(json!({"name": name, "user": user})));
    set(&mut config, "contexts", name, Some(json!({"name": name, "context": {"cluster": name, "user": name}})));
    config["current-context"] = json!(name);
    save(&path, &config)?;
    Ok(path)
}

/// Takes the context `name` out again.
pub(crate) fn remove(name: &str) -> Result<()> {
    let path = path()?;
    if !path.exists() {
        return Ok(());
    }
    let mut config = load(&path)?;
    for list in LISTS {
        set(&mut config, list, name, None);
    }
    if config["current-context"] == name {
        config["current-context"] = json!("");
    }
    save(&path, &config)
}

/// Removes what kubectl remembers of the kinds at this address: another cluster may have it next.
pub(crate) fn forget_discovery(api: SocketAddr) -> Result<()> {
    let cache = std::env::var_os("KUBECACHEDIR").map(PathBuf::from);
    let cache = cache.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".kube/cache")));
    let Some(cache) = cache else { return Ok(()) };
    // As kubectl writes a server's address: what may not stand in a file's name is `_`.
    let known = cache.join("discovery").join(api.to_string().replace(':', "_"));
    match std::fs::remove_dir_all(&known) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", known.display()))
        }
        _ => Ok(()),
    }
}

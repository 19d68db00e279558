//! Who a container runs as: numbers and names, looked up in its own `/etc/passwd` and `/etc/group`.

use serde::{Deserialize, Serialize};

/// Whom the pod or the image asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UserRequest {
    /// `user[:group]` with names or numbers; empty means root.
    pub(crate) user: String,
    /// The pod's `runAsGroup`, which wins.
    pub(crate) group: Option<u32>,
    /// The pod's supplemental groups.
    pub(crate) supplemental: Vec<u32>,
    /// Whether groups of the image's `/etc/group` are added.
    pub(crate) merge_groups: bool,
}

/// Whom it runs as.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Further groups, sorted, with `gid` among them.
    pub(crate) groups: Vec<u32>,
    /// Home directory, `/` where unknown.
    pub(crate) home: String,
}

/// A name that the image does not know. The words are runc's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UserError {
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoSuchUser(String),
    #[error("unable to find group {0}: no matching entries in group file")]
    NoSuchGroup(String),
}

fn records(file: &str, fields: usize) -> impl Iterator<Item = Vec<&str>> {
    let lines = file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split(':').collect::<Vec<_>>()).filter(move |record| record.len() >= fields)
}

/// Resolves a request against the contents of the container's files; missing files are empty.
pub(crate) fn resolve(request: &UserRequest, passwd: &str, group: &str) -> Result<User, UserError> {
    let (user, image_group) = match request.user.split_once(':') {
        Some((user, group)) => (user, (!group.is_empty()).then_some(group)),
        None => (request.user.as_str(), None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let entry = records(passwd, 4)
        .find(|entry| entry[0] == user || number.is_some() && entry[2].parse() == Ok(number.unwrap_or(0)));
    let uid = match (number, &entry) {
        (Some(uid), _) => uid,
        (None, Some(entry)) => entry[2].parse().map_err(|_| UserError::NoSuchUser(user.into()))?,
        (None, None) => return Err(UserError::NoSuchUser(user.into())),
    };
    let primary = entry.as_ref().and_then(|entry| entry[3].parse().ok()).unwrap_or(0);
    let gid = match (request.group, image_group) {
        (Some(gid), _) => gid,
        (None, None) => primary,
        (None, Some(name)) => match name.parse() {
            Ok(gid) => gid,
            Err(_) => records(group, 3)
                .find(|entry| entry[0] == name)
                .and_then(|entry| entry[2].parse().ok())
                .ok_or_else(|| UserError::NoSuchGroup(name.into()))?,
        },
    };
    let mut groups = request.supplemental.clone();
    groups.push(gid);
    if request.merge_groups
        && let Some(name) = entry.as_ref().map(|entry| entry[0])
    {
        let member =
            |entry: &Vec<&str>| entry.get(3).is_some_and(|members| members.split(',').any(|m| m.trim() == name));
        groups.extend(records(group, 3).filter(member).filter_map(|entry| entry[2].parse::<u32>().ok()));
    }
    groups.sort_unstable();
    groups.dedup();
    let home = entry.and_then(|entry| entry.get(5).copied()).filter(|home| !home.is_empty()).unwrap_or("/").to_owned();
    Ok(User { uid, gid, groups, home })
}

#[cfg(test)]
mod tests;

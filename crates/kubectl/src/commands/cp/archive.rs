//! Tar archives of a copy.

use std::fs;
use std::io::{Error, Read, Result, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tar::{Archive, Builder, EntryType, Header};

use super::paths::{clean, is_within, join};

/// Writes `source` as `name` with all that is in it.
pub(super) fn pack(source: &str, name: &str, writer: impl Write) -> Result<()> {
    let mut builder = Builder::new(writer);
    builder.follow_symlinks(false);
    append(&mut builder, Path::new(&clean(source)), name)?;
    builder.into_inner()?.flush()
}

fn append(builder: &mut Builder<impl Write>, source: &Path, name: &str) -> Result<()> {
    let metadata = fs::symlink_metadata(source)?;
    let mut header = Header::new_gnu();
    header.set_mode(metadata.mode() & 0o7777);
    header.set_uid(metadata.uid().into());
    header.set_gid(metadata.gid().into());
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
    header.set_size(0);
    if metadata.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(source)?.collect::<Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        if entries.is_empty() {
            header.set_entry_type(EntryType::Directory);
            return builder.append_data(&mut header, name, std::io::empty());
        }
        for entry in entries {
            let file_name = entry.file_name();
            append(builder, &entry.path(), &join(name, &file_name.to_string_lossy()))?;
        }
        return Ok(());
    }
    if metadata.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        return builder.append_link(&mut header, name, fs::read_link(source)?);
    }
    let file = fs::File::open(source)?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(metadata.len());
    builder.append_data(&mut header, name, file.take(metadata.len()))
}

/// Where an archive goes.
#[derive(Debug)]
pub(super) struct Extraction {
    /// What all names begin with, and lose.
    pub(super) prefix: String,
    /// The path that takes its place.
    pub(super) destination: String,
    /// A command that copies symbolic links, too.
    pub(super) symlink_hint: String,
}

/// Unpacks an archive. Nothing is written outside the destination, and no symbolic link is made: `warn` is told.
pub(super) fn extract(plan: &Extraction, reader: impl Read, warn: impl Fn(String)) -> Result<()> {
    let destination = clean(&plan.destination);
    let mut archive = Archive::new(reader);
    let mut has_hinted = false;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some(rest) = name.strip_prefix(&plan.prefix) else {
            return Err(Error::other("tar contents corrupted"));
        };
        let target = join(&plan.destination, rest);
        if !is_within(&destination, &target) {
            warn(format!("warning: file {target:?} is outside target destination, skipping"));
            continue;
        }
        if let Some(parent) = Path::new(&target).parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent)?;
        }
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(&target)?,
            EntryType::Symlink => {
                let link = entry.link_name_bytes().unwrap_or_default();
                let link = String::from_utf8_lossy(&link).into_owned();
                let hint =
                    if has_hinted { String::new() } else { format!(" (consider using \"{}\")", plan.symlink_hint) };
                has_hinted = true;
                warn(format!("warning: skipping symlink: {target:?} -> {link:?}{hint}"));
            }
            _ => {
                let mut file = fs::File::create(&target)
                    .map_err(|error| Error::new(error.kind(), format!("open {target}: {}", lower(&error))))?;
                std::io::copy(&mut entry, &mut file)?;
            }
        }
    }
    Ok(())
}

/// An error in the words of the C library, as Go prints it.
fn lower(error: &Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

//! Where the data of ConfigMaps and Secrets comes from: literals, files, directories, environment files.

use std::path::Path;

use clap::Args;

use crate::error::KubectlError;
use crate::flags::values;

/// The flags.
#[derive(Debug, Args)]
pub(crate) struct SourceFlags {
    /// Files of KEY=VALUE lines
    #[arg(long = "from-env-file")]
    env_files: Vec<String>,
    /// Files or directories, whose names become keys, or KEY=FILE
    #[arg(long = "from-file")]
    files: Vec<String>,
    /// KEY=VALUE
    #[arg(long = "from-literal")]
    literals: Vec<String>,
}

/// What differs between the kinds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wording<'a> {
    /// `ConfigMap "x"`.
    pub(super) kind: &'a str,
    /// `a ConfigMap`.
    pub(super) article: &'static str,
    /// `env config file cannot be a directory`.
    pub(super) env_directory: &'static str,
    /// Files come before literals.
    pub(super) files_first: bool,
}

/// Keys with their data, in the order in which they were given.
pub(super) type Data = Vec<(String, Vec<u8>)>;

impl SourceFlags {
    /// Only files.
    pub(super) fn of_files(files: Vec<String>) -> Self {
        Self { env_files: Vec::new(), files, literals: Vec::new() }
    }

    /// Reads them all.
    pub(super) fn read(&self, wording: Wording<'_>, is_text: fn(&[u8]) -> bool) -> Result<Data, KubectlError> {
        let env_files = values::split_list(&self.env_files);
        let files = values::split_list(&self.files);
        let others = !files.is_empty() || !self.literals.is_empty();
        if !env_files.is_empty() && others {
            return Err(KubectlError::new("from-env-file cannot be combined with from-file or from-literal"));
        }
        let mut reader = Reader { wording, is_text, data: Vec::new() };
        if wording.files_first {
            reader.files(&files)?;
            reader.literals(&self.literals)?;
        } else {
            reader.literals(&self.literals)?;
            reader.files(&files)?;
        }
        for file in &env_files {
            reader.env_file(file)?;
        }
        Ok(reader.data)
    }
}

struct Reader<'a> {
    wording: Wording<'a>,
    is_text: fn(&[u8]) -> bool,
    data: Data,
}

impl Reader<'_> {
    fn add(&mut self, key: &str, value: Vec<u8>) -> Result<(), KubectlError> {
        let faults = key_faults(key);
        if !faults.is_empty() {
            let Wording { article, .. } = self.wording;
            return Err(KubectlError::new(format!(
                "{key:?} is not a valid key name for {article}: {}",
                faults.join(",")
            )));
        }
        if let Some((_, known)) = self.data.iter().find(|(known, _)| known == key) {
            let field = if (self.is_text)(known) { "Data" } else { "BinaryData" };
            return Err(KubectlError::new(format!(
                "cannot add key {key:?}, another key by that name already exists in {field} for {}",
                self.wording.kind
            )));
        }
        self.data.push((key.to_owned(), value));
        Ok(())
    }

    fn literals(&mut self, literals: &[String]) -> Result<(), KubectlError> {
        for literal in literals {
            match literal.split_once('=') {
                Some((key, value)) if !key.is_empty() => self.add(key, value.as_bytes().to_vec())?,
                _ => return Err(KubectlError::new(format!("invalid literal source {literal}, expected key=value"))),
            }
        }
        Ok(())
    }

    fn files(&mut self, sources: &[String]) -> Result<(), KubectlError> {
        for source in sources {
            let (key, path) = file_source(source)?;
            let metadata = std::fs::metadata(&path).map_err(|error| reading(&path, &error))?;
            if !metadata.is_dir() {
                self.file(&key, Path::new(&path))?;
                continue;
            }
            if source.contains('=') {
                return Err(KubectlError::new("cannot give a key name for a directory path"));
            }
            let listing = |error: std::io::Error| KubectlError::new(format!("error listing files in {path}: {error}"));
            let mut entries: Vec<_> =
                std::fs::read_dir(&path).and_then(Iterator::collect::<Result<_, _>>).map_err(listing)?;
            entries.sort_by_key(std::fs::DirEntry::file_name);
            for entry in entries {
                if entry.file_type().is_ok_and(|ty| ty.is_file()) {
                    self.file(&entry.file_name().to_string_lossy(), &entry.path())?;
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, key: &str, path: &Path) -> Result<(), KubectlError> {
        let data = std::fs::read(path)
            .map_err(|error| KubectlError::new(format!("open {}: {}", path.display(), plain(&error))))?;
        self.add(key, data)
    }

    fn env_file(&mut self, file: &str) -> Result<(), KubectlError> {
        let metadata = std::fs::metadata(file).map_err(|error| reading(file, &error))?;
        if metadata.is_dir() {
            return Err(KubectlError::new(self.wording.env_directory));
        }
        let content =
            std::fs::read(file).map_err(|error| KubectlError::new(format!("open {file}: {}", plain(&error))))?;
        for (at, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let line = std::str::from_utf8(line).map_err(|_| {
                KubectlError::new(format!("env file {file} contains invalid utf8 bytes at line {}: {line:?}", at + 1))
            })?;
            let line = line.strip_suffix('\r').unwrap_or(line);
            let line = if at == 0 { line.trim_start_matches('\u{feff}') } else { line }.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = match line.split_once('=') {
                Some((key, value)) => (key, value.to_owned()),
                // A name alone takes its value from the environment.
                None => (line, std::env::var(line).unwrap_or_default()),
            };
            let faults = variable_faults(key);
            if !faults.is_empty() {
                return Err(KubectlError::new(format!("{key:?} is not a valid key name: {}", faults.join(";"))));
            }
            self.add(key, value.into_bytes())?;
        }
        Ok(())
    }
}

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

fn reading(path: &str, error: &std::io::Error) -> KubectlError {
    KubectlError::new(format!("error reading {path}: {}", plain(error)))
}

/// `FILE` or `KEY=FILE`.
fn file_source(source: &str) -> Result<(String, String), KubectlError> {
    match source.split('=').collect::<Vec<_>>().as_slice() {
        [path] => {
            let base = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
            Ok((base.to_owned(), (*path).to_owned()))
        }
        ["", path] => Err(KubectlError::new(format!("key name for file path {path} missing"))),
        [key, ""] => Err(KubectlError::new(format!("file path for key name {key} missing"))),
        [key, path] => Ok(((*key).to_owned(), (*path).to_owned())),
        _ => Err(KubectlError::new("key names or file paths cannot contain '='")),
    }
}

/// Upstream's `IsConfigMapKey`.
fn key_faults(key: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if key.len() > 253 {
        faults.push("must be no more than 253 characters".to_owned());
    }
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        faults.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    match key {
        "." => faults.push("must not be '.'".to_owned()),
        ".." => faults.push("must not be '..'".to_owned()),
        key if key.starts_with("..") => faults.push("must not start with '..'".to_owned()),
        _ => {}
    }
    faults
}

/// Upstream's `IsEnvVarName`.
pub(crate) fn variable_faults(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let starts_well = !name.starts_with(|c: char| c.is_ascii_digit());
    let is_well = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if name.is_empty() || !is_well || !starts_well {
        faults.push(
            "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must \
             not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is \
             '[-._a-zA-Z][-._a-zA-Z0-9]*')"
                .to_owned(),
        );
    }
    match name {
        "." => faults.push("must not be '.'".to_owned()),
        ".." => faults.push("must not be '..'".to_owned()),
        name if name.starts_with("..") => faults.push("must not start with '..'".to_owned()),
        _ => {}
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_files() {
        let shown = |source: &str| match file_source(source) {
            Ok((key, path)) => format!("{key} {path}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown("dir/a.txt"), "a.txt dir/a.txt");
        assert_eq!(shown("k=a.txt"), "k a.txt");
        assert_eq!(shown("=a.txt"), "key name for file path a.txt missing");
        assert_eq!(shown("k="), "file path for key name k missing");
        assert_eq!(shown("a=b=c"), "key names or file paths cannot contain '='");
    }

    #[test]
    fn keys() {
        assert!(key_faults("a.b_c-D").is_empty());
        assert_eq!(key_faults("..x"), ["must not start with '..'"]);
        assert_eq!(key_faults("a/b").len(), 1);
        assert_eq!(variable_faults("1a").len(), 1);
    }
}

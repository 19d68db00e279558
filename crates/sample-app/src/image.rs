//! The image.

use std::io;
use std::path::Path;

use bytes::Bytes;
use container_runtime::{FileContent, FileEntry};
use cri::ImageConfig;

use crate::dispatch::names;

/// Where the executable is, from the root.
const PROGRAM: &str = "bin/skiff";

/// The configuration and the files of the sample application's image in a version (`v1`, `v2`), for
/// `ImageStore::import_files`. `executable` is skiff's own; it must be static.
///
/// # Errors
/// The executable can't be read.
pub fn image_files(executable: &Path, version: &str) -> io::Result<(ImageConfig, Vec<FileEntry>)> {
    let program = std::fs::read(executable)?;
    let file = |path: &str, mode, content| FileEntry { path: path.to_owned(), mode, uid: 0, gid: 0, content };
    let text = |text: &'static str| FileContent::File(Bytes::from_static(text.as_bytes()));
    let mut files = vec![
        file("bin", 0o755, FileContent::Directory),
        file("etc", 0o755, FileContent::Directory),
        file("root", 0o700, FileContent::Directory),
        file("tmp", 0o1777, FileContent::Directory),
        file("etc/passwd", 0o644, text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")),
        file("etc/group", 0o644, text("root:x:0:\nnobody:x:65534:\n")),
        file(PROGRAM, 0o755, FileContent::File(program.into())),
    ];
    files.extend(names().map(|name| file(&format!("bin/{name}"), 0o777, FileContent::Symlink("skiff".to_owned()))));
    let config = ImageConfig {
        cmd: vec!["/bin/bootcamp".to_owned(), version.to_owned()],
        env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
        exposed_ports: vec!["8080/tcp".to_owned()],
        ..ImageConfig::default()
    };
    Ok((config, files))
}

#[cfg(test)]
mod tests {
    use container_runtime::FileContent;

    use super::image_files;

    #[test]
    fn all_programs_are_links_to_one_file() {
        // Any file will do; this one is there wherever the test runs.
        let executable = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let (config, files) = image_files(&executable, "v2").expect("the file can be read");
        assert_eq!(config.cmd, ["/bin/bootcamp", "v2"]);
        let content = |path: &str| files.iter().find(|file| file.path == path).map(|file| &file.content);
        for program in ["bootcamp", "curl", "sh", "bash", "env", "cat"] {
            let link = content(&format!("bin/{program}"));
            assert_eq!(link, Some(&FileContent::Symlink("skiff".to_owned())), "{program}");
        }
        let bytes = std::fs::read(&executable).expect("the file can be read");
        assert_eq!(content("bin/skiff"), Some(&FileContent::File(bytes.into())));
        let unique: std::collections::BTreeSet<_> = files.iter().map(|file| &file.path).collect();
        assert_eq!(unique.len(), files.len());
    }

    #[test]
    fn a_missing_executable_is_an_error() {
        assert!(image_files(std::path::Path::new("/nonexistent/skiff"), "v1").is_err());
    }
}

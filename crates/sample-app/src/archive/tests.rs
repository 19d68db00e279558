use std::fs;
use std::path::PathBuf;

use super::{Arguments, parse, run};

fn words(line: &str) -> Vec<String> {
    line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[test]
fn kubectls_words_are_understood() {
    let extract = Arguments { extract: true, forget_times: true, file: "-".into(), ..Arguments::default() };
    assert_eq!(parse(&words("-xmf -")), Ok(extract.clone()));
    let into = Arguments { directory: Some("/tmp".into()), forget_permissions: true, ..extract };
    assert_eq!(parse(&words("--no-same-permissions --no-same-owner -xmf - -C /tmp")), Ok(into));
    let create =
        Arguments { create: true, file: "-".into(), paths: vec!["/a".into(), "b".into()], ..Arguments::default() };
    assert_eq!(parse(&words("cf - /a b")), Ok(create));
}

#[test]
fn what_it_does_not_know_is_named() {
    for (line, wanted) in [
        ("", "You must specify one of 'c' and 'x'"),
        ("-xz", "unknown option -- 'z'"),
        ("-cx", "more than one"),
        ("-c", "empty archive"),
        ("-xf", "-f wants a value"),
        ("-x member", "no members"),
    ] {
        let error = parse(&words(line)).expect_err(line);
        assert!(error.contains(wanted), "{line}: {error}");
    }
}

/// A directory that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("skiff-tar-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("from/deep")).expect("the temporary directory takes another");
        fs::create_dir_all(path.join("to")).expect("the temporary directory takes another");
        Self(path)
    }

    fn tar(&self, line: &str) -> Result<(), String> {
        let line = line.replace('@', self.0.to_str().expect("its name is text"));
        run(&parse(&words(&line))?)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_packed_is_unpacked() {
    let scratch = Scratch::new("round");
    fs::write(scratch.0.join("from/deep/file"), "text").expect("written");
    std::os::unix::fs::symlink("deep/file", scratch.0.join("from/link")).expect("linked");
    scratch.tar("-cf @/archive.tar -C @ from").expect("packed");
    scratch.tar("-xmf @/archive.tar -C @/to").expect("unpacked");
    assert_eq!(fs::read_to_string(scratch.0.join("to/from/deep/file")).expect("it is there"), "text");
    let link = fs::read_link(scratch.0.join("to/from/link")).expect("it is a link");
    assert_eq!(link, PathBuf::from("deep/file"));
    let missing = scratch.tar("-cf @/other.tar @/nothing").expect_err("it is not there");
    assert!(missing.ends_with("/nothing: Cannot stat: No such file or directory"), "{missing}");
}

#[test]
fn an_archive_leads_out_of_nowhere() {
    let scratch = Scratch::new("out");
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o644);
    header.as_gnu_mut().expect("it is one").name[..13].copy_from_slice(b"../escape.txt");
    header.set_cksum();
    archive.append(&header, b"text".as_slice()).expect("appended");
    fs::write(scratch.0.join("bad.tar"), archive.into_inner().expect("bytes")).expect("written");
    scratch.tar("-xf @/bad.tar -C @/to").expect("what leads out is left out");
    assert!(!scratch.0.join("escape.txt").exists());
}

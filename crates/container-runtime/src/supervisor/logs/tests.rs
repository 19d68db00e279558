use super::*;

fn lines(chunks: &[&[u8]]) -> Vec<(String, bool)> {
    let mut lines = Lines::default();
    let mut got = vec![];
    let mut emit = |line: &[u8], whole: bool| got.push((String::from_utf8_lossy(line).into_owned(), whole));
    for chunk in chunks {
        lines.push(chunk, &mut emit);
    }
    lines.finish(emit);
    got
}

#[test]
fn streams_become_lines() {
    assert_eq!(
        lines(&[b"a\nb", b"c\n\nd"]),
        [("a".into(), true), ("bc".into(), true), (String::new(), true), ("d".into(), false)]
    );
    let long = "x".repeat(LINE_BYTES_MAX + 5);
    let got = lines(&[long.as_bytes(), b"\n"]);
    assert_eq!(
        got.iter().map(|(line, whole)| (line.len(), *whole)).collect::<Vec<_>>(),
        [(LINE_BYTES_MAX, false), (5, true)]
    );
}

#[test]
fn files_are_put_aside_and_the_oldest_removed() {
    let directory = std::env::temp_dir().join(format!("skiff-log-test-{}", std::process::id()));
    let path = directory.join("c").join("0.log");
    let mut log = Log::open(&path).expect("open");
    let line = vec![b'x'; LINE_BYTES_MAX];
    let mut now = Timestamp::from_second(1_700_000_000).expect("a time");
    for _ in 0..(FILE_BYTES_MAX / line.len() as u64 + 1) * 7 {
        now += jiff::SignedDuration::from_millis(1);
        log.record(now, "stdout", &line, true);
        log.flush(now);
    }
    let old = rotated(&path).expect("list");
    assert_eq!(old.len(), FILES_MAX - 1);
    assert!(old.iter().all(|path| path.to_string_lossy().contains("0.log.20231114-2213")), "{old:?}");
    assert!(path.exists());
    log.record(now, "stderr", b"last", false);
    log.flush(now);
    let text = std::fs::read_to_string(&path).expect("read");
    let last = text.lines().last().expect("a line").to_owned();
    std::fs::remove_dir_all(&directory).expect("clean up");
    assert!(last.starts_with("2023-11-14T22:13:2") && last.ends_with("000000Z stderr P last"), "{last}");
}

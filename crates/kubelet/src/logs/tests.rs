use super::{LogQuery, LogSource};

const LOG: &str = "2026-01-01T00:00:01.5Z stdout F one\n2026-01-01T00:00:02Z stderr F two\n\
                   2026-01-01T00:00:03Z stdout P thr\n2026-01-01T00:00:03Z stdout F ee\n2026-01-01T00:00:04Z stdout F fo";

fn read(query: LogQuery) -> String {
    let path = std::env::temp_dir().join(format!("skiff-log-{}-{:?}", std::process::id(), std::thread::current().id()));
    std::fs::write(&path, LOG).unwrap();
    let mut source = LogSource::open(&path, query).unwrap();
    let mut out = Vec::new();
    while let Some(bytes) = source.read_more().unwrap() {
        out.extend_from_slice(&bytes);
    }
    std::fs::remove_file(&path).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn lines_come_whole_and_without_their_heads() {
    assert_eq!(read(LogQuery::default()), "one\ntwo\nthree\n");
}

#[test]
fn queries_choose() {
    let query = LogQuery::default;
    assert_eq!(read(LogQuery { stream: Some("stderr"), ..query() }), "two\n");
    assert_eq!(read(LogQuery { since: Some("2026-01-01T00:00:02Z".parse().unwrap()), ..query() }), "two\nthree\n");
    assert_eq!(read(LogQuery { tail_lines: Some(2), ..query() }), "three\n");
    assert_eq!(read(LogQuery { limit_bytes: Some(5), ..query() }), "one\nt");
    assert_eq!(read(LogQuery { timestamps: true, limit_bytes: Some(26), ..query() }), "2026-01-01T00:00:01.5Z one");
    assert_eq!(read(LogQuery { tail_lines: Some(0), ..query() }), "");
}

use super::Registry;

#[test]
fn renders_the_text_format() {
    let registry = Registry::new();
    registry.counter("requests_total", "Requests.", &["verb"]).increment(&["get\"x"]);
    registry.gauge("inflight", "Now.", &[]).set(&[], 3);
    let seconds = registry.histogram("seconds", "How long.", &["verb"], &[0.1, 1.0]);
    seconds.observe(&["list"], 0.05);
    seconds.observe(&["list"], 5.0);
    assert_has_the_lines(&registry.render());
}

fn assert_has_the_lines(text: &str) {
    for line in [
        "requests_total{verb=\"get\\\"x\"} 1",
        "inflight 3",
        "seconds_bucket{verb=\"list\",le=\"0.1\"} 1",
        "seconds_bucket{verb=\"list\",le=\"1\"} 1",
        "seconds_bucket{verb=\"list\",le=\"+Inf\"} 2",
        "seconds_count{verb=\"list\"} 2",
    ] {
        assert!(text.lines().any(|l| l == line), "no line {line:?} in\n{text}");
    }
}

//! Lengths of time (Go: `time.Duration.String`).

/// A number of nanoseconds as Go prints a duration: `1m0s`, `1.5s`, `20ms`.
pub fn duration(nanos: i64) -> String {
    let fraction = |nanos: u64, unit: u64| {
        let text = format!("{}.{:0width$}", nanos / unit, nanos % unit, width = unit.ilog10() as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let length = match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => fraction(nanos, 1_000) + "µs",
        1_000_000..1_000_000_000 => fraction(nanos, 1_000_000) + "ms",
        _ => {
            let (minutes, rest) = (nanos / 60_000_000_000, nanos % 60_000_000_000);
            let seconds = fraction(rest, 1_000_000_000) + "s";
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    };
    format!("{sign}{length}")
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn lengths_read_as_gos() {
        let second = 1_000_000_000;
        let cases = [
            (0, "0s"),
            (5, "5ns"),
            (1_500, "1.5µs"),
            (20_000_000, "20ms"),
            (7 * second, "7s"),
            (1_050_000_000, "1.05s"),
            (62 * second + 500_000_000, "1m2.5s"),
            (3600 * second, "1h0m0s"),
            (360_000 * second, "100h0m0s"),
            (-90 * second, "-1m30s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration(nanos), text);
        }
    }
}

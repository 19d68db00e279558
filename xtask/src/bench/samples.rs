//! Durations and the table that shows them.

use std::time::Duration;

/// Measures the time that passes.
#[derive(Debug)]
#[allow(
    clippy::disallowed_types,
    reason = "a benchmark measures real time; there is no runtime whose clock could be paused"
)]
pub(crate) struct Stopwatch(std::time::Instant);

impl Stopwatch {
    #[allow(clippy::disallowed_types, reason = "see the type")]
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// How long one thing took, several times.
#[derive(Debug)]
pub(crate) struct Samples {
    name: String,
    durations: Vec<Duration>,
}

impl Samples {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), durations: Vec::new() }
    }

    pub(crate) fn add(&mut self, duration: Duration) {
        self.durations.push(duration);
    }

    /// The smallest duration that at least `percent` of the samples don't exceed, in milliseconds.
    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.durations.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1000.0)
    }
}

/// The figures in milliseconds, a line each.
pub(crate) fn table(all: &[Samples]) -> String {
    let width = all.iter().map(|samples| samples.name.len()).max().unwrap_or(0);
    let mut text =
        format!("{:width$}  {:>5}  {:>9}  {:>9}  {:>9}  {:>9}\n", "(ms)", "runs", "min", "p50", "p90", "max");
    for samples in all {
        let [min, p50, p90, max] = [0, 50, 90, 100].map(|percent| samples.percentile(percent));
        let (name, runs) = (&samples.name, samples.durations.len());
        text.push_str(&format!("{name:width$}  {runs:>5}  {min:>9.1}  {p50:>9.1}  {p90:>9.1}  {max:>9.1}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let mut samples = Samples::new("waiting");
        (1..=10).rev().for_each(|n| samples.add(Duration::from_millis(n)));
        let table = table(&[samples]);
        let figures: Vec<&str> = table.lines().nth(1).expect("a line").split_whitespace().collect();
        assert_eq!(figures, ["waiting", "10", "1.0", "5.0", "9.0", "10.0"]);
    }
}

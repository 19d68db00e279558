//! Exponential back-off with a ceiling and an optional jitter.

use std::time::Duration;

use crate::Random;

/// Doubles from `initial` to `max`. Whoever holds it resets it after quiet.
#[derive(Debug, Clone)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    /// Up to this share of the delay is added at random: 0.1 adds 0 to 10 %.
    jitter: f64,
    failures: u32,
}

impl Backoff {
    /// A back-off that has seen no failure yet.
    pub fn new(initial: Duration, max: Duration, jitter: f64) -> Self {
        Self { initial, max, jitter, failures: 0 }
    }

    /// Counts a failure and says how long to wait before the next try.
    pub fn next(&mut self, random: &Random) -> Duration {
        let factor = 2u32.saturating_pow(self.failures.min(30));
        self.failures = self.failures.saturating_add(1);
        let delay = self.initial.saturating_mul(factor).min(self.max);
        delay.mul_f64(1.0 + self.jitter * random.unit())
    }

    /// Forgets all failures.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How many failures were counted since the last reset.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests;

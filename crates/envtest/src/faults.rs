//! What goes wrong, how often, and the dice that decide.

use std::time::Duration;

use component_base::Random;
use jiff::SignedDuration;

/// What goes wrong. Shares are between 0 and 1. All of it comes from the seed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Faults {
    /// Each request, and each event of a watch, takes up to this long.
    pub latency_max: Duration,
    /// The share of requests that are answered "unavailable" and not done.
    pub refused: f64,
    /// The share of updates with a resource version that are answered "conflict" and not done.
    pub conflicts: f64,
    /// The share of watch events before which the watch ends.
    pub lost_watches: f64,
    /// The share of watch events instead of which the watch says that its revision is too old.
    pub expired_watches: f64,
    /// A kubelet, chosen at random, is killed and started again about so often.
    pub kubelet_restarts: Option<Duration>,
    /// The power of the control plane fails about so often; it starts from what the disk holds.
    pub crashes: Option<Duration>,
}

impl Faults {
    /// No faults, but nothing takes equally long twice: enough for different seeds to meet different orders of events.
    pub fn jitter() -> Self {
        Self { latency_max: Duration::from_millis(12), ..Self::default() }
    }

    /// How long one part of the cluster may act on what another has changed: a moment, or where lists fail, the longest
    /// wait of a reflector before it lists again, twice.
    pub(crate) fn stale_max(&self) -> SignedDuration {
        SignedDuration::from_secs(if self.refused > 0.0 || self.crashes.is_some() { 60 } else { 5 })
    }

    /// What a seed says: each fault with probability one half, and then now and then or often. Some combinations are
    /// harder than all at once.
    pub fn of_seed(seed: u64) -> Self {
        let dice = Dice::new(Self::default(), seed.rotate_left(32));
        let share = |max: f64| if dice.hits(0.5) { max * dice.random.unit() } else { 0.0 };
        let period = |min: u64, more: u64| {
            dice.hits(0.5).then(|| Duration::from_secs(min) + dice.up_to(Duration::from_secs(more)))
        };
        Self {
            latency_max: Duration::from_millis(1 << dice.random.below(10)),
            refused: share(0.2),
            conflicts: share(0.4),
            lost_watches: share(0.2),
            expired_watches: share(0.1),
            kubelet_restarts: period(2, 20),
            crashes: period(5, 30),
        }
    }
}

/// Faults with the dice.
#[derive(Debug)]
pub(crate) struct Dice {
    pub(crate) faults: Faults,
    random: Random,
}

impl Dice {
    /// The dice of a seed. They are not those of names, so that a fault changes as little else as can be.
    pub(crate) fn new(faults: Faults, seed: u64) -> Self {
        Self { faults, random: Random::from_seed(seed ^ 0x00fa_0175) }
    }

    /// Whether something of this share happens now.
    pub(crate) fn hits(&self, share: f64) -> bool {
        share > 0.0 && self.random.unit() < share
    }

    /// Between nothing and `max`, in whole microseconds.
    pub(crate) fn up_to(&self, max: Duration) -> Duration {
        let micros = u64::try_from(max.as_micros()).unwrap_or(u64::MAX);
        if micros == 0 { Duration::ZERO } else { Duration::from_micros(self.random.below(micros + 1)) }
    }

    /// Between half of `mean` and one and a half of it.
    pub(crate) fn about(&self, mean: Duration) -> Duration {
        mean / 2 + self.up_to(mean)
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap_or(0)
    }

    /// Waits as long as a request takes.
    pub(crate) async fn latency(&self) {
        if !self.faults.latency_max.is_zero() {
            tokio::time::sleep(self.up_to(self.faults.latency_max)).await;
        }
    }
}

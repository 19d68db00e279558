//! When a dead daemon is started again. Pure.

use std::time::Duration;

/// A daemon that lived this long was fine.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// The first pause; each further quick death doubles it.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Quick deaths in a row after which the kept listeners are closed: clients are refused then instead of waiting in vain.
const QUICK_DEATHS_MAX: u32 = 5;

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Restart {
    /// Start it after this.
    pub(super) pause: Duration,
    /// Close the kept listeners.
    pub(super) close_listeners: bool,
}

/// Deaths so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Deaths {
    quick: u32,
}

impl Deaths {
    /// It died after having lived for `lived`. The first death in a row is made good at once.
    pub(super) fn died(&mut self, lived: Duration) -> Restart {
        self.quick = if lived >= HEALTHY_AFTER { 1 } else { self.quick + 1 };
        let pause = match self.quick {
            1 => Duration::ZERO,
            n => PAUSE_MIN.saturating_mul(1 << (n - 2).min(16)).min(PAUSE_MAX),
        };
        Restart { pause, close_listeners: self.quick >= QUICK_DEATHS_MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_deaths_back_off_and_a_long_life_forgives() {
        let mut deaths = Deaths::default();
        let quick: Vec<(u128, bool)> = (0..9)
            .map(|_| deaths.died(Duration::from_secs(1)))
            .map(|restart| (restart.pause.as_millis(), restart.close_listeners))
            .collect();
        assert_eq!(quick[..6], [(0, false), (100, false), (200, false), (400, false), (800, true), (1600, true)]);
        assert_eq!(quick[8], (10_000, true));
        let restart = deaths.died(Duration::from_secs(11));
        assert_eq!(restart, Restart { pause: Duration::ZERO, close_listeners: false });
    }
}

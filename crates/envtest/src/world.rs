//! What all parts of a simulated cluster share.

use std::sync::Arc;

use component_base::{Clock, Random, SimulatedClock, Supervisor};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::api_servers::SimulatedApiServers;
use crate::event_log::EventLog;
use crate::faults::Dice;
use crate::invariants::Invariants;
use crate::options::Options;
use crate::volumes::SimulatedVolumes;
use crate::webhooks::SimulatedWebhooks;

/// When every run begins: seconds since the epoch of 2026-01-01T00:00:00Z.
const BEGIN_SECONDS: i64 = 1_767_225_600;

/// Clock, randomness, tasks, and who watches.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<Random>,
    pub(crate) supervisor: Supervisor,
    pub(crate) dice: Arc<Dice>,
    pub(crate) log: Arc<EventLog>,
    pub(crate) invariants: Arc<Mutex<Invariants>>,
    pub(crate) webhooks: Arc<SimulatedWebhooks>,
    pub(crate) api_servers: Arc<SimulatedApiServers>,
    pub(crate) volumes: Arc<SimulatedVolumes>,
}

impl World {
    /// A world that begins now. Call it inside a runtime whose time is paused.
    pub(crate) fn new(options: &Options, log: Arc<EventLog>) -> Self {
        let begin = Timestamp::from_second(BEGIN_SECONDS).expect("2026 is a time");
        Self {
            clock: Arc::new(SimulatedClock::starting_at(begin)),
            random: Arc::new(Random::from_seed(options.seed)),
            supervisor: Supervisor::inline(),
            dice: Arc::new(Dice::new(options.faults.clone(), options.seed)),
            log,
            webhooks: Arc::default(),
            api_servers: Arc::default(),
            volumes: Arc::new(SimulatedVolumes::new(options.seed)),
            invariants: Arc::new(Mutex::new(Invariants::new(options.guard_availability, options.faults.stale_max()))),
        }
    }

    /// Writes a note into the log.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.log.note(self.clock.now(), text.into());
    }
}

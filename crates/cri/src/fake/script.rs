//! What fake containers do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{ExecOutput, ExitReason, PodSandboxMetadata};

/// Which containers a script is for; everything given has to match. The script added last wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// The pod's namespace.
    pub namespace: Option<String>,
    /// Start of the pod's name, so that it fits the pods of a Deployment.
    pub pod_prefix: Option<String>,
    /// The container's name.
    pub container: Option<String>,
    /// Image as the user wrote it.
    pub image: Option<String>,
}

impl Selector {
    pub(super) fn matches(&self, pod: &PodSandboxMetadata, container: &str, image: &str) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *namespace == pod.namespace)
            && self.pod_prefix.as_ref().is_none_or(|prefix| pod.name.starts_with(prefix.as_str()))
            && self.container.as_deref().is_none_or(|name| name == container)
            && self.image.as_deref().is_none_or(|name| name == image)
    }
}

/// A container that ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedExit {
    /// How long after its start.
    pub after: Duration,
    /// With which code.
    pub code: i32,
    /// Why; `OomKilled` to play want of memory.
    pub reason: ExitReason,
}

/// What a container does with its stop signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnStop {
    /// Exits.
    Exit {
        /// How long after the signal.
        after: Duration,
        /// With which code.
        code: i32,
    },
    /// Nothing: it is killed when its grace period ends, exit code 137.
    Ignore,
}

/// Answers an exec (and so an exec probe).
pub type ExecHandler = Arc<dyn Fn(&[String]) -> ExecOutput + Send + Sync>;

/// What a container does.
#[derive(Clone)]
pub struct Script {
    /// How long `start_container` takes.
    pub start_latency: Duration,
    /// `start_container` fails with this text.
    pub start_error: Option<String>,
    /// It ends by itself; none means it runs until stopped.
    pub exit: Option<ScriptedExit>,
    /// What it does with its stop signal.
    pub on_stop: OnStop,
    /// Answers exec; none means exit code 0 and no output.
    pub exec: Option<ExecHandler>,
    /// Cores in thousandths that it uses while it runs.
    pub cpu_milli: u64,
    /// Working set in bytes.
    pub memory_bytes: u64,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            start_latency: Duration::ZERO,
            start_error: None,
            exit: None,
            on_stop: OnStop::Exit { after: Duration::ZERO, code: 0 },
            exec: None,
            cpu_milli: 1,
            memory_bytes: 4 << 20,
        }
    }
}

impl Script {
    /// A container that exits with `code` after `after`.
    #[must_use]
    pub fn exits(after: Duration, code: i32) -> Self {
        let reason = if code == 0 { ExitReason::Completed } else { ExitReason::Error };
        Self { exit: Some(ScriptedExit { after, code, reason }), ..Self::default() }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("start_latency", &self.start_latency)
            .field("start_error", &self.start_error)
            .field("exit", &self.exit)
            .field("on_stop", &self.on_stop)
            .finish_non_exhaustive()
    }
}

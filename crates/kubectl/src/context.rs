//! What every command is given: the server, the namespace, the kinds, output and time. All is made when it is first
//! asked for, so that commands which need no server never look for one.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use client::kubeconfig::{Environment, Kubeconfig, LoadingRules, Resolved};
use client::rest::{Exchange, RestObserver};
use client::{RestClient, RestConfig};
use component_base::{Clock, Supervisor};
use parking_lot::Mutex;

use crate::cli::GlobalFlags;
use crate::discovery::{Mapper, ResourceType};
use crate::error::KubectlError;
use crate::printer::Printer;

/// From this verbosity on requests are logged.
const LOG_REQUESTS: i32 = 6;

/// One run of a command.
#[derive(Debug)]
pub(crate) struct Context {
    /// The global flags.
    pub(crate) flags: GlobalFlags,
    /// Where output goes.
    pub(crate) printer: Printer,
    /// Wall time.
    pub(crate) clock: Arc<dyn Clock>,
    /// What the process' environment says.
    pub(crate) environment: Environment,
    /// `kubectl get`: how messages name the command.
    pub(crate) command_path: String,
    /// The command as it was given: what `--record` keeps.
    pub(crate) cause: String,
    /// How many arguments stood before `--`, if it was there.
    pub(crate) before_dash: Option<usize>,
    /// For tasks beside the command. They end with it.
    pub(crate) supervisor: Supervisor,
    observer: Arc<Observer>,
    resolved: OnceCell<Resolved>,
    client: OnceCell<RestClient>,
    mapper: tokio::sync::OnceCell<Mapper>,
}

/// What [`Context::new`] is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) flags: GlobalFlags,
    pub(crate) printer: Printer,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) environment: Environment,
    pub(crate) command_path: String,
    pub(crate) cause: String,
    pub(crate) before_dash: Option<usize>,
}

impl Context {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { flags, printer, clock, environment, command_path, cause, before_dash } = parts;
        let observer = Arc::new(Observer {
            printer: printer.clone(),
            clock: clock.clone(),
            log: flags.verbosity >= LOG_REQUESTS,
            warned: Mutex::default(),
            warnings: AtomicUsize::new(0),
        });
        Self {
            flags,
            printer,
            clock,
            environment,
            command_path,
            cause,
            before_dash,
            supervisor: Supervisor::new(),
            observer,
            resolved: OnceCell::new(),
            client: OnceCell::new(),
            mapper: tokio::sync::OnceCell::new(),
        }
    }

    /// The kubeconfig files that count.
    pub(crate) fn loading_rules(&self) -> LoadingRules {
        LoadingRules::new(self.flags.kubeconfig.clone().map(Into::into), &self.environment)
    }

    fn resolved(&self) -> Result<&Resolved, KubectlError> {
        if let Some(resolved) = self.resolved.get() {
            return Ok(resolved);
        }
        let kubeconfig = Kubeconfig::load(&self.loading_rules())?;
        let mut resolved = kubeconfig.resolve(&self.flags.overrides()?, &self.environment)?;
        resolved.rest.user_agent = format!("kubectl/{} (linux/{})", crate::VERSION, crate::ARCHITECTURE);
        Ok(self.resolved.get_or_init(|| resolved))
    }

    /// Where the server is and as whom requests are made.
    pub(crate) fn config(&self) -> Result<&RestConfig, KubectlError> {
        Ok(&self.resolved()?.rest)
    }

    /// The server.
    pub(crate) fn client(&self) -> Result<&RestClient, KubectlError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = RestClient::new(self.config()?.clone(), self.supervisor.clone(), self.observer.clone())?;
        Ok(self.client.get_or_init(|| client))
    }

    /// The namespace of what names none: `-n`, the context's, or `default`.
    pub(crate) fn namespace(&self) -> Result<&str, KubectlError> {
        if let Some(namespace) = self.flags.namespace.as_deref().filter(|name| !name.is_empty()) {
            return Ok(namespace);
        }
        Ok(&self.resolved()?.namespace)
    }

    /// Whether `-n` named the namespace: then objects of files must be in it.
    pub(crate) fn namespace_is_explicit(&self) -> bool {
        self.flags.namespace.as_deref().is_some_and(|name| !name.is_empty())
    }

    /// The kinds that the server has.
    pub(crate) async fn mapper(&self) -> Result<&Mapper, KubectlError> {
        let client = self.client()?;
        self.mapper.get_or_try_init(|| Mapper::discover(client)).await
    }

    /// The type that a user names. Warns where a short name means more than one.
    pub(crate) async fn resource(&self, name: &str) -> Result<Arc<ResourceType>, KubectlError> {
        let mapper = self.mapper().await?;
        mapper.ambiguities(name).iter().for_each(|warning| self.observer.warning(warning));
        mapper.resource(name)
    }

    /// All types that a name may mean, the first choice first. Warns as [`Context::resource`].
    pub(crate) async fn candidates(&self, name: &str) -> Result<Vec<Arc<ResourceType>>, KubectlError> {
        let mapper = self.mapper().await?;
        mapper.ambiguities(name).iter().for_each(|warning| self.observer.warning(warning));
        Ok(mapper.candidates(name))
    }

    /// Prints a warning as klog does, which upstream uses for deprecated flags.
    pub(crate) fn klog_warning(&self, text: &str) {
        let now = self.clock.now().to_zoned(jiff::tz::TimeZone::system());
        let head = now.strftime("W%m%d %H:%M:%S%.6f");
        self.printer.err_line(format!("{head} {:>7} helpers.go:1] {text}", std::process::id()));
    }

    /// How many warnings the server sent.
    pub(crate) fn warnings(&self) -> usize {
        self.observer.warnings.load(Ordering::Relaxed)
    }
}

/// Prints the server's warnings, each once, and requests where they are to be logged.
#[derive(Debug)]
struct Observer {
    printer: Printer,
    clock: Arc<dyn Clock>,
    log: bool,
    warned: Mutex<std::collections::BTreeSet<String>>,
    warnings: AtomicUsize,
}

impl RestObserver for Observer {
    fn warning(&self, text: &str) {
        if self.warned.lock().insert(text.to_owned()) {
            self.warnings.fetch_add(1, Ordering::Relaxed);
            self.printer.err_line(format!("Warning: {text}"));
        }
    }

    fn exchanged(&self, exchange: &Exchange<'_>) {
        if !self.log {
            return;
        }
        // klog's head: severity, month and day, time, process.
        let now = self.clock.now().to_zoned(jiff::tz::TimeZone::system());
        let head = now.strftime("I%m%d %H:%M:%S%.6f");
        self.printer.err_line(format!(
            "{head} {:>7} rest.rs:1] \"Response\" verb={:?} url={:?} status={:?} milliseconds={}",
            std::process::id(),
            exchange.method.as_str(),
            exchange.url,
            exchange.status.to_string(),
            exchange.elapsed.as_millis()
        ));
    }
}

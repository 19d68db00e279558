//! `kubectl wait` (upstream: `kubectl/pkg/cmd/wait`).

mod condition;

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use self::condition::Condition;
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::flags::values::GoDuration;
use crate::output::OutputFlags;
use crate::pods::TIMED_OUT;
use crate::resource::{FileFlags, Info, Requests, Selected, Selection};
use crate::waiting::{timed_out, until_deleted};
use crate::watching::watch_one;

/// How often what is to be created is looked for: upstream's interval.
const CREATED_INTERVAL: Duration = Duration::from_millis(500);
/// What a negative timeout means.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// Wait for a condition of objects.
#[derive(Debug, Args)]
pub(crate) struct WaitCommand {
    /// The types and names
    #[arg(value_name = "TYPE NAME | TYPE/NAME | TYPE (-l label | --all)")]
    arguments: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    output: OutputFlags,
    /// Every object of the types
    #[arg(long)]
    all: bool,
    /// Objects of all namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Choose by fields, such as metadata.name=web
    #[arg(long)]
    field_selector: Option<String>,
    /// What to wait for: create, delete, condition=NAME[=VALUE] or jsonpath=PATH[=VALUE]; may be repeated
    #[arg(long = "for")]
    conditions: Vec<String>,
    /// Choose by labels, such as app=web,tier!=db
    #[arg(long, short = 'l')]
    selector: Option<String>,
    /// How long to wait; 0 to look once, negative for a week
    #[arg(long, value_parser = values::duration, default_value = "30s", allow_negative_numbers = true)]
    timeout: GoDuration,
}

impl WaitCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let printer = self.output.printer("condition met")?;
        if self.conditions.is_empty() {
            return Err(KubectlError::new("unrecognized condition: []"));
        }
        let conditions = self.conditions.iter().map(|text| Condition::parse(text)).collect::<Result<Vec<_>, _>>()?;
        let deadline = match self.timeout.0 {
            0 => None,
            nanos => Some(Instant::now() + u64::try_from(nanos).map_or(WEEK, Duration::from_nanos)),
        };
        if conditions.iter().any(|condition| matches!(condition, Condition::Created)) {
            self.until_created(context, deadline).await?;
        }
        let for_deletion = conditions.iter().any(|condition| matches!(condition, Condition::Deleted));
        let Selected { infos, mut errors, .. } = self.selection().fetch(context).await?;
        if for_deletion {
            errors.retain(|error| !error.is_not_found());
        }
        if infos.is_empty() && errors.is_empty() && !for_deletion {
            return Err(KubectlError::new("no matching resources found"));
        }
        for info in &infos {
            for condition in &conditions {
                match self.await_one(context, info, condition, deadline).await {
                    Ok(object) => printer.print(&context.printer, &object)?,
                    Err(error) => {
                        errors.push(error);
                        break;
                    }
                }
            }
        }
        KubectlError::all(errors)
    }

    fn selection(&self) -> Selection {
        Selection {
            label_selector: self.selector.clone().unwrap_or_default(),
            field_selector: self.field_selector.clone().unwrap_or_default(),
            all_namespaces: self.all_namespaces,
            type_means_all: self.all,
            latest: true,
            ..Selection::new(&self.files, &self.arguments)
        }
    }

    /// Waits until the arguments find something.
    async fn until_created(&self, context: &Context, deadline: Option<Instant>) -> Result<(), KubectlError> {
        loop {
            let Selected { infos, errors, .. } = self.selection().fetch(context).await?;
            let is_missing = errors.iter().all(KubectlError::is_not_found) && (infos.is_empty() || !errors.is_empty());
            if !is_missing {
                return KubectlError::all(errors);
            }
            let next = Instant::now() + CREATED_INTERVAL;
            if deadline.is_none_or(|deadline| deadline < next) {
                return Err(KubectlError::new(TIMED_OUT));
            }
            tokio::time::sleep_until(next).await;
        }
    }

    /// Waits until one condition of one object holds, and gives the object that fulfils it.
    async fn await_one(
        &self,
        context: &Context,
        info: &Info,
        condition: &Condition,
        deadline: Option<Instant>,
    ) -> Result<Value, KubectlError> {
        let requests = Requests::new(context.client()?);
        let not_met = || KubectlError::new(format!("condition not met for {}", info.object_name()));
        let check = match condition {
            Condition::Created => return Ok(info.object.clone()),
            Condition::Deleted => {
                if deadline.is_none() {
                    return match requests.read(&info.resource, &info.namespace, &info.name).await {
                        Err(error) if error.is_not_found() => Ok(info.object.clone()),
                        Err(error) => Err(error),
                        Ok(_) => Err(not_met()),
                    };
                }
                until_deleted(context, info, None, deadline).await?;
                return Ok(info.object.clone());
            }
            Condition::Holds(check) => check,
        };
        let Some(deadline) = deadline else {
            let object = requests.read(&info.resource, &info.namespace, &info.name).await?;
            return if check.holds(&object)? { Ok(object) } else { Err(not_met()) };
        };
        let watching = watch_one(&requests, info, true, |kind, object| {
            let is_there = matches!(kind, "ADDED" | "MODIFIED");
            Ok(if is_there && check.holds(&object)? { Some(object) } else { None })
        });
        timeout_at(deadline, watching).await.unwrap_or_else(|_| Err(timed_out(info)))
    }
}

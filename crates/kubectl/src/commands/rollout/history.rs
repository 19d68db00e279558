//! `kubectl rollout history`.

use std::collections::BTreeMap;

use clap::Args;

use super::revisions::{Revision, revisions};
use super::{Rolled, RolloutFlags};
use crate::context::Context;
use crate::describe::{aligned, template_text};
use crate::error::KubectlError;
use crate::flags::values;
use crate::output::OutputFlags;
use crate::resource::Info;

/// Show the revisions of an object, or one of them.
#[derive(Debug, Args)]
pub(crate) struct RolloutHistory {
    #[command(flatten)]
    flags: RolloutFlags,
    #[command(flatten)]
    output: OutputFlags,
    /// Show the Pod template of this revision
    #[arg(long, value_parser = values::int64, default_value = "0", allow_negative_numbers = true)]
    revision: i64,
}

impl RolloutHistory {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        self.flags.validate()?;
        if self.revision < 0 {
            return Err(KubectlError::new(format!("revision must be a positive integer: {}", self.revision)));
        }
        let selected = self.flags.fetch(context).await?;
        let mut errors = selected.errors;
        for info in &selected.infos {
            errors.extend(self.show(context, info).await.err());
        }
        KubectlError::all(errors)
    }

    async fn show(&self, context: &Context, info: &Info) -> Result<(), KubectlError> {
        let rolled = Rolled::of(info, ("history", "history viewer"))?;
        let all = revisions(context, info, rolled).await?;
        let by_number: BTreeMap<i64, Revision> = all.into_iter().map(|revision| (revision.number, revision)).collect();
        let wanted = match self.revision {
            0 => None,
            number => Some(by_number.get(&number)),
        };
        let missing = || KubectlError::new("unable to find the specified revision");
        let output = self.output.output.as_deref().unwrap_or_default();
        if !output.is_empty() || self.output.template.is_some() {
            let printer = self.output.printer("")?;
            match wanted {
                Some(one) => printer.print(&context.printer, &one.ok_or_else(missing)?.object)?,
                None => {
                    for revision in by_number.values() {
                        printer.print(&context.printer, &revision.object)?;
                    }
                }
            }
            return Ok(());
        }
        let text = match wanted {
            _ if by_number.is_empty() => "No rollout history found.".to_owned(),
            Some(one) => template_text(&one.ok_or_else(missing)?.template),
            None => table(&by_number),
        };
        let with = if self.revision > 0 { format!("with revision #{}", self.revision) } else { String::new() };
        self.output.printer(&format!("{with}\n{text}"))?.print(&context.printer, &info.object)
    }
}

fn table(revisions: &BTreeMap<i64, Revision>) -> String {
    let mut text = "REVISION\tCHANGE-CAUSE\n".to_owned();
    for (number, revision) in revisions {
        let cause = if revision.cause.is_empty() { "<none>" } else { &revision.cause };
        text.push_str(&format!("{number}\t{cause}\n"));
    }
    aligned(&text)
}

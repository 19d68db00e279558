//! `delete-cluster`, `delete-context`, `delete-user`.

use super::files::{CLUSTERS, CONTEXTS, List, USERS};
use super::{Files, help};
use crate::context::Context;
use crate::error::KubectlError;

pub(super) fn delete_cluster(context: &Context, arguments: &[String]) -> Result<(), KubectlError> {
    let files = Files::load(context)?;
    match arguments {
        [name] => delete(context, files, CLUSTERS, name),
        _ => help(context),
    }
}

pub(super) fn delete_context(context: &Context, arguments: &[String]) -> Result<(), KubectlError> {
    let files = Files::load(context)?;
    match arguments {
        [name] => delete(context, files, CONTEXTS, name),
        _ => help(context),
    }
}

pub(super) fn delete_user(context: &Context, arguments: &[String]) -> Result<(), KubectlError> {
    let files = Files::load(context)?;
    match arguments {
        [name] => delete(context, files, USERS, name),
        _ => Err(KubectlError::usage(&context.command_path, "user to delete is required")),
    }
}

fn delete(context: &Context, mut files: Files, list: List, name: &str) -> Result<(), KubectlError> {
    let file = files.default_file();
    let (what, file) = (list.what, file.display());
    if files.entry(list, name).is_none() {
        return Err(KubectlError::new(format!("cannot delete {what} {name}, not in {file}")));
    }
    if list == CONTEXTS && files.current_context() == name {
        context.printer.err_line(
            "warning: this removed your active context, use \"kubectl config use-context\" to select a different one",
        );
    }
    files.set_entry(list, name, None)?;
    context.printer.line(format!("deleted {what} {name} from {file}"))
}

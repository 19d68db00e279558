//! The user's editor on a file of its own (upstream: `kubectl/pkg/cmd/util/editor.Editor`).

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use component_base::Random;

use crate::context::Context;
use crate::error::KubectlError;

/// A file that was edited.
#[derive(Debug)]
pub(super) struct EditedFile {
    path: PathBuf,
    /// What is in it now.
    pub(super) text: String,
}

impl EditedFile {
    /// Writes the text into a new file, lets the user edit it and reads it again.
    pub(super) fn open(text: &str, extension: &str) -> Result<Self, KubectlError> {
        let name = format!("kubectl-edit-{}{extension}", Random::from_system().name_suffix(10));
        let path = std::env::temp_dir().join(name);
        let failed = |error: std::io::Error| KubectlError::new(format!("open {}: {error}", path.display()));
        // Objects may hold secrets: nobody else may read it.
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        drop(file);
        // Where the editor fails the file stays: it may hold changes.
        launch(&path)?;
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        Ok(Self { path, text })
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Leaves it where it is.
    pub(super) fn forget(self) -> String {
        self.name()
    }

    /// Leaves it where it is and says so; gives the error back.
    pub(super) fn keep(self, context: &Context, error: KubectlError) -> KubectlError {
        context.printer.err_line(format!("A copy of your changes has been stored to {:?}", self.name()));
        error
    }

    /// Takes it away.
    pub(super) fn remove(self) -> Result<(), KubectlError> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(KubectlError::new(format!("remove {}: {error}", self.path.display())))
            }
            _ => Ok(()),
        }
    }
}

/// The command that edits: words of the variable; a shell's job where it holds quotes.
fn command_line(editor: &str, shell: &str) -> Vec<String> {
    if editor.contains(' ') && editor.contains(['"', '\'', '\\']) {
        return vec![shell.to_owned(), "-c".to_owned(), editor.to_owned()];
    }
    editor.split(' ').map(str::to_owned).collect()
}

fn launch(path: &std::path::Path) -> Result<(), KubectlError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let editor = variable("KUBE_EDITOR").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let shell = variable("SHELL").unwrap_or_else(|| "/bin/bash".to_owned());
    let mut words = command_line(&editor, &shell);
    let file = path.display().to_string();
    match words.get_mut(2).filter(|_| words_are_shell(&editor)) {
        Some(script) => script.push_str(&format!(" {file:?}")),
        None => words.push(file),
    }
    let (program, arguments) = words.split_first().ok_or_else(|| KubectlError::new("no editor is given"))?;
    let status = Command::new(program).args(arguments).status().map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            KubectlError::new(format!("unable to launch the editor {editor:?}"))
        } else {
            KubectlError::new(format!("there was a problem with the editor {editor:?}"))
        }
    })?;
    if status.success() {
        Ok(())
    } else {
        Err(KubectlError::new(format!("there was a problem with the editor {editor:?}")))
    }
}

fn words_are_shell(editor: &str) -> bool {
    editor.contains(' ') && editor.contains(['"', '\'', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_the_editor_is_called() {
        assert_eq!(command_line("vi", "/bin/sh"), ["vi"]);
        assert_eq!(command_line("code -w", "/bin/sh"), ["code", "-w"]);
        assert_eq!(command_line("sed -i 's/a/b/'", "/bin/sh"), ["/bin/sh", "-c", "sed -i 's/a/b/'"]);
    }
}

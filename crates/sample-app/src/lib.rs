//! The sample application: what the tutorial's Pods run, without a registry. The image's only program is a copy of the
//! skiff executable; the name by which it is called chooses between the server (`bootcamp`), `curl`, `tar`, a shell and a
//! few tools.
//!
//! Absent: in `curl`, everything but plain HTTP, the progress meter, redirects; names of headers are shown in lower
//! case. In `sh` (the grammar is that of `deno_task_shell`), compound commands such as `if` and `while`, functions,
//! arithmetic, job control and arguments of scripts; a script with one of them is refused with an error. A pipe into
//! `cat` or `head` from a command that itself substitutes another (`echo $(date) | cat`) waits for ever: the library's
//! readers hold its one thread.

mod archive;
mod curl;
mod dispatch;
mod image;
mod server;
mod shell;

pub use dispatch::dispatch;
pub use image::image_files;

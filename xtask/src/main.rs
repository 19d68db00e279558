//! skiff's automation: `cargo xtask …`.

mod bench;
mod codegen;
mod conformance;
mod kubectl;
mod process;
mod sim;
mod test;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["codegen", "openapi", reference] => codegen::openapi::generate(Path::new(reference), &repository()),
        ["codegen", "resources", reference] => codegen::resources::generate(Path::new(reference), &repository()),
        ["codegen", "columns", reference] => codegen::columns::generate(Path::new(reference), &repository()),
        ["codegen", "schemas", reference] => codegen::schemas::generate(Path::new(reference), &repository()),
        ["bench", name] => bench::run_named(&repository(), name, None),
        ["bench", name, "--skiff", file] => bench::run_named(&repository(), name, Some(file)),
        // What `bench rollout` runs inside the node.
        ["load", address, rate] => bench::load_from_within(address, rate),
        ["conformance", words @ ..] => conformance::run_suite(&repository(), words),
        ["sim", words @ ..] => sim::play(&repository(), words),
        ["kubectl"] => kubectl::build(&repository()).map(drop),
        ["test"] => test::run_all(&repository()),
        _ => bail!(
            "unknown task {words:?}\nhint: cargo xtask test | kubectl | bench {{{}}} [--skiff FILE] | conformance KIT | sim [--seeds N] [--seed N] [--faults] [--log] | codegen {{columns,openapi,resources,schemas}} REFERENCE_DIR",
            bench::NAMES.join(",")
        ),
    }
}

/// The root of the checkout.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_owned()
}

//! `kubectl auth whoami`.

use clap::Args;
use serde_json::json;

use crate::commands::create::{known_type, shaped};
use crate::context::Context;
use crate::error::KubectlError;
use crate::output::OutputFlags;
use crate::output::columns::{ColumnWriter, cell_text};
use crate::resource::Requests;

/// Check who the server takes you for: user, groups and further attributes.
#[derive(Debug, Args)]
pub(crate) struct Whoami {
    #[arg(hide = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    output: OutputFlags,
}

impl Whoami {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let resource = known_type("authentication.k8s.io", "v1", "selfsubjectreviews")?;
        let review = shaped(&resource, json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}))?;
        let answer = Requests::new(context.client()?).create(&resource, "", &review).await;
        let answer = answer.map_err(|error| match error.api().map(|error| error.code) {
            Some(403) => KubectlError::new(
                "the selfsubjectreviews API is not enabled in the cluster or you do not have permission to call it",
            ),
            Some(404) => KubectlError::new("the selfsubjectreviews API is not enabled in the cluster"),
            _ => error,
        })?;
        if self.output.output.is_some() {
            return self.output.printer("")?.print(&context.printer, &answer);
        }
        let user = &answer["status"]["userInfo"];
        let mut writer = ColumnWriter::default();
        let mut row = |key: String, value: String| writer.row(vec![key, value]);
        row("ATTRIBUTE".into(), "VALUE".into());
        for (key, field) in [("Username", "username"), ("UID", "uid")] {
            if let Some(text) = user[field].as_str().filter(|text| !text.is_empty()) {
                row(key.into(), text.into());
            }
        }
        if user["groups"].as_array().is_some_and(|groups| !groups.is_empty()) {
            row("Groups".into(), cell_text(&user["groups"]));
        }
        for (key, values) in user["extra"].as_object().into_iter().flatten() {
            row(format!("Extra: {key}"), cell_text(values));
        }
        context.printer.out(writer.flush())
    }
}

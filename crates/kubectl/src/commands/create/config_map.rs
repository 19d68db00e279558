//! `kubectl create configmap`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use serde_json::json;

use super::sources::{SourceFlags, Wording};
use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::write::CreateFlags;

/// Create a config map from files, directories or literal values.
#[derive(Debug, Args)]
pub(crate) struct CreateConfigMap {
    /// Its name
    #[arg(value_name = "NAME [--from-file=[KEY=]SOURCE] [--from-literal=KEY=VALUE]")]
    arguments: Vec<String>,
    #[command(flatten)]
    sources: SourceFlags,
    #[command(flatten)]
    flags: CreateFlags,
}

fn is_text(data: &[u8]) -> bool {
    std::str::from_utf8(data).is_ok()
}

impl CreateConfigMap {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let kind = format!("ConfigMap {name:?}");
        let wording = Wording {
            kind: &kind,
            article: "a ConfigMap",
            env_directory: "env config file cannot be a directory",
            files_first: true,
        };
        let (mut data, mut binary) = (serde_json::Map::new(), serde_json::Map::new());
        for (key, value) in self.sources.read(wording, is_text)? {
            match String::from_utf8(value) {
                Ok(text) => data.insert(key, text.into()),
                Err(error) => binary.insert(key, BASE64_STANDARD.encode(error.into_bytes()).into()),
            };
        }
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        for (field, entries) in [("data", data), ("binaryData", binary)] {
            if !entries.is_empty() {
                object[field] = entries.into();
            }
        }
        let resource = known_type("", "v1", "configmaps")?;
        create_object(context, &self.flags, &resource, object, "failed to create configmap:").await
    }
}

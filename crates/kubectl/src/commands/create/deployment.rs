//! `kubectl create deployment`.

use clap::Args;
use component_base::Random;
use serde_json::{Value, json};

use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::write::CreateFlags;

/// Create a deployment with the specified name. What stands behind -- is the containers' command.
#[derive(Debug, Args)]
pub(crate) struct CreateDeployment {
    /// Its name, and the command
    #[arg(value_name = "NAME --image=IMAGE -- [COMMAND] [ARGUMENTS]")]
    arguments: Vec<String>,
    /// The containers' images
    #[arg(long = "image", required = true)]
    images: Vec<String>,
    /// The port that the first container listens on
    #[arg(long, value_parser = values::int32, default_value = "-1", allow_negative_numbers = true)]
    port: i32,
    /// How many Pods
    #[arg(long, short, value_parser = values::int32, default_value = "1", allow_negative_numbers = true)]
    replicas: i32,
    #[command(flatten)]
    flags: CreateFlags,
}

impl CreateDeployment {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let images = values::split_list(&self.images);
        let command = &self.arguments[1..];
        if images.len() > 1 && !command.is_empty() {
            return Err(KubectlError::new("cannot specify multiple --image options and command"));
        }
        let random = Random::from_system();
        let mut containers: Vec<Value> = Vec::new();
        for image in images {
            let mut container = json!({"name": container_name(&image, &random), "image": image});
            if !command.is_empty() {
                container["command"] = json!(command);
            }
            containers.push(container);
        }
        if let Some(first) = containers.first_mut().filter(|_| self.port >= 0) {
            first["ports"] = json!([{"containerPort": self.port}]);
        }
        let labels = json!({"app": name});
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels},
            "spec": {
                "replicas": self.replicas, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            },
        });
        let resource = known_type("apps", "v1", "deployments")?;
        create_object(context, &self.flags, &resource, object, "failed to create deployment:").await
    }
}

/// The image's last part without tag and digest. Dots and underscores can't stand in a name; then it is made unique.
fn container_name(image: &str, random: &Random) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    let name = name.split([':', '@']).next().unwrap_or(name);
    if !name.contains(['_', '.']) {
        return name.to_owned();
    }
    format!("{}-{}", name.replace(['_', '.'], "-"), random.name_suffix(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_containers() {
        let random = Random::from_seed(1);
        assert_eq!(container_name("docker.io/library/nginx:1.27", &random), "nginx");
        assert_eq!(container_name("nginx@sha256:00", &random), "nginx");
        let unique = container_name("my_app.x:v1", &random);
        assert!(unique.starts_with("my-app-x-") && unique.len() == "my-app-x-".len() + 5, "{unique}");
    }
}

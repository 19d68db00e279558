//! Makes sure that an image is on the node, a container's or a volume's (upstream: `pkg/kubelet/images`).

use std::sync::Arc;
use std::time::Duration;

use apimachinery::gotext;
use client::{EventRecorder, EventType, ObjectReference};
use cri::{Image, ImageError, ImageService, Keyring, PullRequest, Reference};
use tokio::time::Instant;

/// Why there is no image: the reason in the status, and a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageFailure {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// The image whose pull failed, if that is what failed: it counts for the back-off.
    pub(crate) pulled: Option<String>,
}

/// A length of time to the millisecond, as upstream's messages have it: `1.234s`, `45ms`, `1m2.5s`.
pub(crate) fn go_duration(length: Duration) -> String {
    let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    gotext::duration(millis.saturating_mul(1_000_000))
}

/// An image that is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// `Always`, `IfNotPresent` or `Never`.
    pub(crate) policy: Option<&'a str>,
}

/// The image, pulled if its policy says so. Records what happens about `about`.
pub(crate) async fn ensure(
    images: &Arc<dyn ImageService>,
    recorder: &EventRecorder,
    about: &ObjectReference,
    wanted: Wanted<'_>,
    keyring: &Keyring,
) -> Result<Image, ImageFailure> {
    let Wanted { name, policy } = wanted;
    let failure = |reason: &'static str, message: String, pulled: bool| ImageFailure {
        reason,
        message,
        pulled: pulled.then(|| name.to_owned()),
    };
    let reference = Reference::parse(name).map_err(|error| {
        let message =
            format!("Failed to apply default image tag {name:?}: couldn't parse image name {name:?}: {error}");
        recorder.event(about.clone(), EventType::Warning, "InspectFailed", message.clone());
        failure("InvalidImageName", message, false)
    })?;
    let present = images.status(name).await.map_err(|error| {
        let message = format!("Failed to inspect image {name:?}: {error}");
        recorder.event(about.clone(), EventType::Warning, "InspectFailed", message.clone());
        failure("ImageInspectError", message, false)
    })?;
    let policy = policy.unwrap_or("IfNotPresent");
    match present {
        // What the user loaded into the node is there to be used; no registry has it.
        Some(image) if policy != "Always" || image.pinned => {
            let text = format!("Container image {name:?} already present on machine and can be accessed by the pod");
            recorder.event(about.clone(), EventType::Normal, "Pulled", text);
            return Ok(image);
        }
        None if policy == "Never" => {
            let message = format!("Container image {name:?} is not present with pull policy of Never");
            recorder.event(about.clone(), EventType::Warning, "ErrImageNeverPull", message.clone());
            return Err(failure("ErrImageNeverPull", message, false));
        }
        _ => {}
    }
    recorder.event(about.clone(), EventType::Normal, "Pulling", format!("Pulling image {name:?}"));
    let started = Instant::now();
    let mut logins = keyring.lookup(&reference.repository()).into_iter().map(Some).collect::<Vec<_>>();
    if logins.is_empty() {
        logins.push(None);
    }
    let mut last = None;
    for auth in logins {
        match images.pull(PullRequest { image: name.to_owned(), auth, progress: None }).await {
            Ok(_) => {
                last = None;
                break;
            }
            Err(error) => last = Some(error),
        }
    }
    if let Some(error) = last {
        let text = format!("Failed to pull image {name:?}: {error}");
        recorder.event(about.clone(), EventType::Warning, "Failed", text);
        let reason = match &error {
            ImageError::InvalidName { .. } => "InvalidImageName",
            _ => "ErrImagePull",
        };
        return Err(failure(reason, error.to_string(), true));
    }
    let image = images.status(name).await.ok().flatten();
    let image = image.ok_or_else(|| failure("ErrImagePull", format!("image {name:?} is gone after its pull"), true))?;
    let took = go_duration(started.elapsed());
    let text = format!(
        "Successfully pulled image {name:?} in {took} ({took} including waiting). Image size: {} bytes.",
        image.size_bytes
    );
    recorder.event(about.clone(), EventType::Normal, "Pulled", text);
    Ok(image)
}

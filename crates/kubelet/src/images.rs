//! Makes sure that an image is on the node, a container's or a volume's (upstream: `pkg/kubelet/images`).

use std::sync::Arc;

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

/// A duration as Go prints it, to the millisecond: `1.234s`, `45ms`, `1m2.5s`.
pub(crate) fn go_duration(duration: std::time::Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let mut seconds = format!("{}.{:03}", rest / 1000, rest % 1000);
    seconds = seconds.trim_end_matches('0').trim_end_matches('.').to_owned();
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
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
        let message = format!("Failed to apply default image tag {name:?}: {error}");
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::go_duration;

    #[test]
    fn durations_read_as_gos() {
        for (millis, text) in [(0, "0s"), (45, "45ms"), (1200, "1.2s"), (62_500, "1m2.5s"), (3_600_000, "1h0m0s")] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }
}

//! Whether a server behind a Service answers (upstream: `kube-aggregator/pkg/controllers/status/remote`).

use std::time::Duration;

use futures_util::future::select_ok;
use http::StatusCode;
use tokio::time::timeout;

use super::{Aggregator, ApiService, RemoteServer};

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is asked at once: a Service may lead to several servers, and one that answers is enough.
const ATTEMPTS: usize = 5;

impl Aggregator {
    /// Asks the server of the APIService `name` whether it serves that; says why not in upstream's words.
    pub(crate) async fn probe(&self, name: &str) -> Result<(), String> {
        let api_service = self.named(name).ok_or_else(|| format!("apiservices {name:?} not found"))?;
        let server = self.server_of(&api_service)?;
        let attempts = (0..ATTEMPTS).map(|_| Box::pin(self.attempt(&api_service, &server)));
        select_ok(attempts).await.map(|_| ())
    }

    async fn attempt(&self, api_service: &ApiService, server: &RemoteServer) -> Result<(), String> {
        let path = api_service.path();
        let url = format!("https://{}{path}", server.address);
        let why = match timeout(ANSWER_TIMEOUT, self.get(server, &path, "application/json")).await {
            Ok(Ok(answer)) if answer.status < StatusCode::MULTIPLE_CHOICES => return Ok(()),
            Ok(Ok(answer)) => format!("bad status from {url}: {}", answer.status.as_u16()),
            Ok(Err(error)) => format!("Get {url:?}: {error}"),
            Err(_) => {
                format!("Get {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
            }
        };
        Err(format!("failing or missing response from {url}: {why}"))
    }
}

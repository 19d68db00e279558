//! Webhooks of a simulated cluster: functions in place of servers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use admission::{Endpoint, WebhookTransport};
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;

type Answer = Arc<dyn Fn(&Value) -> Value + Send + Sync>;

/// What listens, by its URL.
#[derive(Default)]
pub(crate) struct SimulatedWebhooks(Mutex<BTreeMap<String, Answer>>);

impl SimulatedWebhooks {
    /// Questions to `url` are answered by `answer`.
    pub(crate) fn listen(&self, url: &str, answer: impl Fn(&Value) -> Value + Send + Sync + 'static) {
        self.0.lock().insert(url.to_owned(), Arc::new(answer));
    }
}

impl fmt::Debug for SimulatedWebhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.lock().keys()).finish()
    }
}

#[async_trait]
impl WebhookTransport for SimulatedWebhooks {
    async fn post(&self, endpoint: &Endpoint, body: Vec<u8>, _: Duration) -> Result<Vec<u8>, String> {
        let url = endpoint.url.split('?').next().unwrap_or_default();
        let answer = self.0.lock().get(url).cloned();
        let Some(answer) = answer else {
            let place = endpoint.dial.as_deref().unwrap_or(url);
            return Err(format!("dial tcp {place}: connect: connection refused"));
        };
        let question = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        Ok(answer(&question).to_string().into_bytes())
    }
}

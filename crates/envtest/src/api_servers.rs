//! API servers behind the Services of a simulated cluster: functions in place of servers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use apiserver::{RemoteBody, RemoteServer, RemoteServers};
use async_trait::async_trait;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;

type Answer = Arc<dyn Fn(&str) -> u16 + Send + Sync>;

/// What listens, by the name of its server: `NAME.NAMESPACE.svc`.
#[derive(Default)]
pub(crate) struct SimulatedApiServers(Mutex<BTreeMap<String, Answer>>);

impl SimulatedApiServers {
    /// Requests to `name` are answered with the status that `answer` gives for their path.
    pub(crate) fn listen(&self, name: &str, answer: impl Fn(&str) -> u16 + Send + Sync + 'static) {
        self.0.lock().insert(name.to_owned(), Arc::new(answer));
    }
}

impl fmt::Debug for SimulatedApiServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.lock().keys()).finish()
    }
}

#[async_trait]
impl RemoteServers for SimulatedApiServers {
    async fn send(&self, server: &RemoteServer, request: Request<RemoteBody>) -> Result<Response<RemoteBody>, String> {
        let answer = self.0.lock().get(&server.name).cloned();
        let Some(answer) = answer else {
            return Err(format!("dial tcp {}: connect: connection refused", server.address));
        };
        let body = Full::from("{}").map_err(|never| match never {}).boxed();
        Response::builder().status(answer(request.uri().path())).body(body).map_err(|error| error.to_string())
    }
}

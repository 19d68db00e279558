//! SPDY/3.1, the server's side and as much of it as Kubernetes' clients use: streams that the client opens, data both ways,
//! half-close, reset, ping and farewell. There is no flow control but TCP's, for the clients' library has none
//! (`github.com/moby/spdystream`): a stream that nobody reads stops the others.

mod connection;
mod frame;
mod headers;

pub(crate) use connection::{Stream, StreamReader, StreamWriter, serve};
pub(crate) use headers::Headers;

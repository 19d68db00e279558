//! SPDY/3.1, as much of it as Kubernetes' programs use: streams that the client opens, data both ways, half-close, reset,
//! ping and farewell; both sides. There is no flow control but TCP's, for the others' library has none
//! (`github.com/moby/spdystream`): a stream that nobody reads stops the others.

mod connection;
mod frame;
mod headers;

pub use connection::{Farewell, Opener, Stream, StreamReader, StreamWriter, connect, serve};
pub use headers::Headers;

//! The gRPC health check (upstream: `pkg/probe/grpc`): one call of `grpc.health.v1.Health/Check` over HTTP/2.

use bytes::{BufMut, Bytes, BytesMut};
use cri::DuplexStream;
use http::{HeaderMap, Request};

/// Length of what stands before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// The most bytes of an answer that are read: one small message is expected.
const ANSWER_MAX: usize = 4 << 10;
/// `grpc-status`: the server has no such method.
const UNIMPLEMENTED: &str = "12";

/// Asks whether `service` is served; an empty name means the whole server.
pub(super) async fn check(stream: Box<dyn DuplexStream>, authority: &str, service: &str) -> Result<(), String> {
    let failed = |error: h2::Error| format!("error: health rpc probe failed: {error}");
    let (sender, connection) = h2::client::handshake(stream).await.map_err(failed)?;
    let exchange = async {
        let mut sender = sender.ready().await?;
        let request = Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", "kube-probe/1.37")
            .body(())
            .expect("the parts of the request are constants but for host and port");
        let (response, mut body) = sender.send_request(request, false)?;
        body.send_data(question(service), true)?;
        let (head, mut body) = response.await?.into_parts();
        let mut answer = BytesMut::new();
        while let Some(piece) = body.data().await {
            let piece = piece?;
            body.flow_control().release_capacity(piece.len())?;
            answer.extend_from_slice(&piece[..piece.len().min(ANSWER_MAX - answer.len().min(ANSWER_MAX))]);
        }
        let trailers = body.trailers().await?.unwrap_or_default();
        Ok::<_, h2::Error>((head.headers, answer, trailers))
    };
    // The connection does the work; it ends when both halves of the call have.
    tokio::select! {
        biased;
        answered = exchange => {
            let (head, answer, trailers) = answered.map_err(failed)?;
            verdict(&head, &answer, &trailers)
        }
        ended = connection => Err(match ended {
            Ok(()) => "error: health rpc probe failed: the server closed the connection".to_owned(),
            Err(error) => failed(error),
        }),
    }
}

/// A `HealthCheckRequest`, with its prefix.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.put_u8(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
            length >>= 7;
        }
        message.put_u8(u8::try_from(length).unwrap_or(0));
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(&message);
    framed.freeze()
}

/// What the answer means. A server that has no message to send puts its status into the header.
fn verdict(head: &HeaderMap, answer: &[u8], trailers: &HeaderMap) -> Result<(), String> {
    let of = |name: &str| {
        let value = trailers.get(name).or_else(|| head.get(name));
        value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    match of("grpc-status").as_str() {
        "0" => {}
        UNIMPLEMENTED => {
            let message = of("grpc-message");
            return Err(format!(
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {message}"
            ));
        }
        code => {
            return Err(format!(
                "error: health rpc probe failed: rpc error: code = {code} desc = {}",
                of("grpc-message")
            ));
        }
    }
    // The only field is the first one, a number.
    let status = match answer.get(PREFIX..).unwrap_or_default() {
        [0x08, status, ..] => *status,
        _ => 0,
    };
    match status {
        1 => Ok(()),
        other => {
            let word =
                ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"].get(usize::from(other)).unwrap_or(&"UNKNOWN");
            Err(format!("service unhealthy (responded with {word:?})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{question, verdict};

    #[test]
    fn questions_name_the_service() {
        assert_eq!(question("").as_ref(), [0, 0, 0, 0, 0]);
        assert_eq!(question("ab").as_ref(), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
    }

    #[test]
    fn only_serving_is_healthy() {
        let headers = |status: &str| HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())]);
        let none = HeaderMap::new();
        assert_eq!(verdict(&none, &[0, 0, 0, 0, 2, 8, 1], &headers("0")), Ok(()));
        let refused = verdict(&none, &[0, 0, 0, 0, 2, 8, 2], &headers("0"));
        assert_eq!(refused, Err("service unhealthy (responded with \"NOT_SERVING\")".to_owned()));
        assert!(verdict(&headers("12"), &[], &none).is_err_and(|text| text.contains("does not implement")));
        assert!(verdict(&headers("5"), &[], &none).is_err_and(|text| text.contains("code = 5")));
    }

    #[tokio::test]
    async fn a_server_is_asked_over_http_2() {
        let (client, server) = tokio::io::duplex(64 << 10);
        let serving = async {
            let mut connection = h2::server::handshake(server).await.expect("a client greets");
            while let Some(Ok((request, mut answer))) = connection.accept().await {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                let mut body = answer.send_response(http::Response::new(()), false).expect("the head is sent");
                body.send_data(bytes::Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]), false).expect("the body is sent");
                body.send_trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]))
                    .expect("sent");
            }
        };
        let asking = super::check(Box::new(client), "10.0.0.1:50", "web");
        tokio::select! {
            asked = asking => assert_eq!(asked, Ok(())),
            () = serving => panic!("the server ended first"),
        }
    }
}

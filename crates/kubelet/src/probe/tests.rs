use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{HttpGet, TcpProbeDialer, port_number};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

#[tokio::test]
async fn the_status_decides() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = async {
        for answer in ["HTTP/1.1 302 Found\r\n\r\n", "HTTP/1.1 503 Busy\r\n\r\n"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).await.unwrap();
            assert!(request[..count].starts_with(b"GET /ok HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    };
    let client = async {
        let get = || async {
            HttpGet { https: false, host: "127.0.0.1", port, path: "/ok", headers: &[] }.send(&TcpProbeDialer).await
        };
        (get().await, get().await)
    };
    let ((), (first, second)) = tokio::join!(server, client);
    assert_eq!(first, Ok(()));
    assert_eq!(second, Err("HTTP probe failed with statuscode: 503".to_owned()));
}

#[test]
fn ports_have_names() {
    let container =
        serde_json::from_value(serde_json::json!({"name": "c", "ports": [{"name": "web", "containerPort": 80}]}))
            .unwrap();
    assert_eq!(port_number(&IntOrString::String("web".into()), &container), Ok(80));
    assert_eq!(port_number(&IntOrString::String("8080".into()), &container), Ok(8080));
    assert!(port_number(&IntOrString::String("db".into()), &container).is_err());
}

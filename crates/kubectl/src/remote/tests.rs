use super::{KubectlError, Output, ended, receive, send};
use bytes::Bytes;
use futures_util::{sink, stream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Error, Message};

#[test]
fn the_error_channel_says_how_a_command_ended() {
    assert_eq!(ended(b""), Ok(()));
    assert_eq!(ended(br#"{"status":"Success"}"#), Ok(()));
    let code = br#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}"#;
    assert_eq!(ended(code), Err(KubectlError::Exit { text: "command terminated with exit code 3".into(), code: 3 }));
    let text = |status: &[u8]| ended(status).unwrap_err().to_string();
    assert_eq!(text(br#"{"status":"Failure","reason":"InternalError","message":"no runtime"}"#), "no runtime");
    assert_eq!(text(br#"{"status":"Odd"}"#), "error stream protocol error: unknown status \"Odd\"");
    assert_eq!(
        text(br#"{"status":"Failure","reason":"NonZeroExitCode"}"#),
        "error stream protocol error: no ExitCode cause given"
    );
}

#[tokio::test]
async fn output_is_handed_on_by_channel_until_the_status() {
    let message = |data: &'static [u8]| Ok(Message::binary(Bytes::from_static(data)));
    let status = br#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"1"}]}}"#;
    let messages = vec![
        message(b"\x01out"),
        message(b"\x02err"),
        message(b"\x01"),
        Ok(Message::binary([&[3], status.as_slice()].concat())),
        Ok(Message::Close(None)),
    ];
    let (out, mut out_end) = mpsc::channel(8);
    let (err, mut err_end) = mpsc::channel(8);
    let outcome = receive(stream::iter(messages), &Output::Pipe(out), &Output::Pipe(err)).await;
    assert_eq!(outcome.unwrap_err().code(), 1);
    assert_eq!(out_end.recv().await.unwrap(), "out");
    assert_eq!(err_end.recv().await.unwrap(), "err");
    assert!(out_end.recv().await.is_none());
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_status_is_a_failure() {
    let messages = vec![Ok(Message::binary(b"\x01out".as_slice())), Err(Error::ConnectionClosed)];
    let outcome = receive(stream::iter(messages), &Output::Discard, &Output::Discard).await;
    assert!(outcome.unwrap_err().to_string().starts_with("error reading from the container"));
}

#[tokio::test]
async fn the_end_of_input_closes_the_stream() {
    let (typed, input) = mpsc::channel(1);
    let (sender, mut sent) = mpsc::channel::<Message>(8);
    let sink = Box::pin(sink::unfold(sender, async |sender, message| {
        sender.send(message).await.map_err(|_| Error::ConnectionClosed).map(|()| sender)
    }));
    typed.send(Bytes::from_static(b"hi")).await.unwrap();
    drop(typed);
    tokio::select! {
        never = send(sink, Some(input), None) => match never {},
        () = async {
            assert_eq!(sent.recv().await.unwrap().into_data(), b"\x00hi".as_slice());
            assert_eq!(sent.recv().await.unwrap().into_data(), [255, 0].as_slice());
        } => {}
    }
}

#[tokio::test]
async fn input_that_can_not_be_sent_any_more_does_not_end_the_session() {
    let (typed, input) = mpsc::channel(1);
    let broken = Box::pin(sink::unfold((), async |(), _| Err(Error::Io(std::io::ErrorKind::BrokenPipe.into()))));
    typed.send(Bytes::from_static(b"hi")).await.unwrap();
    let status = [&[3], br#"{"status":"Success"}"#.as_slice()].concat();
    let (said, told) = mpsc::channel(1);
    let told = stream::unfold(told, async |mut told| told.recv().await.map(|message| (message, told)));
    let outcome = tokio::select! {
        never = send(broken, Some(input), None) => match never {},
        outcome = receive(Box::pin(told), &Output::Discard, &Output::Discard) => outcome,
        () = async {
            // By now the input has been taken, and could not be sent.
            typed.closed().await;
            said.send(Ok(Message::binary(status))).await.unwrap();
            drop(said);
            std::future::pending::<()>().await;
        } => unreachable!(),
    };
    assert_eq!(outcome, Ok(()));
}

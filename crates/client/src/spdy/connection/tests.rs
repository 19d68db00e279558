use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::super::frame::{Decoder, Encoder, Frame, HEAD_BYTES, Head};
use super::{Headers, connect, serve};

/// The client's side, frame by frame.
struct Client {
    stream: DuplexStream,
    encoder: Encoder,
    decoder: Decoder,
}

impl Client {
    async fn say(&mut self, frame: Frame) {
        let mut bytes = BytesMut::new();
        self.encoder.encode(&frame, &mut bytes).expect("it fits");
        self.stream.write_all(&bytes).await.expect("the server reads");
    }

    async fn hear(&mut self) -> Frame {
        let mut head = [0; HEAD_BYTES];
        self.stream.read_exact(&mut head).await.expect("the server speaks");
        let head = Head::parse(head).expect("a frame");
        let mut payload = BytesMut::zeroed(head.length);
        self.stream.read_exact(&mut payload).await.expect("the server speaks");
        self.decoder.decode(head, payload.freeze()).expect("a frame")
    }

    fn open(id: u32, fin: bool) -> Frame {
        Frame::SynStream { id, fin, headers: Headers::from([("streamtype".to_owned(), "data".to_owned())]) }
    }
}

fn pair() -> (Client, tokio::io::ReadHalf<DuplexStream>, tokio::io::WriteHalf<DuplexStream>) {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let client = Client { stream: ours, encoder: Encoder::new().expect("zlib"), decoder: Decoder::new() };
    let (reader, writer) = tokio::io::split(theirs);
    (client, reader, writer)
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_opened_heard_answered_and_ended() {
    let (mut client, reader, writer) = pair();
    let (mut streams, farewell, work) = serve(reader, writer);
    let server = async {
        let mut stream = streams.recv().await.expect("a stream");
        assert_eq!((stream.id, stream.headers["streamtype"].as_str()), (1, "data"));
        let mut said = String::new();
        stream.reader.read_to_string(&mut said).await.expect("text");
        stream.writer.write(Bytes::from(format!("you said {said}"))).await.expect("the client is there");
        stream.writer.finish().await.expect("the client is there");
        farewell.say().await;
    };
    let user = async {
        client.say(Client::open(1, false)).await;
        assert_eq!(client.hear().await, Frame::SynReply { id: 1, headers: Headers::new() });
        client.say(Frame::Ping { id: 9 }).await;
        assert_eq!(client.hear().await, Frame::Ping { id: 9 });
        client.say(Frame::Data { id: 1, fin: false, bytes: Bytes::from_static(b"hel") }).await;
        client.say(Frame::Data { id: 1, fin: true, bytes: Bytes::from_static(b"lo") }).await;
        let data = |bytes: &'static [u8], fin| Frame::Data { id: 1, fin, bytes: Bytes::from_static(bytes) };
        assert_eq!(client.hear().await, data(b"you said hello", false));
        assert_eq!(client.hear().await, data(b"", true));
        assert_eq!(client.hear().await, Frame::GoAway { last: 0 });
        assert_eq!(client.stream.read(&mut [0; 1]).await.expect("the end"), 0);
    };
    tokio::join!(work, server, user);
}

#[tokio::test]
async fn streams_out_of_order_are_reset_and_a_hang_up_ends_all() {
    let (mut client, reader, writer) = pair();
    let (mut streams, _farewell, work) = serve(reader, writer);
    let user = async move {
        client.say(Client::open(3, true)).await;
        assert_eq!(client.hear().await, Frame::SynReply { id: 3, headers: Headers::new() });
        for id in [1, 2, 3] {
            client.say(Client::open(id, false)).await;
            assert_eq!(client.hear().await, Frame::RstStream { id, status: 1 });
        }
    };
    let server = async {
        let mut stream = streams.recv().await.expect("a stream");
        assert_eq!(stream.reader.read(&mut [0; 1]).await.expect("nothing was said"), 0);
        assert!(streams.recv().await.is_none(), "the others were refused, and the client is gone");
    };
    tokio::join!(work, user, server);
}

#[tokio::test(start_paused = true)]
async fn both_sides_speak_with_each_other_until_one_hangs_up() {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let (reader, writer) = tokio::io::split(theirs);
    let (mut streams, _farewell, serving) = serve(reader, writer);
    let (reader, writer) = tokio::io::split(ours);
    let (mut opener, carrying) = connect(reader, writer);
    let server = async {
        // Answers the second first.
        let one = streams.recv().await.expect("a stream");
        let mut two = streams.recv().await.expect("another");
        let mut said = String::new();
        two.reader.read_to_string(&mut said).await.expect("text");
        two.writer.write(Bytes::from(format!("{} said {said}", two.headers["streamtype"]))).await.expect("it is heard");
        two.writer.finish().await.expect("it is heard");
        one
    };
    let client = async {
        let headers = |of: &str| Headers::from([("streamtype".to_owned(), of.to_owned())]);
        let mut one = opener.open(headers("error")).await.expect("the server is there");
        let mut two = opener.open(headers("data")).await.expect("the server is there");
        assert_eq!((one.id, two.id), (1, 3));
        two.writer.write(Bytes::from_static(b"hello")).await.expect("it is heard");
        two.writer.finish().await.expect("it is heard");
        let mut said = String::new();
        two.reader.read_to_string(&mut said).await.expect("text");
        assert_eq!(said, "data said hello");
        one.reader.read_to_string(&mut said).await.expect("an end");
        assert_eq!(said, "data said hello", "the end of the connection is the end of its streams");
    };
    let hang_up = async {
        tokio::select! {
            () = serving => unreachable!("the client does not hang up"),
            _one = async { let one = server.await; tokio::time::sleep(std::time::Duration::from_secs(1)).await; one } => {}
        }
    };
    tokio::join!(hang_up, client, carrying);
}

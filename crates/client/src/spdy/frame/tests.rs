use bytes::{Bytes, BytesMut};
use component_base::Random;

use super::{Decoder, Encoder, Frame, HEAD_BYTES, Head, Headers, SpdyError};

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn frames() -> Vec<Frame> {
    vec![
        Frame::SynStream { id: 1, fin: false, headers: headers(&[("streamtype", "error"), ("port", "8080")]) },
        Frame::SynStream { id: 3, fin: true, headers: headers(&[("streamtype", "data"), ("port", "8080")]) },
        Frame::SynReply { id: 3, headers: headers(&[]) },
        Frame::Data { id: 3, fin: false, bytes: Bytes::from_static(b"hello") },
        Frame::Data { id: 3, fin: true, bytes: Bytes::new() },
        Frame::RstStream { id: 1, status: 5 },
        Frame::Ping { id: 7 },
        Frame::GoAway { last: 3 },
        Frame::SynStream { id: 5, fin: false, headers: headers(&[("x", &"long ".repeat(900))]) },
    ]
}

fn encoded(frames: &[Frame]) -> BytesMut {
    let (mut encoder, mut bytes) = (Encoder::new().expect("zlib"), BytesMut::new());
    for frame in frames {
        encoder.encode(frame, &mut bytes).expect("they fit");
    }
    bytes
}

/// All frames, or those before the first bad one and what is wrong with that.
fn decoded(mut bytes: &[u8]) -> (Vec<Frame>, Option<SpdyError>) {
    let (mut decoder, mut frames) = (Decoder::new(), Vec::new());
    while let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() {
        let head = match Head::parse(*head) {
            Ok(head) => head,
            Err(error) => return (frames, Some(error)),
        };
        let Some((payload, rest)) = rest.split_at_checked(head.length) else { break };
        match decoder.decode(head, Bytes::copy_from_slice(payload)) {
            Ok(frame) => frames.push(frame),
            Err(error) => return (frames, Some(error)),
        }
        bytes = rest;
    }
    (frames, None)
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(decoded(&encoded(&frames())), (frames(), None));
}

#[test]
fn a_frame_has_the_bytes_of_the_protocol() {
    let bytes = encoded(&[Frame::Data { id: 5, fin: true, bytes: Bytes::from_static(b"hi") }, Frame::Ping { id: 2 }]);
    assert_eq!(&bytes[..10], b"\x00\x00\x00\x05\x01\x00\x00\x02hi");
    assert_eq!(&bytes[10..], b"\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x02");
    // zlib's header says that there is a dictionary, and which.
    let bytes = encoded(&[Frame::SynReply { id: 1, headers: headers(&[("a", "b")]) }]);
    assert_eq!(&bytes[12..18], b"\x78\xbb\xe3\xc6\xa7\xc2");
}

#[test]
fn what_is_too_large_or_of_another_version_is_refused() {
    assert_eq!(Head::parse([0x80, 2, 0, 6, 0, 0, 0, 4]), Err(SpdyError::Frame));
    assert_eq!(Head::parse([0, 0, 0, 1, 0, 0x20, 0, 0]), Err(SpdyError::Frame));
    let huge = Frame::SynStream { id: 1, fin: false, headers: headers(&[("x", &"y".repeat(20_000))]) };
    assert_eq!(decoded(&encoded(&[huge])), (vec![], Some(SpdyError::Headers)));
    let number_is_missing = b"\x80\x03\x00\x06\x00\x00\x00\x02\x00\x00";
    assert_eq!(decoded(number_is_missing), (vec![], Some(SpdyError::Frame)));
}

#[test]
fn whatever_comes_is_read_or_refused() {
    let good = encoded(&frames());
    for seed in 0..2000 {
        let random = Random::from_seed(seed);
        let mut bytes = good.to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(3) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes.insert(at, random.below(256) as u8),
                _ => bytes.truncate(at.max(1)),
            }
        }
        // It is no more than was sent, and nothing panics or hangs.
        assert!(decoded(&bytes).0.len() <= bytes.len() / HEAD_BYTES, "seed {seed}");
    }
}

use std::fs::File;
use std::io::Read;
use std::os::unix::net::UnixStream;

use super::*;

fn pair() -> (Connection, Connection) {
    let (a, b) = UnixStream::pair().expect("pair");
    (Connection::new(a.into()).expect("connection"), Connection::new(b.into()).expect("connection"))
}

#[test]
fn frames_keep_their_order_and_their_descriptors() {
    let (near, mut far) = pair();
    let file = File::open("/proc/self/cmdline").expect("file");
    near.send(&"plain", &[]).expect("send");
    near.send(&"with", &[file.as_fd(), file.as_fd()]).expect("send");
    near.send(&"after", &[]).expect("send");
    let mut got = vec![];
    while got.len() < 3 {
        far.read().expect("read");
        while let Some((text, fds)) = far.next::<String>().expect("frame") {
            got.push((text, fds));
        }
    }
    let counts: Vec<(&str, usize)> = got.iter().map(|(text, fds)| (text.as_str(), fds.len())).collect();
    assert_eq!(counts, [("plain", 0), ("with", 2), ("after", 0)]);
    let mut text = String::new();
    File::from(got.remove(1).1.remove(0)).read_to_string(&mut text).expect("the same file");
    assert!(!text.is_empty());
}

#[test]
fn a_peer_that_does_not_read_is_an_error_and_not_a_wait() {
    let (near, _far) = pair();
    let big = "x".repeat(100_000);
    let stuck = (0..1000).find_map(|_| near.send(&big, &[]).err()).expect("the buffer ends");
    assert_eq!(stuck.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn nonsense_is_refused() {
    let (near, mut far) = pair();
    send(near.as_fd(), &[255; 16], &[]).expect("send");
    far.read().expect("read");
    assert_eq!(far.next::<String>().expect_err("nonsense").kind(), io::ErrorKind::InvalidData);
    drop(near);
    assert_eq!(far.read().expect_err("gone").kind(), io::ErrorKind::UnexpectedEof);
}

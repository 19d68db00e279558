//! Frames and records, byte by byte.

use super::{
    FRAME_HEADER_BYTES, FrameKind, Record, SegmentHeader, finish_frame,
    frame::{ALIGNMENT, Frame},
    mark, put_record, start_frame,
};

fn group(salt: u64, revision: u64, records: &[Record<'_>]) -> Vec<u8> {
    let mut buffer = Vec::new();
    start_frame(&mut buffer);
    for record in records {
        put_record(&mut buffer, *record);
    }
    finish_frame(&mut buffer, FrameKind::Group, salt, revision, records.len() as u32);
    buffer
}

#[test]
fn records_survive_the_way_through_a_frame() {
    let records = [
        Record::Put { key: "/registry/pods/a", value: b"\0\xff" },
        Record::Delete { key: "/ü" },
        Record::Put { key: "", value: b"" },
    ];
    let bytes = group(7, 42, &records);
    assert_eq!(bytes.len() % ALIGNMENT, 0);
    let frame = Frame::read(&bytes, 0, 7).expect("it is whole");
    assert_eq!((frame.kind, frame.revision, frame.count, frame.len()), (FrameKind::Group, 42, 3, bytes.len()));
    let mut rest = frame.records;
    let read: Vec<_> = std::iter::from_fn(|| Record::take(&mut rest)).collect();
    assert_eq!(read, records);
    assert_eq!(Frame::read(&bytes, 0, 8), None, "another segment's salt");
}

#[test]
fn every_bit_of_a_frame_counts() {
    let bytes = group(7, 42, &[Record::Put { key: "/k", value: b"value" }]);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Frame::read(&flipped, 0, 7), None, "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert_eq!(Frame::read(&bytes[..length], 0, 7), None, "cut at {length}");
    }
}

#[test]
fn broken_records_do_not_parse() {
    for bytes in
        [&b""[..], &[0], &[1, 2, 0], &[1, 1, 0, 9, 0, 0, 0, b'k'], &[2, 2, 0, b'k'], &[2, 1, 0, 0xff], &[3, 0, 0]]
    {
        assert_eq!(Record::take(&mut &bytes[..]), None, "{bytes:?}");
    }
}

#[test]
fn a_mark_is_a_frame_without_records() {
    let bytes = mark(FrameKind::Seal, 1, 9);
    assert_eq!(bytes.len(), FRAME_HEADER_BYTES);
    let frame = Frame::read(&bytes, 0, 1).expect("it is whole");
    assert_eq!((frame.kind, frame.revision, frame.count), (FrameKind::Seal, 9, 0));
}

#[test]
fn a_header_says_what_its_file_must_be() {
    let header = SegmentHeader { ordinal: 3, bytes: 8192, salt: 1 };
    let mut bytes = header.encode();
    bytes.resize(8192, 0);
    assert_eq!(SegmentHeader::decode(3, &bytes).expect("it is whole"), header);
    let what = |ordinal, bytes: &[u8]| SegmentHeader::decode(ordinal, bytes).expect_err("it is wrong").what;
    assert_eq!(what(4, &bytes), "this is segment 3, not 4: the file was renamed");
    assert_eq!(what(3, &bytes[..8191]), "the file has 8191 bytes but was made with 8192: it was cut or grew");
    assert_eq!(what(3, &bytes[..20]), "the file has 20 bytes, not even a header");
    bytes[4000] = 1;
    assert_eq!(what(3, &bytes), "the segment's header is broken");
}

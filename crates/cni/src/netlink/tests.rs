use super::*;

#[test]
fn what_is_written_is_read_back() {
    let mut writer = Writer::default();
    let message = writer.begin_message(16, NLM_F_REQUEST, 7);
    writer.string(3, "eth0");
    let nest = writer.begin_nest(18);
    writer.u32_be(1, 0x0102_0304);
    writer.end_nest(nest);
    writer.end_message(message);
    let second = writer.begin_message(NLMSG_ERROR, 0, 8);
    writer.bytes.extend_from_slice(&(-17i32).to_ne_bytes());
    writer.end_message(second);

    let read: Vec<Message<'_>> = messages(&writer.bytes).collect();
    assert_eq!((read[0].kind, read[0].sequence), (16, 7));
    let found: Vec<(u16, &[u8])> = attributes(read[0].body).collect();
    assert_eq!(found[0], (3, b"eth0\0".as_slice()));
    assert_eq!(attributes(found[1].1).next(), Some((1, [1, 2, 3, 4].as_slice())));
    assert_eq!(read[1].error(), Some(Some(Errno::EXIST)));
}

#[test]
fn torn_input_ends_quietly() {
    assert_eq!(messages(&[1, 2, 3]).count(), 0);
    assert_eq!(messages(&[255; 64]).count(), 0);
    assert_eq!(attributes(&[3, 0, 1, 0, 9, 9]).count(), 0);
}

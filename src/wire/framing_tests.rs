use proptest::prelude::*;

use super::*;

/// What a connection reads when the bytes arrive cut at these places: frames, or the reason of a wrong one.
pub(crate) fn read_in_pieces(bytes: &[u8], cuts: &[usize], limit: usize) -> Vec<Result<Vec<u8>, (Reason, bool)>> {
    let mut codec = FrameCodec::new(limit);
    let mut items = Vec::new();
    let mut buffer = BytesMut::new();
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    places.push(bytes.len());
    places.sort_unstable();
    let mut from = 0;
    for to in places {
        buffer.extend_from_slice(&bytes[from..to]);
        from = to;
        while let Some(item) = codec.decode(&mut buffer).expect("no input or output here") {
            items.push(item);
        }
    }
    while let Some(item) = codec.decode_eof(&mut buffer).expect("no input or output here") {
        items.push(item);
    }
    items
        .into_iter()
        .map(|item| match item {
            Ok(frame) => Ok(frame.bytes.to_vec()),
            Err(wrong) => Err((wrong.refusal.reason, wrong.fatal)),
        })
        .collect()
}

fn read(bytes: &[u8]) -> Vec<Result<Vec<u8>, (Reason, bool)>> {
    read_in_pieces(bytes, &[], 64)
}

const LOST: Result<Vec<u8>, (Reason, bool)> = Err((Reason::ParseError, true));

fn json_object() -> impl Strategy<Value = String> {
    let text = "(\\PC|[\"\\\\{}\\[\\],:]){0,12}";
    prop::collection::vec((text, text), 0..5).prop_map(|members| {
        let pairs = members.into_iter().map(|(name, value)| (name, serde_json::json!([{"v": value}, 1.5, null])));
        serde_json::Value::Object(pairs.collect()).to_string()
    })
}

proptest! {
    #[test]
    fn frames_are_read_as_written_under_every_cut(
        texts in prop::collection::vec(json_object(), 1..6),
        netstring in any::<bool>(),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let framing = if netstring { Framing::Netstring } else { Framing::Bare };
        let mut bytes = BytesMut::new();
        for text in &texts {
            write_frame(&mut bytes, framing, text);
        }
        let expected: Vec<_> = texts.iter().map(|text| Ok(text.clone().into_bytes())).collect();
        prop_assert_eq!(read_in_pieces(&bytes, &cuts, 4096), expected);
        // Cut before every byte, too.
        let everywhere: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(read_in_pieces(&bytes, &everywhere, 4096).len(), texts.len());
    }

    #[test]
    fn any_bytes_give_the_same_under_every_cut(
        bytes in prop::collection::vec(prop_oneof![prop::sample::select(b"{}[]\"\\:,0123 \n".to_vec()), any::<u8>()], 0..80),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let whole = read_in_pieces(&bytes, &[], 16);
        prop_assert_eq!(read_in_pieces(&bytes, &cuts, 16), whole.clone());
        for item in whole.iter().flatten() {
            prop_assert!(item.len() <= 16);
        }
        // After a fatal one there is nothing.
        let fatal = whole.iter().position(|item| matches!(item, Err((_, true))));
        prop_assert!(fatal.is_none_or(|at| at + 1 == whole.len()));
    }
}

#[test]
fn whitespace_between_bare_documents_is_no_document() {
    assert_eq!(read(b" \r\n{}\n\t{\"a\":\"}\"} \n"), [Ok(b"{}".to_vec()), Ok(b"{\"a\":\"}\"}".to_vec())]);
    assert_eq!(read(b" \n"), []);
    assert_eq!(read(b""), []);
}

#[test]
fn a_wrong_length_loses_the_framing() {
    for bytes in ["-2:{},", "+2:{},", "02:{},", "00:,", "2 :{},", "2{},", "123456789:", "2:{};", "2:{}2:{},"] {
        assert_eq!(read(bytes.as_bytes()), [LOST], "{bytes}");
    }
}

#[test]
fn an_empty_netstring_is_a_sound_frame() {
    assert_eq!(read(b"0:,2:{},"), [Ok(Vec::new()), Ok(b"{}".to_vec())]);
}

#[test]
fn an_oversized_netstring_is_refused_and_skipped() {
    let mut bytes = format!("65:{},", "x".repeat(65)).into_bytes();
    bytes.extend_from_slice(b"2:{},");
    let expected = [Err((Reason::LimitExceeded, false)), Ok(b"{}".to_vec())];
    assert_eq!(read(&bytes), expected);
    assert_eq!(read_in_pieces(&bytes, &(0..bytes.len()).collect::<Vec<_>>(), 64), expected);
    bytes[68] = b'.';
    assert_eq!(read(&bytes), [Err((Reason::LimitExceeded, false)), LOST]);
}

#[test]
fn a_frame_of_exactly_the_limit_is_taken() {
    let text = format!("{{\"a\":\"{}\"}}", "x".repeat(56));
    assert_eq!(text.len(), 64);
    assert_eq!(read(text.as_bytes()), [Ok(text.clone().into_bytes())]);
    assert_eq!(read(format!("64:{text},").as_bytes()), [Ok(text.clone().into_bytes())]);
    let longer = text.replacen('x', "xx", 1);
    assert_eq!(read(longer.as_bytes()), [Err((Reason::LimitExceeded, true))]);
}

#[test]
fn a_bare_document_is_an_object_or_an_array() {
    for bytes in ["null", "\"{}\"", "}", ",{}", "\u{feff}{}", "\0", "{}x"] {
        assert_eq!(read(bytes.as_bytes()).last(), Some(&LOST), "{bytes:?}");
    }
    assert_eq!(read(b"[{}]"), [Ok(b"[{}]".to_vec())]);
}

#[test]
fn a_connection_that_ends_within_a_frame_is_told_so() {
    for bytes in ["1", "2:", "2:{", "2:{}", "{\"a\":1", "65:xxx"] {
        assert_eq!(read(bytes.as_bytes()).last(), Some(&LOST), "{bytes}");
    }
}

#[test]
fn no_byte_of_a_bare_document_is_looked_at_twice() {
    let mut codec = FrameCodec::new(DEFAULT_FRAME_LIMIT);
    let mut buffer = BytesMut::from(&b"{\"a\":\"\\"[..]);
    assert!(codec.next(&mut buffer).is_none());
    let State::Document(scanner) = codec.state else { panic!("not within a document") };
    assert_eq!((scanner.at, scanner.in_string, scanner.escaped), (7, true, true));
    buffer.extend_from_slice(b"\"}\"}{");
    assert_eq!(codec.next(&mut buffer).and_then(Result::ok).map(|frame| frame.bytes.len()), Some(11));
    assert_eq!(&buffer[..], b"{");
}

//! Frames: the same bytes give the same frames however they are cut into reads, none above the limit,
//! and nothing after the framing is lost.

use bytes::BytesMut;
use recalld::wire::framing::{FrameCodec, WrongFrame};
use tokio_util::codec::Decoder;

const LIMIT: usize = 512;

/// Looks at one input: how many reads, the length of each, one byte for each of these, then what is read.
pub fn run(input: &[u8]) {
    let Some((count, rest)) = input.split_first() else { return };
    let (lengths, bytes) = rest.split_at(usize::from(*count).min(rest.len()));
    let whole = read(bytes, &[]);
    assert_eq!(whole, read(bytes, lengths));
    for (at, item) in whole.iter().enumerate() {
        match item {
            Ok(frame) => assert!(frame.len() <= LIMIT),
            Err(wrong) => assert!(!wrong.fatal || at + 1 == whole.len()),
        }
    }
}

fn read(bytes: &[u8], lengths: &[u8]) -> Vec<Result<Vec<u8>, WrongFrame>> {
    let mut codec = FrameCodec::new(LIMIT);
    let mut buffer = BytesMut::new();
    let mut items = Vec::new();
    let mut rest = bytes;
    for length in lengths.iter().map(|length| usize::from(*length)).chain([bytes.len()]) {
        let (piece, left) = rest.split_at(length.min(rest.len()));
        rest = left;
        buffer.extend_from_slice(piece);
        while let Some(item) = codec.decode(&mut buffer).expect("no input or output here") {
            items.push(item.map(|frame| frame.bytes.to_vec()));
        }
    }
    while let Some(item) = codec.decode_eof(&mut buffer).expect("no input or output here") {
        items.push(item.map(|frame| frame.bytes.to_vec()));
    }
    items
}

//! Frames of the JSON-RPC channel (PRODUCT.md 5.1): netstrings (`<length>:<JSON>,`) and bare
//! concatenated JSON on the same port, told apart by the first byte of the connection.
//!
//! | what is wrong | reason | closes the connection |
//! |---|---|---|
//! | netstring: length with a sign, leading zeros, other bytes, more than [`LENGTH_DIGITS`] digits | `parse_error` | yes |
//! | netstring: no comma where the length says the frame ends | `parse_error` | yes |
//! | netstring: longer than the limit | `limit_exceeded` | no: its bytes are skipped |
//! | bare: a document that is no object and no array | `parse_error` | yes |
//! | bare: a document without end within the limit | `limit_exceeded` | yes |
//! | the peer ended the connection within a frame | `parse_error` | yes |
//!
//! What is wrong inside a frame is found by [`super::jsonrpc`]; [`Framing::is_lost_after`] says
//! whether the frames after it can still be told apart.

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::Decoder;

use super::json;
use crate::domain::refusal::{Reason, Refusal};

/// Most bytes of one frame if the configuration says nothing (PRODUCT.md 4.4).
pub const DEFAULT_FRAME_LIMIT: usize = 64 * 1024;

/// Most digits of a netstring's length: Kamailio wants them within the first 10 bytes, too.
pub const LENGTH_DIGITS: usize = 8;

/// How the peer separates its documents; it is answered in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// `<length>:<JSON>,` (Kamailio).
    Netstring,
    /// Documents butt together, with or without whitespace between them (OpenSIPS).
    Bare,
}

impl Framing {
    /// Whether the end of a frame is in doubt after it was refused for this reason. The connection
    /// is closed after the answer then.
    #[must_use]
    pub const fn is_lost_after(self, reason: Reason) -> bool {
        matches!((self, reason), (Framing::Bare, Reason::ParseError))
    }
}

/// One JSON text of a switch, not parsed yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The bytes between the separators.
    pub bytes: Bytes,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} bytes)", self.bytes.len())
    }
}

/// Bytes that are no frame. They can be answered, without an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongFrame {
    /// What to answer.
    pub refusal: Refusal,
    /// Whether the framing is lost, so that the connection must close after the answer.
    pub fatal: bool,
}

impl WrongFrame {
    fn fatal(reason: Reason, detail: &'static str) -> Self {
        Self { refusal: Refusal::new(reason, detail), fatal: true }
    }
}

/// Where in the stream the decoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing read: the next byte decides.
    Unknown,
    /// At the first digit of a length.
    Length,
    /// The length is read; this many bytes and a comma follow.
    Body(usize),
    /// Bytes of a frame above the limit still to be thrown away before its comma.
    Skip(usize),
    /// Before or within a bare document.
    Document(Scanner),
    /// The framing is lost: nothing more is read.
    Closed,
}

/// Splits the bytes of one connection into frames.
#[derive(Debug)]
pub struct FrameCodec {
    limit: usize,
    framing: Option<Framing>,
    state: State,
}

impl FrameCodec {
    /// A decoder for one connection that takes frames up to `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, framing: None, state: State::Unknown }
    }

    /// How the peer frames; none before its first byte.
    #[must_use]
    pub const fn framing(&self) -> Option<Framing> {
        self.framing
    }

    /// Whether no frame has begun, given what is left of the bytes.
    #[must_use]
    pub fn is_between_frames(&self, src: &BytesMut) -> bool {
        match self.state {
            State::Unknown | State::Length => src.is_empty(),
            State::Document(scanner) => scanner.at == 0 && src.is_empty(),
            State::Closed => true,
            State::Body(_) | State::Skip(_) => false,
        }
    }

    fn next(&mut self, src: &mut BytesMut) -> Option<Result<Frame, WrongFrame>> {
        loop {
            let step = match self.state {
                State::Unknown => self.begin(src)?,
                State::Length => self.length(src),
                State::Body(length) => self.body(src, length),
                State::Skip(left) => self.skip(src, left),
                State::Document(scanner) => self.document(src, scanner),
                State::Closed => {
                    src.clear();
                    return None;
                }
            };
            match step {
                Step::Again => {}
                Step::NeedsMore => return None,
                Step::Frame(bytes) => return Some(Ok(Frame { bytes })),
                Step::Wrong(wrong) => {
                    if wrong.fatal {
                        self.state = State::Closed;
                        src.clear();
                    }
                    return Some(Err(wrong));
                }
            }
        }
    }

    /// Tells the framing by the first byte. A sign is taken for the start of a wrong length.
    fn begin(&mut self, src: &BytesMut) -> Option<Step> {
        let (framing, state) = match src.first()? {
            b'0'..=b'9' | b'+' | b'-' => (Framing::Netstring, State::Length),
            _ => (Framing::Bare, State::Document(Scanner::default())),
        };
        self.framing = Some(framing);
        self.state = state;
        Some(Step::Again)
    }

    fn length(&mut self, src: &mut BytesMut) -> Step {
        let mut length = 0_usize;
        for (at, byte) in src.iter().copied().enumerate() {
            match byte {
                b':' if at > 0 => {
                    src.advance(at + 1);
                    if length > self.limit {
                        self.state = State::Skip(length);
                        return Step::Wrong(WrongFrame { refusal: too_long("frame", self.limit), fatal: false });
                    }
                    self.state = State::Body(length);
                    return Step::Again;
                }
                b'0'..=b'9' if at >= LENGTH_DIGITS => {
                    return wrong(Reason::ParseError, "the length of a netstring has too many digits");
                }
                b'0'..=b'9' if at > 0 && length == 0 => {
                    return wrong(Reason::ParseError, "the length of a netstring has no leading zeros");
                }
                b'0'..=b'9' => length = length * 10 + usize::from(byte - b'0'),
                _ => return wrong(Reason::ParseError, "a netstring starts with its length in digits and a colon"),
            }
        }
        Step::NeedsMore
    }

    fn body(&mut self, src: &mut BytesMut, length: usize) -> Step {
        match src.get(length) {
            None => {
                src.reserve((length + 1).saturating_sub(src.len()));
                Step::NeedsMore
            }
            Some(b',') => {
                let bytes = src.split_to(length).freeze();
                src.advance(1);
                self.state = State::Length;
                Step::Frame(bytes)
            }
            Some(_) => wrong(Reason::ParseError, "a netstring ends with a comma where its length says"),
        }
    }

    fn skip(&mut self, src: &mut BytesMut, left: usize) -> Step {
        let skipped = left.min(src.len());
        src.advance(skipped);
        if skipped < left {
            self.state = State::Skip(left - skipped);
            return Step::NeedsMore;
        }
        match src.first() {
            None => {
                self.state = State::Skip(0);
                Step::NeedsMore
            }
            Some(b',') => {
                src.advance(1);
                self.state = State::Length;
                Step::Again
            }
            Some(_) => wrong(Reason::ParseError, "a netstring ends with a comma where its length says"),
        }
    }

    fn document(&mut self, src: &mut BytesMut, mut scanner: Scanner) -> Step {
        if scanner.at == 0 {
            let blank = src.iter().take_while(|byte| json::is_whitespace(**byte)).count();
            src.advance(blank);
            match src.first() {
                None => return Step::NeedsMore,
                Some(b'{' | b'[') => {}
                Some(_) => return wrong(Reason::ParseError, "a document is a JSON object"),
            }
        }
        let within_limit = src.get(..src.len().min(self.limit)).unwrap_or_default();
        if scanner.finds_end(within_limit) {
            self.state = State::Document(Scanner::default());
            return Step::Frame(src.split_to(scanner.at).freeze());
        }
        if src.len() >= self.limit {
            return Step::Wrong(WrongFrame { refusal: too_long("document", self.limit), fatal: true });
        }
        self.state = State::Document(scanner);
        Step::NeedsMore
    }
}

impl Decoder for FrameCodec {
    type Item = Result<Frame, WrongFrame>;
    type Error = std::io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Self::Item>, Self::Error> {
        Ok(self.next(src))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Self::Item>, Self::Error> {
        if let Some(item) = self.next(src) {
            return Ok(Some(item));
        }
        let between_frames = self.is_between_frames(src);
        self.state = State::Closed;
        src.clear();
        Ok((!between_frames).then(|| Err(WrongFrame::fatal(Reason::ParseError, "the connection ended within a frame"))))
    }
}

enum Step {
    Again,
    NeedsMore,
    Frame(Bytes),
    Wrong(WrongFrame),
}

fn wrong(reason: Reason, detail: &'static str) -> Step {
    Step::Wrong(WrongFrame::fatal(reason, detail))
}

fn too_long(what: &str, limit: usize) -> Refusal {
    Refusal::new(Reason::LimitExceeded, format!("a {what} is at most {limit} bytes long"))
}

/// Finds the end of a bare document. Remembers its place, so that no byte is looked at twice however
/// the document is cut into reads. Which bracket closes which is left to the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Scanner {
    at: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scanner {
    /// Goes on from where it stopped; `at` is the length of the document when it returns true.
    fn finds_end(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes.get(self.at..).unwrap_or_default() {
            self.at += 1;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }
}

/// Appends one JSON text as a frame.
pub fn write_frame(out: &mut BytesMut, framing: Framing, json: &str) {
    out.reserve(json.len() + 12);
    match framing {
        Framing::Bare => out.extend_from_slice(json.as_bytes()),
        Framing::Netstring => {
            out.extend_from_slice(json::Integer::length(json.len()).as_str().as_bytes());
            out.extend_from_slice(b":");
            out.extend_from_slice(json.as_bytes());
            out.extend_from_slice(b",");
        }
    }
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;

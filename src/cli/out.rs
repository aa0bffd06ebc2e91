//! Standard output, and what is told beside it to somebody who waits. A reader that has seen enough (`recalld calls |
//! head`) ends the program without a word.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::exit;

/// Prints one line, or several, with a newline at the end.
pub(super) fn line(text: impl AsRef<str>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_ref().as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()))
}

/// Prints a value as one line of JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string(value)?)
}

/// Says on standard error, where somebody sees it, what a command waits for and how to end that.
pub(super) fn waiting(what: &str) {
    if io::stderr().is_terminal() {
        eprintln!("{what}");
    }
}

fn written(result: io::Result<()>) -> anyhow::Result<()> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => exit::silently(exit::OK),
        _ => anyhow::Error::new(error).context("cannot write to standard output"),
    })
}

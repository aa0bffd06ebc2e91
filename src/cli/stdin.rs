//! Phone numbers come from standard input: a command line is seen by everybody on the machine and kept in histories.

use std::convert::Infallible;
use std::io::{self, BufRead, IsTerminal};

use anyhow::Context;
use zeroize::Zeroizing;

use super::{exit, out};

/// Where a number is to be read from. Only `-`, standard input, will do; whatever else was written may be a number, so
/// it is neither kept nor repeated in the refusal.
#[derive(Debug, Clone, Copy)]
pub(super) struct NumberSource {
    is_stdin: bool,
}

impl NumberSource {
    /// Reads the value of an option. What is wrong with it is said by [`NumberSource::read`].
    #[expect(clippy::unnecessary_wraps, reason = "the form of a value parser")]
    pub(super) fn parse(text: &str) -> Result<Self, Infallible> {
        Ok(Self { is_stdin: text == "-" })
    }

    /// The next line of standard input, without blanks around it.
    pub(super) fn read(self) -> anyhow::Result<Zeroizing<String>> {
        if !self.is_stdin {
            return Err(exit::with(
                exit::USAGE,
                "numbers are read from standard input, never from the command line: write - in place of the number, \
                 and give the number as a line of standard input",
            ));
        }
        if io::stdin().is_terminal() {
            out::waiting("waiting for a number: type it and press Enter; Ctrl-C ends it");
        }
        let mut line = Zeroizing::new(String::with_capacity(128));
        io::stdin().lock().read_line(&mut line).context("cannot read a number from standard input")?;
        let number = Zeroizing::new(line.trim().to_owned());
        if number.is_empty() {
            anyhow::bail!("there is no number on standard input: give each on a line of its own");
        }
        Ok(number)
    }
}

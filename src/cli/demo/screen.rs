//! How the demo is shown: scenes with a few sentences, and below them one line for each thing that happens.

use std::time::Duration;

use serde_json::Value;

use crate::cli::events::{self, Event};
use crate::cli::paint::Paint;
use crate::cli::simulate::context::Context;
use crate::cli::simulate::link::Refused;
use crate::cli::{out, words};

/// Columns of a terminal that everybody has room for.
const WIDTH: usize = 96;
const INDENT: &str = "   ";
/// Columns of what a line is about: a method, a call, a session.
const SUBJECT: usize = 18;

const SWITCH: &str = "▸ switch ";
const RECALLD: &str = "◂ recalld";
const WATCH: &str = "● watch  ";

/// How fast the day goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    step: Duration,
    scene: Duration,
}

impl Pace {
    /// To be read.
    pub(super) const CALM: Pace = Pace { step: Duration::from_millis(900), scene: Duration::from_millis(2_500) };
    /// To be over soon.
    pub(super) const BRISK: Pace = Pace { step: Duration::from_millis(100), scene: Duration::from_millis(300) };
}

/// The terminal, or what stands for it.
pub(super) struct Screen {
    paint: Paint,
    pace: Pace,
    width: usize,
}

impl Screen {
    pub(super) fn new(pace: Pace) -> Self {
        Self { paint: Paint::for_stdout(), pace, width: WIDTH }
    }

    /// What this is, before anything runs.
    pub(super) fn opening(&self) -> anyhow::Result<()> {
        self.heading("recalld remembers callers, not their phone numbers")?;
        self.tell(
            "recalld sits beside a phone switch. The switch tells it of every call, and gets back what is known of the \
             caller: whether she has called before, and what a voice app remembered. What follows are real calls over \
             the real port of a real daemon, as a switch like Kamailio would report them.",
        )?;
        let paint = self.paint;
        for (who, what) in [
            (paint.cyan(SWITCH), "what the switch reports"),
            (paint.green(RECALLD), "what it gets back, once it is safe on the disk"),
            (paint.yellow(WATCH), "what every voice app that watches sees at that moment"),
        ] {
            out::line(format!("{INDENT}{who} {what}"))?;
        }
        out::line("")
    }

    /// A title across the screen.
    pub(super) fn heading(&self, title: &str) -> anyhow::Result<()> {
        let rest = self.width.saturating_sub(title.chars().count() + 4);
        out::line(format!("\n{}", self.paint.bold(&format!("── {title} {}", "─".repeat(rest)))))
    }

    /// Sentences, broken into lines, and a blank line.
    pub(super) fn tell(&self, text: &str) -> anyhow::Result<()> {
        for line in wrapped(text, self.width - INDENT.len()) {
            out::line(format!("{INDENT}{line}"))?;
        }
        out::line("")
    }

    /// What goes on between two steps, after the time a reader needs for what is above it.
    pub(super) async fn meanwhile(&self, text: &str) -> anyhow::Result<()> {
        tokio::time::sleep(self.pace.step).await;
        out::line("")?;
        self.tell(text)
    }

    /// A name and what it stands for.
    pub(super) fn fact(&self, name: &str, text: &str) -> anyhow::Result<()> {
        out::line(format!("{INDENT}{} {text}", self.paint.dim(&format!("{name:<9}"))))
    }

    /// A command to type.
    pub(super) fn command(&self, purpose: &str, command: &str) -> anyhow::Result<()> {
        out::line(format!("{INDENT}{}", self.paint.dim(&format!("# {purpose}"))))?;
        out::line(format!("{INDENT}{}\n", self.paint.bold(command)))
    }

    /// A pause between two scenes.
    pub(super) async fn rest(&self) {
        tokio::time::sleep(self.pace.scene).await;
    }

    /// What the switch reports, after the time a reader needs for what is above it.
    pub(super) async fn reports(&self, method: &str, text: &str) -> anyhow::Result<()> {
        tokio::time::sleep(self.pace.step).await;
        out::line(format!("{INDENT}{} {method:<SUBJECT$} {text}", self.paint.cyan(SWITCH)))
    }

    /// What the switch gets back.
    pub(super) fn answers(&self, text: &str, took: Duration) -> anyhow::Result<()> {
        let line = format!("{INDENT}{} {text}", self.paint.green(RECALLD));
        let took = format!("{:.1} ms", took.as_secs_f64() * 1e3);
        let gap = self.width.saturating_sub(visible(&line) + took.len()).max(2);
        out::line(format!("{line}{}{}", " ".repeat(gap), self.paint.dim(&took)))
    }

    /// The context, in one line.
    pub(super) fn context(&self, context: &Context, took: Duration) -> anyhow::Result<()> {
        let paint = self.paint;
        let caller = match (context.anonymous, context.returning) {
            (true, _) => paint.magenta("withheld caller"),
            (false, true) => paint.green("returning caller"),
            (false, false) => paint.yellow("new caller"),
        };
        let known = context.variables.iter();
        let known = known.map(|(name, value)| format!("{} = {}", paint.bold(name), events::value(value)));
        let known = known.collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { paint.dim("nothing remembered") } else { known };
        self.answers(&format!("{} {caller}: {known}", self.session(&context.session_id)), took)
    }

    /// A refusal.
    pub(super) fn refusal(&self, refused: &Refused, took: Duration) -> anyhow::Result<()> {
        let Refused { reason, detail } = refused;
        self.answers(&format!("{} {detail}", self.paint.magenta(&format!("refused: {reason}."))), took)
    }

    /// What a watcher sees. Calls are told by `label`, where they have one.
    pub(super) fn sees(&self, event: &Event, label: impl Fn(&str) -> String) -> anyhow::Result<()> {
        let paint = self.paint;
        let text = match event {
            Event::Call(call) => format!("{:<SUBJECT$} {}", label(&call.call_id), call.told(paint)),
            Event::Change(change) => {
                let subject = match change.call_id.as_deref() {
                    Some(call) => format!("{:<SUBJECT$}", label(call)),
                    None => self.session(&change.session_id),
                };
                let revision = paint.dim(&format!("revision {}", change.revision));
                format!("{subject} {}  {revision}", change.told(paint))
            }
            Event::Other(kind) => kind.clone(),
        };
        out::line(format!("{INDENT}{} {text}", paint.yellow(WATCH)))
    }

    /// Whether something came out as it should.
    pub(super) fn check(&self, came_out: bool, text: &str) -> anyhow::Result<()> {
        let mark = if came_out { self.paint.green("✓") } else { self.paint.red("✗") };
        out::line(format!("{INDENT}{mark} {}", self.paint.bold(text)))
    }

    /// A session by the beginning of its ID.
    fn session(&self, id: &str) -> String {
        let shown = if id.starts_with("anon-") { 9 } else { 8 };
        self.paint.cyan(&format!("{:<SUBJECT$}", format!("session {}", words::cut(id, shown))))
    }
}

/// Characters of a line that take room: colours do not.
fn visible(line: &str) -> usize {
    let mut in_colour = false;
    let takes_room = |character: char| {
        let was_in_colour = in_colour;
        in_colour = character == '\u{1b}' || (in_colour && character != 'm');
        !(was_in_colour || in_colour)
    };
    line.chars().map(takes_room).filter(|takes_room| *takes_room).count()
}

/// Names and values that are set.
pub(super) fn assignments(set: &[(&str, Value)]) -> String {
    set.iter().map(|(name, value)| format!("{name} = {}", events::value(value))).collect::<Vec<_>>().join(", ")
}

/// Breaks a text between words into lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_take_no_room() {
        assert_eq!(visible("a\u{1b}[32m✓\u{1b}[0mb"), 3);
    }

    #[test]
    fn a_text_is_broken_between_words() {
        assert_eq!(wrapped("a bc  def g", 4), ["a bc", "def", "g"]);
        assert_eq!(wrapped("longer x", 3), ["longer", "x"]);
    }
}

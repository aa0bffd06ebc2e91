//! Events of the admin socket's `watch`, and how they are told in one line.

use serde::Deserialize;
use serde_json::Value;

use super::paint::Paint;
use super::words;

/// Longest value that is shown in a stream.
const LONGEST_VALUE: usize = 60;

/// One event.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// Something happened to a call.
    Call(CallEvent),
    /// A variable changed.
    Change(ChangeEvent),
    /// Anything else, by its type.
    Other(String),
}

/// Something happened to a call.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct CallEvent {
    pub(super) at: String,
    pub(super) instance_id: String,
    pub(super) session_id: String,
    pub(super) call_id: String,
    pub(super) event: String,
    #[serde(default)]
    pub(super) returning: bool,
    #[serde(default)]
    pub(super) anonymous: bool,
    #[serde(default)]
    pub(super) active_calls: u64,
}

/// A variable changed.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ChangeEvent {
    pub(super) at: String,
    pub(super) instance_id: String,
    pub(super) session_id: String,
    #[serde(default)]
    pub(super) call_id: Option<String>,
    pub(super) revision: u64,
    pub(super) cause: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) lifetime: Option<String>,
    #[serde(default)]
    pub(super) value: Option<Value>,
}

impl Event {
    /// Reads one line of the stream.
    pub(super) fn read(line: &Value) -> anyhow::Result<Self> {
        Ok(match line.get("type").and_then(Value::as_str) {
            Some("call") => Event::Call(CallEvent::deserialize(line)?),
            Some("change") => Event::Change(ChangeEvent::deserialize(line)?),
            other => Event::Other(other.unwrap_or("unknown").to_owned()),
        })
    }
}

impl CallEvent {
    /// What happened, without the IDs.
    pub(super) fn told(&self, paint: Paint) -> String {
        match self.event.as_str() {
            "started" => {
                let who = match (self.anonymous, self.returning) {
                    (true, _) => paint.magenta("withheld caller"),
                    (false, true) => paint.green("returning caller"),
                    (false, false) => paint.yellow("new caller"),
                };
                format!("{}: {who}, {}", paint.bold("started"), active(self.active_calls))
            }
            "ended" => format!("{}: {}", paint.bold("ended"), active(self.active_calls)),
            other => words::printable(other),
        }
    }
}

impl ChangeEvent {
    /// What changed, without the IDs.
    pub(super) fn told(&self, paint: Paint) -> String {
        let name = paint.bold(&words::printable(&self.name));
        let lifetime = self.lifetime.as_deref().unwrap_or("-");
        let why = match self.cause.as_str() {
            "set" => {
                return match &self.value {
                    Some(value) => format!("{name} = {} ({lifetime})", self::value(value)),
                    None => format!("{name} is set ({lifetime})"),
                };
            }
            "deleted" => "deleted",
            "expired" => "its time is over",
            "new_call" => "a new call began",
            "call_ended" => "its call ended",
            "erased" => "the caller was erased",
            "purged" => "the tenant was purged",
            other => other,
        };
        format!("{name} {} ({lifetime}): {}", paint.red("is gone"), words::printable(why))
    }
}

/// A value as JSON, as far as it fits into a line.
pub(super) fn value(value: &Value) -> String {
    words::cut(&value.to_string(), LONGEST_VALUE)
}

fn active(calls: u64) -> String {
    match calls {
        0 => "no call left".to_owned(),
        some => words::counted(some, "active call", "active calls"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_events_of_the_admin_socket_are_read() {
        let call = json!({
            "type": "call", "at": "2026-10-01T08:12:44.120Z", "tenant": "acme", "instance_id": "support-de",
            "session_id": "5f", "call_id": "1@lab", "event": "started", "returning": true, "anonymous": false,
            "active_calls": 2,
        });
        let change = json!({
            "type": "change", "at": "2026-10-01T08:12:44.120Z", "tenant": "acme", "instance_id": "support-de",
            "session_id": "5f", "call_id": null, "revision": 18, "cause": "set", "name": "language",
            "lifetime": "user", "value": "d\u{9b}e",
        });
        assert!(matches!(Event::read(&call), Ok(Event::Call(call)) if call.returning && call.active_calls == 2));
        let Ok(Event::Change(change)) = Event::read(&change) else { panic!("a change is a change") };
        assert!(change.value.is_some() && change.call_id.is_none());
        assert!(matches!(Event::read(&json!({ "type": "lagged" })), Ok(Event::Other(word)) if word == "lagged"));
        assert!(Event::read(&json!({ "type": "change" })).is_err());
        assert_eq!(value(&json!("d\u{9b}e")), "\"d\\u009be\"");
    }
}

//! The context of a session (PRODUCT.md 5.2), told to people.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::paint::Paint;
use crate::cli::{events, words};

/// What a switch gets back for a call.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::cli) struct Context {
    pub(in crate::cli) session_id: String,
    pub(in crate::cli) tenant: String,
    pub(in crate::cli) instance_id: String,
    pub(in crate::cli) returning: bool,
    pub(in crate::cli) anonymous: bool,
    pub(in crate::cli) assurance: String,
    pub(in crate::cli) active_calls: u64,
    pub(in crate::cli) first_contact: Option<String>,
    pub(in crate::cli) last_contact: Option<String>,
    pub(in crate::cli) revision: u64,
    pub(in crate::cli) variables: Map<String, Value>,
    #[serde(default)]
    pub(in crate::cli) withheld: Vec<String>,
}

impl Context {
    /// Names and values, one pair a line.
    pub(in crate::cli) fn fields(&self, paint: Paint) -> Vec<(&'static str, String)> {
        let time = |time: Option<&str>| time.map_or_else(|| "-".to_owned(), words::moment);
        let caller = match (self.anonymous, self.returning) {
            (true, _) => paint.magenta("withheld: nobody can be recognised"),
            (false, true) => format!(
                "{}: first contact {}, the one before this {}",
                paint.green("returning"),
                time(self.first_contact.as_deref()),
                time(self.last_contact.as_deref())
            ),
            (false, false) => paint.yellow("new: the first contact"),
        };
        let mut fields = vec![
            ("session", paint.cyan(&words::printable(&self.session_id))),
            ("caller", caller),
            ("release", format!("{} of {}", self.instance_id, self.tenant)),
            ("assurance", self.assurance.clone()),
            ("active calls", self.active_calls.to_string()),
            ("revision", self.revision.to_string()),
        ];
        if self.variables.is_empty() {
            fields.push(("variables", paint.dim("none")));
        }
        for (at, (name, value)) in self.variables.iter().enumerate() {
            let label = if at == 0 { "variables" } else { "" };
            fields.push((label, format!("{} = {}", paint.bold(&words::printable(name)), events::value(value))));
        }
        if !self.withheld.is_empty() {
            fields.push(("withheld", format!("{} (the assurance is too low)", self.withheld.join(", "))));
        }
        fields
    }
}

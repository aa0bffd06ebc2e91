//! What an entry says. It is written as JSON, so that it can be read for as long as the log is kept.

use serde::{Serialize, Serializer};

use crate::domain::ids::{InstanceId, ReleaseId, SessionId, TenantId};

/// One entry: who did what, and to whose data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    who: Who,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<InstanceId>,
    #[serde(flatten)]
    what: What,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The daemon itself.
    Daemon,
    /// The holder of a tenant's API key of this name.
    ApiKey(String),
    /// A user of the machine, on the admin socket.
    Operator {
        /// The user ID, as the kernel tells it.
        uid: u32,
    },
}

impl Serialize for Who {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Who::Daemon => serializer.serialize_str("recalld"),
            Who::ApiKey(name) => serializer.collect_str(&format_args!("api_key:{name}")),
            Who::Operator { uid } => serializer.collect_str(&format_args!("uid:{uid}")),
        }
    }
}

/// What was done. The words are part of the format: they never change their meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// The daemon began to serve. Without `stopped` before it, the run before was cut off.
    Started {
        /// The program's version.
        version: &'static str,
    },
    /// The daemon ended in order.
    Stopped,
    /// The configuration was read again.
    ConfigurationReloaded {
        /// Whether it was put in force; a bad one is refused.
        in_force: bool,
    },
    /// Requests without a known API key within about a minute.
    ApiKeysRefused {
        /// How many.
        count: u64,
    },
    /// Plain numbers, display names or headers were given out.
    NumberRevealed {
        /// How.
        by: RevealedBy,
        /// Whose.
        #[serde(serialize_with = "session_ids")]
        sessions: Vec<SessionId>,
    },
    /// A session was asked for by a number.
    NumberLookedUp {
        /// The one that was found.
        #[serde(serialize_with = "found_session")]
        session: Option<SessionId>,
    },
    /// An operator asked for the session ID of a number.
    SessionIdAsked {
        /// The one that was told.
        #[serde(serialize_with = "found_session")]
        session: Option<SessionId>,
    },
    /// An operator watches calls with the values of variables.
    ValuesWatched,
    /// The tenant's callers get pseudonyms under a new key from now on.
    PseudonymKeyRotated {
        /// The new version.
        version: u32,
    },
    /// A version of the tenant's pseudonym key is used no more.
    PseudonymKeyRetired {
        /// Which one.
        version: u32,
        /// Callers who are not recognised any more because of it.
        forgotten: u64,
    },
    /// The tenant's data is sealed with a new key from now on.
    DataKeyRotated {
        /// The new version.
        version: u32,
    },
    /// A version of the tenant's data key is destroyed: recorded before it is gone, and once more if it was not in the
    /// end.
    DataKeyDestroyed {
        /// Which one.
        version: u32,
    },
    /// Everything is derived from and wrapped by another root key from now on.
    RootKeyChanged,
    /// An operator believes a system clock that has jumped forward: what is due by it ends.
    ClockConfirmed {
        /// By how much it had jumped.
        ahead_seconds: u64,
    },
    /// An operator puts a shorter retention of the release in force that would end many sessions at once.
    RetentionConfirmed {
        /// Idle time after which `session` variables end.
        session_retention: String,
        /// Idle time after which `user` variables end.
        user_idle_limit: Option<String>,
        /// What becomes of withheld callers' sessions without variables.
        anonymous_sessions: &'static str,
    },
    /// An operator ends now what is due.
    RetentionRun,
}

/// How numbers were given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RevealedBy {
    /// The answer to a request.
    Answer,
    /// A stream: told once for each call and connection.
    Watch,
}

impl Entry {
    /// An entry that concerns no single tenant.
    #[must_use]
    pub const fn new(who: Who, what: What) -> Self {
        Self { who, tenant: None, instance_id: None, what }
    }

    /// The same, concerning a tenant.
    #[must_use]
    pub fn of_tenant(self, tenant: &TenantId) -> Self {
        Self { tenant: Some(tenant.clone()), ..self }
    }

    /// The same, concerning a release.
    #[must_use]
    pub fn of_release(self, release: &ReleaseId) -> Self {
        Self { tenant: Some(release.tenant.clone()), instance_id: Some(release.instance.clone()), ..self }
    }

    /// The text that is written.
    pub(super) fn body(&self) -> Vec<u8> {
        // Names, numbers and lists of them always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn session_ids<S: Serializer>(sessions: &[SessionId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(sessions.iter().map(ToString::to_string))
}

#[expect(clippy::ref_option, reason = "the form that serde calls")]
fn found_session<S: Serializer>(session: &Option<SessionId>, serializer: S) -> Result<S::Ok, S::Error> {
    session.map(|session| session.to_string()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(entry: &Entry) -> String {
        String::from_utf8(entry.body()).unwrap()
    }

    #[test]
    fn an_entry_is_json_with_stable_words() {
        let release = ReleaseId { tenant: "acme".parse().unwrap(), instance: "support-de".parse().unwrap() };
        let session = SessionId::Caller([0x5f; 32]);
        let revealed = What::NumberRevealed { by: RevealedBy::Answer, sessions: vec![session] };
        assert_eq!(
            text(&Entry::new(Who::ApiKey("bot".to_owned()), revealed).of_release(&release)),
            format!(
                "{{\"who\":\"api_key:bot\",\"tenant\":\"acme\",\"instance_id\":\"support-de\",\
                 \"what\":\"number_revealed\",\"by\":\"answer\",\"sessions\":[\"{session}\"]}}"
            )
        );
        assert_eq!(
            text(&Entry::new(Who::Operator { uid: 7 }, What::SessionIdAsked { session: None }).of_release(&release)),
            "{\"who\":\"uid:7\",\"tenant\":\"acme\",\"instance_id\":\"support-de\",\"what\":\"session_id_asked\",\
             \"session\":null}"
        );
        assert_eq!(text(&Entry::new(Who::Daemon, What::Stopped)), "{\"who\":\"recalld\",\"what\":\"stopped\"}");
    }
}

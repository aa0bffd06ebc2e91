//! From a command to a commit, without changing anything: the one place where it is decided what happens.

use super::calls;
use super::command::Command;
use super::commit::{Commit, Effect};
use super::moment::Moment;
use super::rules::Rules;
use super::state::{EndCause, Session};
use super::variables;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;

/// Decides what a command does to a session. `None` means that nothing changes: a repeated event, or
/// the deletion of what is not there; it is answered as if it were the first.
///
/// What has expired at `now` is deleted by the same commit before anything else, so that activity
/// never revives it. A command that changes nothing does not write expiry either.
///
/// # Errors
/// A refusal writes nothing. `unknown_call`, `call_id_in_use`, `invalid_params`, `revision_conflict`,
/// `user_lifetime_unavailable`, `assurance_too_low` and `limit_exceeded`, in that order of precedence
/// where several apply to a change of variables.
pub fn decide(session: &Session, command: &Command, rules: &Rules, now: Timestamp) -> Result<Option<Commit>, Refusal> {
    let moment = Moment::of(session, rules, now);
    let (effects, activity) = match command {
        Command::Start(start) => (calls::start(&moment, start)?, true),
        Command::Ringing { call, code } => (calls::ringing(&moment, call, *code)?, true),
        Command::Answer { call } => (calls::answer(&moment, call)?, true),
        Command::Dtmf { call, digit: _, duration_ms } => (calls::dtmf(&moment, call, *duration_ms)?, true),
        Command::End { call, leg, cause, code } => {
            // A call that is reaped or lost had its last real event before (PRODUCT.md 4.1).
            let activity = matches!(cause, EndCause::Switch(_));
            (calls::end(&moment, call, leg.as_ref(), cause, *code), activity)
        }
        Command::Change(change) => (variables::change(&moment, change)?, true),
        Command::Assert { call, level } => (calls::assert(&moment, call, *level)?, false),
        Command::Expire => return Ok(moment.commit(moment.expired().collect(), false)),
    };
    if effects.is_empty() {
        return Ok(None);
    }
    let mut with_expired: Vec<Effect> = moment.expired().collect();
    if with_expired.is_empty() {
        return Ok(moment.commit(effects, activity));
    }
    with_expired.extend(effects);
    Ok(moment.commit(with_expired, activity))
}

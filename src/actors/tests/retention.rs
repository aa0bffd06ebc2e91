//! A changed retention applies to what is stored; one that would end much waits; nothing of it is lost by a restart.

use std::ops::ControlFlow;
use std::time::Instant;

use super::lifetimes::{DAY, at_noon};
use super::*;
use crate::domain::session::EndRule;
use crate::domain::time::Timestamp;
use crate::store::ScanCursor;

/// The configuration of the tests with a retention for the release `support-de`.
fn with_retention(line: &str) -> String {
    CONFIG.replacen("numbers = [\"+493023125000\"]", &format!("numbers = [\"+493023125000\"]\n{line}"), 1)
}

fn days_later(days: u32) -> Clock {
    Clock::manual(Timestamp::from_unix_millis(1_790_000_000_000).after(DAY * days))
}

/// Callers who called once and left a `session` variable.
async fn callers(house: &House, count: usize) -> Vec<SessionId> {
    let mut sessions = Vec::new();
    for part in (0..count).collect::<Vec<_>>().chunks(200) {
        let call = |caller: &usize| format!("call-{caller}");
        let from = |caller: &usize| format!("sip:caller-{caller}@example.com");
        let started: Vec<_> = part.iter().map(|c| house.start("support-de", &call(c), &from(c))).collect();
        for started in started {
            sessions.push(answered(started).await.expect("a context").session.id);
        }
        let set: Vec<_> = part.iter().map(|c| house.set(&call(c), "ticket", "1", Lifetime::Session)).collect();
        for set in set {
            answered(set).await.expect("a revision");
        }
        let ended: Vec<_> = part.iter().map(|c| house.end(&call(c))).collect();
        for ended in ended {
            answered(ended).await.expect("the end is answered");
        }
    }
    house.rests().await;
    sessions
}

impl House {
    /// Whether a reader sees the variable, and whether it is stored.
    async fn ticket(&self, session: &SessionId) -> (bool, bool) {
        let release = Self::release("support-de");
        let view = self.directory.find_session(&release.tenant, session).await.expect("readable").expect("it is there");
        let rules = self.directory.rules(&release);
        let seen = view.session.context(None, Authority::Trusted, &rules, self.directory.now());
        (!seen.variables.is_empty(), !view.session.variables.is_empty())
    }

    async fn until(&self, what: &str, mut is_true: impl AsyncFnMut() -> bool) {
        let began = Instant::now();
        while !is_true().await {
            assert!(began.elapsed() < Duration::from_secs(20), "{what}: {:?}", self.directory.retention_status());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn is_held(&self) {
        self.until("held", async || self.directory.retention_status().change.is_some_and(|change| change.held)).await;
    }

    async fn is_settled(&self) {
        let settled = async || {
            let status = self.directory.retention_status();
            status.change.is_none() && status.sweep.is_none()
        };
        self.until("settled", settled).await;
    }
}

#[test]
fn a_shorter_retention_applies_to_what_is_stored_and_survives_a_restart() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = place.path().to_owned();
    let shorter = with_retention("session_retention = \"10d\"");
    let mut sessions = Vec::new();
    actix_rt::System::new().block_on(async {
        let house = House::open_at(&path, Some(at_noon()));
        sessions = callers(&house, 20).await;
        house.directory.clock().advance(5 * DAY);
        house.reload(&shorter);
        house.is_settled().await;
        assert_eq!(house.ticket(&sessions[0]).await, (true, true), "it ends in five days");
        house.directory.shutdown();
    });
    actix_rt::System::new().block_on(async {
        let house = House::open_with(&path, Some(days_later(10)), &shorter);
        for session in &sessions {
            assert!(!house.ticket(session).await.0, "it has ended");
            house.until("it is removed", async || !house.ticket(session).await.1).await;
        }
        house.directory.shutdown();
    });
}

#[test]
fn what_a_shorter_retention_ends_at_once_is_removed_at_once() {
    run(|path| async move {
        let house = House::open_at(&path, Some(at_noon()));
        let sessions = callers(&house, 20).await;
        house.directory.clock().advance(5 * DAY);
        house.reload(&with_retention("session_retention = \"1d\""));
        house.is_settled().await;
        for session in &sessions {
            assert_eq!(house.ticket(session).await, (false, false));
        }
        house.directory.shutdown();
    });
}

#[test]
fn a_change_that_would_end_more_than_a_thousand_sessions_waits_for_the_operator() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = place.path().to_owned();
    let mistyped = with_retention("session_retention = \"30m\"\nreset = \"every-call\"");
    let mut sessions = Vec::new();
    actix_rt::System::new().block_on(async {
        let house = House::open_at(&path, Some(at_noon()));
        sessions = callers(&house, 1_001).await;
        house.directory.clock().advance(DAY);
        house.reload(&mistyped);
        let rules = house.directory.rules(&House::release("support-de"));
        assert_eq!(rules.reset, crate::domain::session::Reset::EveryCall, "the rest of the reload does not wait");
        house.is_held().await;
        assert_eq!(house.ticket(&sessions[7]).await, (true, true), "the retention before is in force");
        house.reload(CONFIG);
        assert!(house.directory.retention_status().change.is_none(), "the file is corrected");
        house.directory.shutdown();
    });
    actix_rt::System::new().block_on(async {
        let house = House::open_with(&path, Some(days_later(1)), &mistyped);
        house.is_held().await;
        assert_eq!(house.ticket(&sessions[7]).await, (true, true), "a restart is no confirmation");
        let mut review = Review::new(&house.directory, None, house.directory.now());
        let count = |review: &Review| {
            let mut ends = Vec::new();
            let visit = |_: &ReleaseId, _: &Session, found: &[crate::domain::session::End<'_>]| {
                ends.extend(found.iter().map(|end| end.rule));
                ControlFlow::Continue(())
            };
            review.sleeping(&house.directory, &ScanCursor::default(), visit).expect("readable");
            ends
        };
        assert!(count(&review).is_empty(), "nothing is due");
        review.suppose_held(&house.directory);
        assert_eq!(count(&review), vec![EndRule::SessionRetention; 1_001]);
        house.directory.confirm_retention().expect("it is held");
        for session in &sessions {
            assert!(!house.ticket(session).await.0, "reads are exact at once");
        }
        assert!(house.directory.confirm_retention().is_err(), "nothing is held any more");
        house.is_settled().await;
        for session in &sessions {
            assert!(!house.ticket(session).await.1, "removal has followed");
        }
        house.directory.shutdown();
    });
}

#[test]
fn a_release_that_is_not_configured_any_more_keeps_its_last_retention_over_a_restart() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = place.path().to_owned();
    let mut sessions = Vec::new();
    actix_rt::System::new().block_on(async {
        let house = House::open_with(&path, Some(at_noon()), &with_retention("session_retention = \"10d\""));
        sessions = callers(&house, 1).await;
        house.directory.shutdown();
    });
    let without = CONFIG.replace("support-de", "support-fr");
    actix_rt::System::new().block_on(async {
        let house = House::open_with(&path, Some(days_later(9)), &without);
        assert_eq!(house.directory.retention_status().unconfigured, vec![House::release("support-de")]);
        assert_eq!(house.ticket(&sessions[0]).await, (true, true));
        house.directory.clock().advance(DAY);
        assert!(!house.ticket(&sessions[0]).await.0);
        house.until("it is removed", async || !house.ticket(&sessions[0]).await.1).await;
        house.directory.shutdown();
    });
}

#[test]
fn a_longer_retention_is_in_force_at_once() {
    run(|path| async move {
        let house = House::open_at(&path, Some(at_noon()));
        let sessions = callers(&house, 3).await;
        house.reload(&with_retention("session_retention = \"60d\""));
        house.directory.clock().advance(31 * DAY);
        tokio::time::sleep(Duration::from_millis(350)).await;
        assert_eq!(house.ticket(&sessions[0]).await, (true, true));
        house.directory.clock().advance(29 * DAY);
        assert!(!house.ticket(&sessions[0]).await.0);
        house.until("it is removed", async || !house.ticket(&sessions[0]).await.1).await;
        house.directory.shutdown();
    });
}

#[test]
fn a_withheld_session_without_variables_goes_even_if_the_daemon_ends_before() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = place.path().to_owned();
    let tenant = House::release("support-de").tenant;
    let mut session = None;
    actix_rt::System::new().block_on(async {
        let house = House::open_at(&path, Some(at_noon()));
        let withheld = house.start("support-de", "1", "sip:anonymous@anonymous.invalid");
        session = Some(answered(withheld).await.expect("a context").session.id);
        answered(house.end("1")).await.expect("the end is answered");
        house.directory.shutdown();
    });
    let session = session.expect("it was started");
    actix_rt::System::new().block_on(async {
        let house = House::open_at(&path, Some(days_later(1)));
        let gone = async || house.directory.find_session(&tenant, &session).await.expect("readable").is_none();
        house.until("it goes", gone).await;
        house.directory.shutdown();
    });
}

#[test]
fn what_is_due_ends_now_when_an_operator_wants_it() {
    run(|path| async move {
        let house = House::open_at(&path, Some(at_noon()));
        let sessions = callers(&house, 10).await;
        house.directory.clock().advance(31 * DAY);
        let progress = house.directory.run_retention(async |_| true).await.expect("it runs");
        assert_eq!(progress.records, 10);
        for session in &sessions {
            assert_eq!(house.ticket(session).await, (false, false));
        }
        house.directory.shutdown();
    });
}

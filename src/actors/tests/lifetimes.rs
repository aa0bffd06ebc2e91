//! As long as allowed and not longer, with a clock that is moved by hand: what ends is ended, announced, and gone.

use std::time::Instant;

use tokio::sync::Notify;

use super::*;
use crate::domain::session::{ChangeCause, Effect};
use crate::domain::time::Timestamp;

pub(super) const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn at_noon() -> Clock {
    Clock::manual(Timestamp::from_unix_millis(1_790_000_000_000))
}

struct Watcher {
    subscription: Subscription,
    notify: Arc<Notify>,
}

impl Watcher {
    fn of(house: &House) -> Self {
        let notify = Arc::new(Notify::new());
        let filter = Filter::Release(House::release("support-de"));
        Self { subscription: house.directory.publisher().subscribe(filter, notify.clone()), notify }
    }

    /// The next event, described.
    async fn hears(&self) -> String {
        let began = Instant::now();
        loop {
            if let Some(Delivery::Event(event)) = self.subscription.take(1).pop() {
                return match event.effect() {
                    Some(Effect::VariableDeleted { name, cause, .. }) => format!("{name} {}", cause.as_str()),
                    Some(Effect::VariableSet { name, .. }) => format!("{name} set"),
                    Some(Effect::CallStarted { .. }) => "started".to_owned(),
                    Some(Effect::CallEnded { cause, .. }) => format!("ended {}", cause.as_str()),
                    other => format!("{other:?}"),
                };
            }
            assert!(began.elapsed() < Duration::from_secs(10), "an event comes");
            let _ = tokio::time::timeout(Duration::from_millis(100), self.notify.notified()).await;
        }
    }

    async fn hears_nothing(&self) {
        tokio::time::sleep(Duration::from_millis(350)).await;
        assert!(self.subscription.take(10).is_empty());
    }
}

#[test]
fn session_variables_of_a_sleeping_session_end_after_its_retention_and_are_announced() {
    run(|path| async move {
        let house = House::open_at(&path, Some(at_noon()));
        let told = answered(house.start("support-de", "1", anna())).await.expect("a context");
        answered(house.set("1", "ticket", "1", Lifetime::Session)).await.expect("a revision");
        answered(house.set("1", "language", "\"de\"", Lifetime::User)).await.expect("a revision");
        answered(house.end("1")).await.expect("the end is answered");
        house.rests().await;
        let watcher = Watcher::of(&house);
        house.directory.clock().advance(30 * DAY - Duration::from_millis(1));
        watcher.hears_nothing().await;
        house.directory.clock().advance(Duration::from_millis(1));
        assert_eq!(watcher.hears().await, "ticket expired");
        house.rests().await;
        let tenant = House::release("support-de").tenant;
        let view = house.directory.find_session(&tenant, &told.session.id).await.expect("readable").expect("it stays");
        let names: Vec<_> = view.session.variables.iter().map(|variable| variable.name.as_str()).collect();
        assert_eq!(names, ["language"], "what a user variable says stays until it is deleted");
        house.directory.shutdown();
    });
}

#[test]
fn activity_moves_the_end_and_an_entry_of_the_index_is_renewed() {
    run(|path| async move {
        let house = House::open_at(&path, Some(at_noon()));
        let told = answered(house.start("support-de", "1", anna())).await.expect("a context");
        answered(house.set("1", "ticket", "1", Lifetime::Session)).await.expect("a revision");
        answered(house.end("1")).await.expect("the end is answered");
        house.rests().await;
        let tenant = House::release("support-de").tenant;
        house.directory.clock().advance(20 * DAY);
        let change = change(None, "language", "\"de\"", Lifetime::User);
        house.directory.change(&tenant, &told.session.id, change).await.expect("a revision");
        house.rests().await;
        let watcher = Watcher::of(&house);
        // The time of the first entry: nothing ends, because there was activity since.
        house.directory.clock().advance(10 * DAY + Duration::from_secs(1));
        watcher.hears_nothing().await;
        house.rests().await;
        house.directory.clock().advance(20 * DAY);
        assert_eq!(watcher.hears().await, "ticket expired");
        house.directory.shutdown();
    });
}

#[test]
fn a_ttl_ends_in_an_active_call_and_over_a_restart() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = place.path().to_owned();
    let with_ttl = |call: Option<&str>, ttl| {
        let mut change = change(call, "pin_tried", "1", Lifetime::User);
        change.set[0].ttl = Some(ttl);
        Command::Change(change)
    };
    actix_rt::System::new().block_on(async {
        let house = House::open_at(&path, Some(at_noon()));
        let watcher = Watcher::of(&house);
        answered(house.start("support-de", "1", anna())).await.expect("a context");
        assert_eq!(watcher.hears().await, "started");
        let short = Duration::from_secs(900);
        answered(house.happens("1", with_ttl(Some("1"), short))).await.expect("a revision");
        assert_eq!(watcher.hears().await, "pin_tried set");
        house.directory.clock().advance(short);
        assert_eq!(watcher.hears().await, "pin_tried expired");
        answered(house.happens("1", with_ttl(Some("1"), short))).await.expect("a revision");
        house.directory.shutdown();
    });
    actix_rt::System::new().block_on(async {
        let later = Timestamp::from_unix_millis(1_790_000_000_000).after(Duration::from_secs(1_700));
        let house = House::open_at(&path, Some(Clock::manual(later)));
        let watcher = Watcher::of(&house);
        watcher.hears_nothing().await;
        house.directory.clock().advance(Duration::from_secs(100));
        assert_eq!(watcher.hears().await, "pin_tried expired");
        house.directory.shutdown();
    });
}

#[test]
fn timers_of_a_long_call_do_not_multiply() {
    run(|path| async move {
        let house = House::open_at(&path, Some(at_noon()));
        let watcher = Watcher::of(&house);
        answered(house.start("support-de", "1", anna())).await.expect("a context");
        assert_eq!(watcher.hears().await, "started");
        let set = async |name: &str, ttl| {
            let mut change = change(Some("1"), name, "1", Lifetime::User);
            change.set[0].ttl = Some(ttl);
            answered(house.happens("1", Command::Change(change))).await.expect("a revision");
            assert_eq!(watcher.hears().await, format!("{name} set"));
        };
        set("ticket", Duration::from_secs(86_400)).await;
        for _ in 0..20 {
            set("menu", Duration::from_secs(30)).await;
            house.directory.clock().advance(Duration::from_secs(40));
            assert_eq!(watcher.hears().await, "menu expired");
        }
        // The wheel counts at its next look.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let waiting = house.directory.timer_metrics().waiting.load(std::sync::atomic::Ordering::Relaxed);
        assert!(waiting <= 2, "{waiting} timers of one session");
        house.directory.shutdown();
    });
}

#[test]
fn what_became_due_while_the_daemon_was_down_ends_at_the_next_start() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = place.path().to_owned();
    actix_rt::System::new().block_on(async {
        let house = House::open_at(&path, Some(at_noon()));
        for caller in 1..=20 {
            let (call, from) = (caller.to_string(), format!("sip:+4930231250{caller:02}@example.com"));
            answered(house.start("support-de", &call, &from)).await.expect("a context");
            answered(house.set(&call, "ticket", "1", Lifetime::Session)).await.expect("a revision");
            answered(house.end(&call)).await.expect("the end is answered");
        }
        house.rests().await;
        house.directory.shutdown();
    });
    actix_rt::System::new().block_on(async {
        let later = Timestamp::from_unix_millis(1_790_000_000_000).after(40 * DAY);
        let house = House::open_at(&path, Some(Clock::manual(later)));
        // Most of them end before anybody can watch: the log tells.
        let release = house.directory.store().release(&House::release("support-de")).expect("it is registered");
        let began = Instant::now();
        loop {
            let log = house.directory.store().read_log(&release, None, 0, 10_000).expect("readable").records;
            let expired = log
                .iter()
                .flat_map(|record| &record.commit.effects)
                .filter(|effect| matches!(effect, Effect::VariableDeleted { cause: ChangeCause::Expired, .. }));
            let expired = expired.count();
            assert!(expired <= 20, "each ends once");
            if expired == 20 {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "{expired} of 20 have ended");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        house.rests().await;
        house.directory.shutdown();
    });
}

#[test]
fn a_withheld_session_goes_with_its_data() {
    run(|path| async move {
        let house = House::open_at(&path, Some(at_noon()));
        let withheld = "sip:anonymous@anonymous.invalid";
        let told = answered(house.start("support-de", "1", withheld)).await.expect("a context");
        answered(house.set("1", "topic", "1", Lifetime::Session)).await.expect("a revision");
        answered(house.end("1")).await.expect("the end is answered");
        let tenant = House::release("support-de").tenant;
        let stored = || house.directory.find_session(&tenant, &told.session.id);
        assert!(stored().await.expect("readable").is_some());
        house.directory.clock().advance(31 * DAY);
        let began = Instant::now();
        while stored().await.expect("readable").is_some() {
            assert!(began.elapsed() < Duration::from_secs(10), "the session goes");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        house.directory.shutdown();
    });
}

#[test]
fn a_call_whose_end_never_comes_is_reaped_and_leaves_the_session_variables() {
    run(|path| async move {
        let house = House::open_at(&path, Some(at_noon()));
        answered(house.start("support-de", "1", anna())).await.expect("a context");
        answered(house.set("1", "ticket", "1", Lifetime::Session)).await.expect("a revision");
        answered(house.set("1", "step", "1", Lifetime::Call)).await.expect("a revision");
        let watcher = Watcher::of(&house);
        house.directory.clock().advance(Duration::from_secs(12 * 3_600));
        assert_eq!(watcher.hears().await, "step call_ended");
        assert_eq!(watcher.hears().await, "ended reaped");
        // Its last activity was its last real event.
        house.directory.clock().advance(30 * DAY - Duration::from_secs(12 * 3_600));
        assert_eq!(watcher.hears().await, "ticket expired");
        house.directory.shutdown();
    });
}

#[test]
fn a_call_that_comes_while_its_session_ends_finds_it() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = place.path().to_owned();
    let caller = |number: u32| format!("sip:+4930231250{number:02}@example.com");
    actix_rt::System::new().block_on(async {
        let house = House::open_at(&path, Some(at_noon()));
        for number in 10..60 {
            let call = number.to_string();
            answered(house.start("support-de", &call, &caller(number))).await.expect("a context");
            answered(house.set(&call, "ticket", "1", Lifetime::Session)).await.expect("a revision");
            answered(house.set(&call, "language", "\"de\"", Lifetime::User)).await.expect("a revision");
            answered(house.end(&call)).await.expect("the end is answered");
        }
        house.rests().await;
        house.directory.shutdown();
    });
    actix_rt::System::new().block_on(async {
        // Nothing of the records is in memory.
        let house = House::open_at(&path, Some(at_noon()));
        house.directory.clock().advance(30 * DAY);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let starts: Vec<_> = (10..60)
            .map(|number| (number, house.start("support-de", &format!("{number}-again"), &caller(number))))
            .collect();
        for (number, start) in starts {
            let told = answered(start).await.expect("a context");
            let names: Vec<_> = told.session.variables.iter().map(|variable| variable.name.as_str()).collect();
            assert_eq!(names, ["language"], "caller {number}");
            assert_eq!(told.session.contacts, 2);
        }
        for number in 10..60 {
            let call = format!("{number}-again");
            answered(house.set(&call, "ticket", "2", Lifetime::Session)).await.expect("a revision");
            answered(house.end(&call)).await.expect("the end is answered");
        }
        house.rests().await;
        house.directory.shutdown();
    });
}

#[test]
fn ended_calls_leave_the_memory_when_their_time_is_over_also_if_no_other_one_ends() {
    run(|path| async move {
        let house = House::open_at(&path, Some(at_noon()));
        let clock = house.directory.clock();
        for call in 0..200 {
            let call = call.to_string();
            answered(house.start("support-de", &call, anna())).await.expect("it starts");
            answered(house.end(&call)).await.expect("it ends");
            clock.advance(Duration::from_secs(1));
        }
        let lingering = house.directory.lingering();
        assert_eq!(lingering.len(), 200);
        // The hour of three in four of them is over.
        clock.advance(Duration::from_secs(3_600 - 50));
        for left in [50, 0] {
            let began = Instant::now();
            while lingering.len() != left {
                assert!(began.elapsed() < Duration::from_secs(20), "{} are left", lingering.len());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            clock.advance(DAY);
        }
        house.directory.shutdown();
    });
}

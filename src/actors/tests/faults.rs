//! What fails harms nobody else.

use super::*;

/// Fails while the answer is rendered, as a fault in recalld would.
struct Faulty;

impl Reply for Faulty {
    fn prepare(&mut self, _outcome: Result<Outcome<'_>, Refusal>) {
        panic!("a fault, on purpose");
    }

    fn deliver(self: Box<Self>, _wakes: &mut Wakes) {}
}

#[test]
fn an_event_that_panics_leaves_nothing_half_done_and_harms_no_other() {
    run(|path| async move {
        let house = House::open(&path);
        let tenant = House::release("support-de").tenant;
        let told = answered(house.start("support-de", "1", anna())).await.expect("a context");
        let other = house.start("support-de", "2", "sip:+442079460123@example.com");
        let faulty = Command::Change(change(Some("1"), "a", "1", Lifetime::User));
        house.directory.call_event(&tenant, &id("1"), faulty, Box::new(Faulty));
        answered(other).await.expect("another caller notices nothing");
        let after = answered(house.set("1", "b", "2", Lifetime::User)).await.expect("the session goes on");
        assert_eq!(after.session.revision, told.session.revision + 1, "the event that failed took no revision");
        assert_eq!(after.session.variables.len(), 1);
        for _ in 0..3 {
            let faulty = Command::Change(change(Some("1"), "a", "1", Lifetime::User));
            house.directory.call_event(&tenant, &id("1"), faulty, Box::new(Faulty));
        }
        let refused = answered(house.set("1", "b", "3", Lifetime::User)).await;
        assert_eq!(reason(refused), Reason::Internal, "it is left alone for a while");
        answered(house.set("2", "b", "2", Lifetime::User)).await.expect("others are not");
        house.directory.shutdown();
    });
}

#[test]
fn when_the_disk_is_nearly_full_calls_still_end() {
    run(|path| async move {
        let house = House::open(&path);
        answered(house.start("support-de", "1", anna())).await.expect("a context");
        house.directory.set_read_only(true);
        assert_eq!(reason(answered(house.start("support-de", "2", anna())).await), Reason::ReadOnly);
        assert_eq!(reason(answered(house.set("1", "a", "1", Lifetime::User)).await), Reason::ReadOnly);
        answered(house.start("support-de", "1", anna())).await.expect("a repeated start writes nothing");
        answered(house.end("1")).await.expect("the end is answered");
        house.directory.set_read_only(false);
        answered(house.start("support-de", "3", anna())).await.expect("it goes on by itself");
        house.directory.shutdown();
    });
}

#[test]
fn a_probe_passes_every_arbiter_and_the_writer_and_leaves_nothing() {
    run(|path| async move {
        let house = House::open(&path);
        house.directory.probe().await.expect("everything works");
        house.rests().await;
        house.directory.shutdown();
        assert!(house.directory.probe().await.is_err(), "a writer that has ended does not write");
    });
}

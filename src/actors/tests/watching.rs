//! Watchers hear of everything once, in order, after it is durable.

use tokio::sync::Notify;

use super::*;

async fn next(subscription: &Subscription, notify: &Notify) -> Event {
    loop {
        match subscription.take(1).pop() {
            Some(Delivery::Event(event)) => return event,
            Some(Delivery::Lagged) => panic!("nobody is slow here"),
            None => tokio::time::timeout(Duration::from_secs(10), notify.notified()).await.expect("an event comes"),
        }
    }
}

#[test]
fn a_watcher_hears_of_each_change_once_in_the_order_of_revisions() {
    run(|path| async move {
        let house = House::open(&path);
        let notify = Arc::new(Notify::new());
        let of_release =
            house.directory.publisher().subscribe(Filter::Release(House::release("support-de")), notify.clone());
        let told = answered(house.start("support-de", "1", anna())).await.expect("a context");
        let session = Filter::Session(House::release("support-de"), told.session.id);
        let second = Arc::new(Notify::new());
        let of_session = house.directory.publisher().subscribe(session, second.clone());
        of_session.seen([(told.session.id, told.session.ordinal)]);
        for value in 0..100 {
            answered(house.set("1", "n", &value.to_string(), Lifetime::Session)).await.expect("a revision");
        }
        answered(house.end("1")).await.expect("the end is answered");
        let event = next(&of_release, &notify).await;
        assert!(matches!(event.effect(), Some(crate::domain::session::Effect::CallStarted { .. })));
        assert!(event.call.is_some(), "the call comes with its start");
        for (subscription, notify) in [(&of_release, &notify), (&of_session, &second)] {
            let mut last = 0;
            for _ in 0..100 {
                let event = next(subscription, notify).await;
                assert_eq!(event.commit.revision, last + 1);
                last = event.commit.revision;
            }
            let end = next(subscription, notify).await;
            assert!(end.call.is_some_and(|call| call.ended_at.is_some()));
        }
        drop((of_release, of_session));
        assert_eq!(house.directory.publisher().watchers(), 0);
        house.directory.shutdown();
    });
}

#[test]
fn a_watcher_that_does_not_read_gets_the_latest_of_each_variable_and_slows_nobody() {
    run(|path| async move {
        let house = House::open(&path);
        let notify = Arc::new(Notify::new());
        let slow = house.directory.publisher().subscribe(Filter::Release(House::release("support-de")), notify);
        answered(house.start("support-de", "1", anna())).await.expect("a context");
        let answers: Vec<_> =
            (0..6_000).map(|value| house.set("1", "n", &value.to_string(), Lifetime::Session)).collect();
        for answer in answers {
            answered(answer).await.expect("a revision");
        }
        answered(house.end("1")).await.expect("the end is answered");
        while house.directory.publisher().processed() < house.directory.publisher().durable() {
            tokio::task::yield_now().await;
        }
        let taken = slow.take(usize::MAX);
        assert!(taken.len() < 4_100, "{} wait", taken.len());
        let last = taken.iter().rev().find_map(|delivery| match delivery {
            Delivery::Event(event) => match event.effect() {
                Some(crate::domain::session::Effect::VariableSet { value, .. }) => Some(value.as_str().to_owned()),
                _ => None,
            },
            Delivery::Lagged => None,
        });
        assert_eq!(last.as_deref(), Some("5999"));
        house.directory.shutdown();
    });
}

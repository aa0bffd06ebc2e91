use proptest::prelude::*;

use super::*;
use crate::app::samples::parsed;

/// Each tenant's key is its name, repeated.
fn keys() -> CursorKeys {
    CursorKeys::new(|tenant| {
        let mut key = Zeroizing::new([0; 32]);
        key.iter_mut().zip(tenant.as_str().bytes().cycle()).for_each(|(to, from)| *to = from);
        key
    })
}

fn cipher(tenant: &str, epoch: u8) -> CursorCipher {
    keys().cipher(&parsed(tenant), [epoch; 16]).unwrap()
}

fn marks() -> impl Strategy<Value = Mark> {
    let cursor = prop_oneof![
        Just(Cursor::Snapshot),
        (any::<u64>(), any::<u32>()).prop_map(|(sequence, index)| Cursor::At { sequence, index })
    ];
    let session = prop_oneof![
        Just(None),
        any::<[u8; 32]>().prop_map(|bytes| Some(SessionId::Caller(bytes))),
        any::<[u8; 16]>().prop_map(|bytes| Some(SessionId::Anonymous(bytes))),
    ];
    (cursor, session).prop_map(|(cursor, session)| Mark { cursor, session })
}

proptest! {
    #[test]
    fn a_cursor_is_read_as_it_was_made_also_after_a_restart(mark in marks()) {
        let text = cipher("acme", 1).seal(b"release", mark);
        prop_assert!(text.len() <= LONGEST_TEXT);
        prop_assert_eq!(cipher("acme", 1).open(b"release", &text), Some(mark));
    }

    #[test]
    fn a_cursor_of_another_tenant_database_or_subscription_is_refused(mark in marks()) {
        let text = cipher("acme", 1).seal(b"release", mark);
        prop_assert_eq!(cipher("globex", 1).open(b"release", &text), None);
        prop_assert_eq!(cipher("acme", 2).open(b"release", &text), None);
        prop_assert_eq!(cipher("acme", 1).open(b"session", &text), None);
    }

    #[test]
    fn every_change_of_a_single_character_is_refused(mark in marks(), to in "[A-Za-z0-9_-]") {
        let mut cipher = cipher("acme", 1);
        let text = cipher.seal(b"release", mark);
        for at in 0..text.len() {
            if text[at..=at] != to {
                let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
                prop_assert_eq!(cipher.open(b"release", &changed), None, "character {}", at);
            }
            prop_assert_eq!(cipher.open(b"release", &text[..at]), None, "cut at {}", at);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,300}") {
        prop_assert_eq!(cipher("acme", 1).open(b"release", &text), None);
    }
}

#[test]
fn two_cursors_of_one_place_do_not_look_alike() {
    let mut cipher = cipher("acme", 1);
    let mark = Mark { cursor: Cursor::after(7), session: None };
    assert_ne!(cipher.seal(b"release", mark), cipher.seal(b"release", mark));
}

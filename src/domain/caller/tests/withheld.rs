//! Withheld callers: every way of asking, and what must not count as one.

use std::borrow::Cow;

use super::*;
use crate::domain::caller::withheld::{privacy_hides, remote_party_hides};

const FROM: &str = "\"Alice Example\" <sip:+493023125001@trunk.example.net>;tag=1";
const PAI: [Cow<'static, str>; 2] = [
    Cow::Borrowed("\"Erika Mustermann\" <sip:+493023125042@trunk.example.net;user=phone>"),
    Cow::Borrowed("<tel:+493023125042>"),
];

/// With all that could be known of the caller.
fn full(privacy: Option<&'static str>, rpid: Option<&'static str>) -> Evidence<'static> {
    Evidence {
        privacy,
        rpid,
        pai: &PAI,
        display: Some("Alice Example"),
        verstat: Some("TN-Validation-Passed-A"),
        ..from(FROM)
    }
}

#[test]
fn an_asserted_number_beside_a_privacy_request_is_neither_used_nor_shown() {
    for trusted in [false, true] {
        for header in ["id", "user", "header", "history", "id;user", "none;id"] {
            let caller = identify_at(trusted, &full(Some(header), None));
            assert_anonymous(&caller, Presentation::Restricted, header);
        }
        let rpid = "<sip:+493023125042@trunk.example.net>;privacy=full";
        assert_anonymous(&identify_at(trusted, &full(None, Some(rpid))), Presentation::Restricted, rpid);
        let flagged = Evidence { hidden_by_switch: true, ..full(None, None) };
        assert_anonymous(&identify_at(trusted, &flagged), Presentation::Restricted, "the switch's own flag");
        let hidden_from = Evidence { party: "\"Anonymous\" <sip:anonymous@anonymous.invalid>", ..full(None, None) };
        assert_anonymous(&identify_at(trusted, &hidden_from), Presentation::Restricted, "anonymous.invalid");
    }
}

#[test]
fn a_privacy_header_hides_by_any_of_its_values_however_spaced() {
    for header in [
        "id",
        "user",
        "header",
        "history",
        "ID",
        "User",
        " id ",
        "\tid\r\n",
        "id;critical",
        "critical ; id",
        "critical;;id",
        ";id",
        "session;header;critical",
        "id,user",
        "none, id",
        "critical id",
        "\"id\"",
        "id;",
        "none ;\r\n history",
    ] {
        assert!(privacy_hides(header), "{header:?}");
    }
    for header in [
        "",
        " ",
        ";",
        "none",
        "NONE",
        " none ",
        "critical",
        "session",
        "session;critical",
        "identity",
        "i d",
        "userx",
        "no-id",
        "id=1",
        "off",
    ] {
        assert!(!privacy_hides(header), "{header:?}");
    }
}

#[test]
fn privacy_none_takes_back_nothing_that_is_asked_for_elsewhere() {
    let shown = identify_at(true, &full(Some("none"), None));
    assert_eq!((shown.presentation, form(&shown)), (Presentation::Allowed, "tel:+493023125042"));
    let rpid = Some("<sip:+493023125042@trunk.example.net>;privacy=full");
    assert_anonymous(&identify_at(true, &full(Some("none"), rpid)), Presentation::Restricted, "Remote-Party-ID");
    let party = Evidence { party: "sip:anonymous@anonymous.invalid", ..full(Some("none"), None) };
    assert_anonymous(&identify_at(true, &party), Presentation::Restricted, "From");
    let flagged = Evidence { hidden_by_switch: true, ..full(Some("none"), None) };
    assert_anonymous(&identify_at(true, &flagged), Presentation::Restricted, "flag");
}

#[test]
fn remote_party_id_hides_by_any_privacy_other_than_off() {
    for header in [
        "<sip:1001@example.com>;privacy=full",
        "<sip:1001@example.com>;privacy=yes",
        "<sip:1001@example.com>;privacy=uri",
        "<sip:1001@example.com>;privacy=name",
        "<sip:1001@example.com>;party=calling;screen=yes;PRIVACY=FULL",
        "<sip:1001@example.com> ; privacy = full ; screen=no",
        "<sip:1001@example.com>;privacy=\"full\"",
        "<sip:1001@example.com>;privacy=off;privacy=full",
        "<sip:1001@example.com>;privacy=full;privacy=off",
        "<sip:1001@example.com>;privacy=off-network",
        "<sip:1001@example.com>;privacy=",
        "<sip:1001@example.com>;privacy",
        "\"A; B\" <sip:1001@example.com>;privacy=full",
        "sip:1001@example.com;privacy=full",
        "<sip:1001@example.com>;privacy=off, <sip:1002@example.com>;privacy=full",
        "\"not closed <sip:1001@example.com>;privacy=full",
        "<sip:1001@example.com;privacy=full",
    ] {
        assert!(remote_party_hides(header), "{header}");
        let caller = identify_at(false, &full(None, Some(header)));
        assert_anonymous(&caller, Presentation::Restricted, header);
    }
    for header in [
        "",
        "<sip:1001@example.com>",
        "<sip:1001@example.com>;privacy=off",
        "<sip:1001@example.com>;privacy = OFF ",
        "<sip:1001@example.com>;privacy=\"off\";screen=yes",
        "<sip:1001@example.com>;x-privacy=full",
        "\"x;privacy=full\" <sip:1001@example.com>;privacy=off",
        "\"x, y;privacy=full\" <sip:1001@example.com>",
        "\"a\\\";privacy=full\" <sip:1001@example.com>",
        "<sip:1001@example.com;privacy=full>;privacy=off",
    ] {
        assert!(!remote_party_hides(header), "{header}");
    }
}

#[test]
fn an_untrusted_switch_may_hide_a_caller() {
    let caller = identify_at(false, &Evidence { rpid: Some("<sip:1@example.com>;privacy=full"), ..from(FROM) });
    assert_anonymous(&caller, Presentation::Restricted, "an untrusted Remote-Party-ID");
}

#[test]
fn a_host_of_anonymous_invalid_is_a_withheld_caller() {
    for party in [
        "sip:anonymous@anonymous.invalid",
        "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=9",
        "sip:+493023125001@anonymous.invalid",
        "<sip:x7z@ANONYMOUS.Invalid:5060;transport=udp>",
        "alice@anonymous.invalid",
    ] {
        assert_anonymous(&identify_at(true, &from(party)), Presentation::Restricted, party);
    }
    for party in
        ["sip:alice@anonymous.invalid.example.com", "sip:alice@xanonymous.invalid", "sip:anonymous.invalid@example.com"]
    {
        assert!(identify_at(true, &from(party)).canonical.is_some(), "{party}");
    }
}

/// No user, or nothing of which the user can be told, and yet a wish.
const UNREADABLE: [&str; 22] = [
    "\"Anonymous\" <sip:anonymous.invalid>",
    "<sips:Anonymous.INVALID.:5061;transport=tls>;tag=1",
    "anonymous.invalid",
    "tel:+493023125001@anonymous.invalid",
    "<sip:anonymous>",
    "sip:Restricted;user=phone",
    "<sip:anonymous@anonymous.invalid",
    "\"Alice\" <sip:anonymous@192.0.2.7",
    "\"Anonymous <sip:+493023125001@trunk.example.net>",
    "\"Alice\" sip:withheld@192.0.2.7",
    "<sip:+266696687@192.0.2.7",
    "sip:x%zz@anonymous.invalid",
    "sip:x%zz@%61nonymous.invalid",
    "sip:anonymous%@192.0.2.7",
    "sip:anonymous%00@192.0.2.7",
    "sip:%ff@anonymous.invalid",
    "sip:@anonymous.invalid",
    "sip:%20@anonymous.invalid",
    "sip:a@b@anonymous.invalid",
    "sip:anonymous@a@b",
    "sip:+493023125001@anonymous.invalid%00",
    "http://anonymous.invalid/",
];

#[test]
fn a_from_that_cannot_be_read_still_withholds_the_caller() {
    for party in UNREADABLE {
        for evidence in [from(party), Evidence { pai: &PAI, ..from(party) }] {
            assert_anonymous(&identify_at(true, &evidence), Presentation::Restricted, party);
        }
        let asserted = [Cow::Borrowed(party)];
        assert_anonymous(
            &identify_at(true, &Evidence { pai: &asserted, ..from(FROM) }),
            Presentation::Restricted,
            &format!("asserted: {party}"),
        );
    }
    let endless = format!("<sip:alice@anonymous.invalid>{}", ";".repeat(5_000));
    assert_anonymous(&identify_at(true, &Evidence { pai: &PAI, ..from(&endless) }), Presentation::Restricted, "length");
    let lacking = Evidence { pai: &PAI, ..from("<sip:unavailable>") };
    assert_anonymous(&identify_at(true, &lacking), Presentation::Unavailable, "a lack");
}

#[test]
fn a_from_that_cannot_be_read_and_asks_for_nothing_leaves_the_asserted_number() {
    for party in [
        "",
        "<sip:trunk.example.net>",
        "sip:anonymous.invalid.example.com",
        "sip:private.example.com;cpc=unknown",
        "\"Anonymous\" <sip:trunk.example.net>",
        "Anonymous <sip:alice@example.com",
        "\"Anonymous\"",
        "<sip:alice;cpc=unknown@example.com",
        "sip:x%zz@private.example.com",
        "sip:xanonymous@a@b",
        // Digits of a number, not the spelling of a word.
        "+1 202 555 0100/8656696",
        "tel:+49",
        "alice",
    ] {
        let caller = identify_at(true, &Evidence { pai: &PAI, ..from(party) });
        assert_eq!((caller.presentation, form(&caller)), (Presentation::Allowed, "tel:+493023125042"), "{party}");
    }
}

const RESTRICTED: [&str; 5] = ["anonymous", "restricted", "private", "blocked", "withheld"];
const UNAVAILABLE: [&str; 2] = ["unavailable", "unknown"];
const RESTRICTED_KEYPAD: [&str; 3] = ["266696687", "7378742833", "2562533"];
const UNAVAILABLE_KEYPAD: [&str; 2] = ["86282452253", "8656696"];

/// A withheld user part in each form in which switches send it.
fn spellings(word: &str) -> Vec<String> {
    vec![
        format!("sip:{word}@192.0.2.7"),
        format!("sips:{word}@example.com:5061;transport=tls"),
        format!("\"Alice Example\" <sip:{word};cpc=ordinary@192.0.2.7>;tag=1"),
        format!("tel:{word}"),
        word.to_owned(),
        format!("{word}@192.0.2.7"),
        format!("sip:%{:02X}{}@192.0.2.7", word.as_bytes()[0], &word[1..]),
    ]
}

#[test]
fn a_user_part_that_is_a_word_is_a_withheld_caller() {
    for (words, presentation) in
        [(&RESTRICTED[..], Presentation::Restricted), (&UNAVAILABLE[..], Presentation::Unavailable)]
    {
        for word in words {
            for word in [(*word).to_owned(), word.to_uppercase(), format!("{}{}", word[..1].to_uppercase(), &word[1..])]
            {
                for party in spellings(&word) {
                    assert_anonymous(&identify_at(true, &from(&party)), presentation, &party);
                }
            }
        }
    }
}

#[test]
fn a_user_part_that_is_a_keypad_spelling_is_a_withheld_caller() {
    for (spelt, presentation) in
        [(&RESTRICTED_KEYPAD[..], Presentation::Restricted), (&UNAVAILABLE_KEYPAD[..], Presentation::Unavailable)]
    {
        for digits in spelt {
            for user in [(*digits).to_owned(), format!("+{digits}")] {
                for party in spellings(&user) {
                    for code in ["DE", "US", "GB", "BR"] {
                        let trunk = Trunk { trust_identity: true, region: &region(code), domain: "edge-1" };
                        assert_anonymous(&identify(&from(&party), &trunk), presentation, &party);
                    }
                }
            }
        }
    }
}

#[test]
fn a_display_name_never_withholds_a_caller() {
    for word in RESTRICTED.iter().chain(&UNAVAILABLE).chain(&RESTRICTED_KEYPAD).chain(&UNAVAILABLE_KEYPAD) {
        for party in [
            format!("\"{word}\" <sip:+493023125001@trunk.example.net>"),
            format!("{word} <sip:+493023125001@trunk.example.net>"),
        ] {
            let caller = identify_at(false, &Evidence { display: Some(word), ..from(&party) });
            assert_eq!((caller.presentation, form(&caller)), (Presentation::Allowed, "tel:+493023125001"), "{party}");
        }
    }
}

#[test]
fn a_word_is_the_whole_user_part() {
    for user in ["anonymous1", "xanonymous", "privat", "unknown.alice", "2666966871", "+4926669668", "12562533"] {
        let caller = identify_at(false, &from(&format!("sip:{user}@example.com")));
        assert!(caller.canonical.is_some(), "{user}");
    }
}

#[test]
fn a_withheld_word_in_any_identity_that_counts_withholds_the_caller() {
    let word = [Cow::Borrowed("<sip:anonymous@192.0.2.7>")];
    let beside = [Cow::Borrowed("<sip:unavailable@192.0.2.7>, <tel:+493023125042>")];
    assert_anonymous(&identify_at(true, &Evidence { pai: &word, ..from(FROM) }), Presentation::Restricted, "asserted");
    assert_anonymous(
        &identify_at(true, &Evidence { pai: &beside, ..from(FROM) }),
        Presentation::Unavailable,
        "one of two",
    );
    let rpid = Some("<sip:restricted@192.0.2.7>;privacy=off");
    assert_anonymous(&identify_at(true, &Evidence { rpid, ..from(FROM) }), Presentation::Restricted, "remote party");
    let from_word = Evidence { party: "sip:anonymous@192.0.2.7", pai: &PAI, ..from("") };
    assert_anonymous(&identify_at(true, &from_word), Presentation::Restricted, "From beside an asserted number");
    let both = Evidence { pai: &word, ..from("sip:unknown@192.0.2.7") };
    assert_anonymous(&identify_at(true, &both), Presentation::Restricted, "a wish weighs more than a lack");
    // What does not count does not withhold either.
    assert!(identify_at(false, &Evidence { pai: &word, ..from(FROM) }).canonical.is_some());
}

#[test]
fn a_call_without_usable_identity_is_anonymous() {
    for party in ["", " ", "<null>", "sip:", "sip:example.com", "alice", "\"Alice\"", "urn:service:sos"] {
        assert_anonymous(&identify_at(true, &from(party)), Presentation::Unavailable, party);
    }
}

#[test]
fn with_a_user_id_a_withheld_caller_is_known_but_not_shown() {
    let asked: [Evidence<'_>; 6] = [
        full(Some("id"), None),
        full(None, Some("<sip:1001@example.com>;privacy=full")),
        Evidence { hidden_by_switch: true, ..full(None, None) },
        Evidence { party: "\"Alice\" <sip:alice@anonymous.invalid>", ..full(None, None) },
        Evidence { party: "sip:anonymous@192.0.2.7", ..full(None, None) },
        Evidence { party: "sip:+266696687@192.0.2.7", ..full(None, None) },
    ];
    for evidence in asked {
        let caller = identify_at(true, &Evidence { user_id: Some("customer-4711"), ..evidence });
        assert_eq!((form(&caller), caller.source), ("id:customer-4711", CallerSource::UserId));
        assert_eq!(caller.presentation, Presentation::Restricted);
        assert_eq!((caller.number, caller.display), (None, None));
    }
    let lacking = identify_at(true, &Evidence { user_id: Some("customer-4711"), ..from("sip:unknown@192.0.2.7") });
    assert_eq!((lacking.presentation, lacking.number), (Presentation::Allowed, None));
}

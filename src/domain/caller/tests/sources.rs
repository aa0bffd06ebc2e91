//! Which header says who is calling.

use std::borrow::Cow;

use super::*;

const FROM: &str = "\"From Name\" <sip:+493023125001@trunk.example.net>;tag=1";
const PAI: &str = "\"Asserted Name\" <sip:+493023125002@trunk.example.net>";
const PAI_TEL: &str = "<tel:+493023125003>";
const RPID: &str = "\"Remote Name\" <sip:+493023125004@trunk.example.net>;party=calling;screen=yes;privacy=off";

fn pai<const N: usize>(headers: [&'static str; N]) -> [Cow<'static, str>; N] {
    headers.map(Cow::Borrowed)
}

#[track_caller]
fn assert_source(caller: &Caller, source: CallerSource, canonical: &str) {
    assert_eq!((caller.source, form(caller)), (source, canonical));
}

#[test]
fn a_user_id_comes_before_all_headers() {
    for trusted in [false, true] {
        let caller = identify_at(
            trusted,
            &Evidence { user_id: Some("customer-4711"), pai: &pai([PAI]), rpid: Some(RPID), ..from(FROM) },
        );
        assert_source(&caller, CallerSource::UserId, "id:customer-4711");
        assert_eq!(caller.canonical.as_ref().map(CanonicalCallerId::class), Some(CallerClass::UserId));
        assert_eq!(caller.presentation, Presentation::Allowed);
        assert_eq!(number(&caller), if trusted { "+493023125002" } else { "+493023125001" });
    }
}

#[test]
fn a_user_id_is_taken_as_it_is() {
    for id in ["Customer", "customer", " x", "+493023125001", "anonymous", "jürgen", "a:b@c"] {
        let caller = identify_at(false, &Evidence { user_id: Some(id), ..from(FROM) });
        assert_source(&caller, CallerSource::UserId, &format!("id:{id}"));
    }
}

#[test]
fn a_user_id_that_tells_nobody_apart_is_none() {
    for id in ["", "   ", "a\nb", "\0", &"x".repeat(256)] {
        let caller = identify_at(false, &Evidence { user_id: Some(id), ..from(FROM) });
        assert_source(&caller, CallerSource::From, "tel:+493023125001");
    }
}

#[test]
fn a_user_id_needs_no_number() {
    let caller = identify_at(false, &Evidence { user_id: Some("customer-4711"), ..from("") });
    assert_source(&caller, CallerSource::UserId, "id:customer-4711");
    assert_eq!((caller.presentation, number(&caller)), (Presentation::Allowed, ""));
}

#[test]
fn an_asserted_identity_comes_before_remote_party_id_and_from() {
    let caller = identify_at(true, &Evidence { pai: &pai([PAI]), rpid: Some(RPID), ..from(FROM) });
    assert_source(&caller, CallerSource::PAssertedIdentity, "tel:+493023125002");
    assert_eq!((number(&caller), display(&caller)), ("+493023125002", "Asserted Name"));
}

#[test]
fn remote_party_id_comes_before_from() {
    let caller = identify_at(true, &Evidence { rpid: Some(RPID), ..from(FROM) });
    assert_source(&caller, CallerSource::RemotePartyId, "tel:+493023125004");
    assert_eq!(display(&caller), "Remote Name");
}

#[test]
fn an_untrusted_switch_names_callers_by_from_alone() {
    let caller = identify_at(false, &Evidence { pai: &pai([PAI, PAI_TEL]), rpid: Some(RPID), ..from(FROM) });
    assert_source(&caller, CallerSource::From, "tel:+493023125001");
    assert_eq!((number(&caller), display(&caller)), ("+493023125001", "From Name"));
    let nobody = identify_at(false, &Evidence { pai: &pai([PAI]), rpid: Some(RPID), ..from("") });
    assert_anonymous(&nobody, Presentation::Unavailable, "an identity that does not count");
}

#[test]
fn a_tel_entry_comes_before_a_sip_entry() {
    let both = "\"A, \\\"B\\\"\" <sip:+493023125002@trunk.example.net> , <tel:+49-30-23125-003>";
    for headers in [&pai([PAI, PAI_TEL])[..], &pai([PAI_TEL, PAI])[..], &pai([both])[..], &pai(["", both, PAI])[..]] {
        let caller = identify_at(true, &Evidence { pai: headers, ..from(FROM) });
        assert_source(&caller, CallerSource::PAssertedIdentity, "tel:+493023125003");
    }
}

#[test]
fn of_two_sip_entries_the_first_counts() {
    let caller = identify_at(
        true,
        &Evidence { pai: &pai(["sip:+493023125005@a.example, sip:+493023125006@b.example", PAI]), ..from(FROM) },
    );
    assert_source(&caller, CallerSource::PAssertedIdentity, "tel:+493023125005");
}

#[test]
fn an_identity_that_names_nobody_leaves_it_to_the_next() {
    for unusable in
        ["", "<sip:trunk.example.net>", "tel:alice", "\"open <sip:alice@example.com>", "urn:service:sos", ",,,"]
    {
        let headers = [Cow::Borrowed(unusable)];
        let caller = identify_at(true, &Evidence { pai: &headers, rpid: Some(RPID), ..from(FROM) });
        assert_source(&caller, CallerSource::RemotePartyId, "tel:+493023125004");
        let caller = identify_at(true, &Evidence { pai: &headers, rpid: Some(unusable), ..from(FROM) });
        assert_source(&caller, CallerSource::From, "tel:+493023125001");
        let headers = [Cow::Borrowed(unusable), Cow::Borrowed(PAI)];
        let caller = identify_at(true, &Evidence { pai: &headers, ..from(FROM) });
        assert_source(&caller, CallerSource::PAssertedIdentity, "tel:+493023125002");
    }
}

#[test]
fn an_identity_may_be_an_extension_or_an_address() {
    let caller = identify_at(true, &Evidence { pai: &pai(["<sip:1001@pbx.example.com>"]), ..from(FROM) });
    assert_source(&caller, CallerSource::PAssertedIdentity, "ext:edge-1:1001");
    assert_eq!(number(&caller), "1001");
    let caller = identify_at(true, &Evidence { pai: &pai(["Alice@Example.com"]), ..from(FROM) });
    assert_source(&caller, CallerSource::PAssertedIdentity, "sip:Alice@example.com");
    assert_eq!(number(&caller), "sip:Alice@example.com");
}

#[test]
fn remote_party_id_of_the_called_side_names_nobody() {
    for party in ["party=called", " PARTY = \"called\" "] {
        let header = format!("<sip:+493023125009@trunk.example.net>;{party};privacy=off");
        let caller = identify_at(true, &Evidence { rpid: Some(&header), ..from(FROM) });
        assert_source(&caller, CallerSource::From, "tel:+493023125001");
        let header = format!("{header}, {RPID}");
        let caller = identify_at(true, &Evidence { rpid: Some(&header), ..from(FROM) });
        assert_source(&caller, CallerSource::RemotePartyId, "tel:+493023125004");
    }
}

#[test]
fn the_display_name_the_switch_gives_apart_is_the_one_shown() {
    for (given, shown) in [
        ("\"Alice Example\"", "Alice Example"),
        ("Alice Example", "Alice Example"),
        ("  \"Al \\\"ice\\\"\"  ", "Al \"ice\""),
        ("\"half", "\"half"),
        ("Jürgen", "Jürgen"),
        ("\"\"", "From Name"),
        ("  ", "From Name"),
        ("a\nb", "From Name"),
    ] {
        let caller = identify_at(false, &Evidence { display: Some(given), ..from(FROM) });
        assert_eq!(display(&caller), shown, "{given}");
    }
}

#[test]
fn extensions_of_two_switches_are_two_callers() {
    let at = |domain| {
        identify(&from("sip:1001@pbx.example.com"), &Trunk { trust_identity: false, region: &region("DE"), domain })
    };
    assert_eq!(form(&at("edge-1")), "ext:edge-1:1001");
    assert_eq!(form(&at("edge-2")), "ext:edge-2:1001");
}

//! Remote-Party-ID: where it hides, nothing is shown, trusted or not; an untrusted one never says who is calling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use recalld::domain::caller::withheld::remote_party_hides;
use recalld::domain::caller::{CallerSource, Evidence, Presentation};

#[path = "support/caller.rs"]
mod caller;

fuzz_target!(|header: &str| {
    let open = caller::from("sip:+493023125001@192.0.2.7");
    let with = Evidence { rpid: Some(header), ..open };
    let (trusted, untrusted) = (caller::identify(&with), caller::identify_untrusted(&with));
    if remote_party_hides(header) {
        caller::assert_nothing_is_shown(&trusted, Presentation::Restricted);
        caller::assert_nothing_is_shown(&untrusted, Presentation::Restricted);
    } else {
        assert_eq!(untrusted, caller::identify_untrusted(&open));
        match trusted.source {
            CallerSource::RemotePartyId => assert!(trusted.canonical.is_some()),
            CallerSource::From => assert_eq!(trusted.canonical, untrusted.canonical),
            // A word in it that means a withheld caller.
            CallerSource::None => assert!(trusted.canonical.is_none() && trusted.number.is_none()),
            other => panic!("nothing else was given: {other:?}"),
        }
    }
});

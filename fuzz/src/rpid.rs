//! Remote-Party-ID: where it hides, nothing is shown, trusted or not; an untrusted one never says who is calling.

use recalld::domain::caller::withheld::remote_party_hides;
use recalld::domain::caller::{CallerSource, Evidence, Presentation};

use super::caller;

/// Looks at one input: the text of a header.
pub fn run(input: &[u8]) {
    let header = super::text(input);
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
}

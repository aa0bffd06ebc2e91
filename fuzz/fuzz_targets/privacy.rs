//! Privacy: a header that hides hides everything about the caller, in whatever company and spacing the value stands, and
//! no header changes who somebody is who is shown.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use recalld::domain::caller::withheld::privacy_hides;
use recalld::domain::caller::{Evidence, Presentation};

#[path = "support/caller.rs"]
mod caller;

fuzz_target!(|header: &str| {
    let asserted = [Cow::Borrowed("<sip:+493023125042@192.0.2.1>")];
    let open = Evidence { pai: &asserted, display: Some("Erika"), ..caller::from("sip:+493023125001@192.0.2.7") };
    let said = caller::identify(&Evidence { privacy: Some(header), ..open });
    if privacy_hides(header) {
        caller::assert_nothing_is_shown(&said, Presentation::Restricted);
        // More values do not take a wish back.
        for more in [format!("{header};none"), format!("critical ; {header}"), format!("  {header}\t")] {
            assert!(privacy_hides(&more), "{more:?}");
        }
    } else {
        assert_eq!(said, caller::identify(&open));
    }
});

//! Privacy: a header that hides hides everything about the caller, in whatever company and spacing the value stands, and
//! no header changes who somebody is who is shown.

use std::borrow::Cow;

use recalld::domain::caller::withheld::privacy_hides;
use recalld::domain::caller::{Evidence, Presentation};

use super::caller;

/// Looks at one input: the text of a header.
pub fn run(input: &[u8]) {
    let header = super::text(input);
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
}

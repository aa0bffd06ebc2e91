//! P-Asserted-Identity, in one header or two: an untrusted one is not there, a trusted one is taken before From unless it
//! names nobody, and the order of a `tel` and a `sip` entry does not matter.

use std::borrow::Cow;

use recalld::domain::caller::{CallerSource, Evidence};

use super::caller;

/// Looks at one input: a line for each of two headers.
pub fn run(input: &[u8]) {
    let text = super::text(input);
    let headers = text.split_once('\n').unwrap_or((text, ""));
    let open = caller::from("sip:+493023125001@192.0.2.7");
    let both = [Cow::Borrowed(headers.0), Cow::Borrowed(headers.1)];
    let with = Evidence { pai: &both, ..open };
    assert_eq!(caller::identify_untrusted(&with), caller::identify_untrusted(&open));
    let trusted = caller::identify(&with);
    match trusted.source {
        CallerSource::PAssertedIdentity => assert!(trusted.canonical.is_some()),
        CallerSource::From => assert_eq!(trusted.canonical, caller::identify(&open).canonical),
        CallerSource::None => assert!(trusted.canonical.is_none() && trusted.number.is_none()),
        other => panic!("nothing else was given: {other:?}"),
    }
    let tel = "<tel:+493023125042>";
    if !headers.0.contains("tel:") && !headers.0.contains("TEL:") {
        let one = [Cow::Borrowed(headers.0), Cow::Borrowed(tel)];
        let other = [Cow::Borrowed(tel), Cow::Borrowed(headers.0)];
        let (one, other) = (Evidence { pai: &one, ..open }, Evidence { pai: &other, ..open });
        assert_eq!(caller::identify(&one).canonical.is_none(), caller::identify(&other).canonical.is_none());
    }
}

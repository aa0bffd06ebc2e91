//! The promises of PRODUCT.md 3.1, 3.4, 3.5 and 3.6.

mod assurance;
mod corpus;
mod properties;
mod rules;
mod shown;
mod sources;
mod uri;
mod withheld;

use super::*;

/// From alone.
fn from(party: &str) -> Evidence<'_> {
    Evidence {
        user_id: None,
        party,
        display: None,
        pai: &[],
        rpid: None,
        privacy: None,
        verstat: None,
        hidden_by_switch: false,
    }
}

fn region(text: &str) -> Region {
    text.parse().expect("a region")
}

/// What a switch in Germany makes of it.
fn identify_at(trust_identity: bool, evidence: &Evidence<'_>) -> Caller {
    identify(evidence, &Trunk { trust_identity, region: &region("DE"), domain: "edge-1" })
}

/// The canonical form, empty if anonymous.
fn form(caller: &Caller) -> &str {
    caller.canonical.as_ref().map_or("", CanonicalCallerId::reveal)
}

/// The number shown, empty if none.
fn number(caller: &Caller) -> &str {
    caller.number.as_ref().map_or("", CallerNumber::reveal)
}

/// The display name shown, empty if none.
fn display(caller: &Caller) -> &str {
    caller.display.as_ref().map_or("", CallerNumber::reveal)
}

/// An anonymous call: nothing to be recognised by, nothing to be shown, nothing to be trusted.
fn assert_anonymous(caller: &Caller, presentation: Presentation, what: &str) {
    let expected = Caller {
        canonical: None,
        presentation,
        source: CallerSource::None,
        assurance: Assurance::None,
        number: None,
        display: None,
    };
    assert_eq!(caller, &expected, "{what}");
}

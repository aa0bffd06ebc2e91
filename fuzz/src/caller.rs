//! What the targets about callers share.

use recalld::domain::caller::{self, Assurance, Caller, CallerSource, Evidence, Presentation, Region, Trunk};

/// From alone.
pub fn from(party: &str) -> Evidence<'_> {
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

/// What a trusted switch in Germany makes of it.
pub fn identify(evidence: &Evidence<'_>) -> Caller {
    read(evidence, true, germany())
}

/// What a switch in Germany makes of it whose headers do not count.
pub fn identify_untrusted(evidence: &Evidence<'_>) -> Caller {
    read(evidence, false, germany())
}

/// What a switch in this region makes of it.
pub fn identify_in(region: Region, evidence: &Evidence<'_>) -> Caller {
    read(evidence, false, region)
}

/// Nothing to be recognised by, nothing to be shown, nothing to be trusted.
pub fn assert_nothing_is_shown(caller: &Caller, presentation: Presentation) {
    let expected = Caller {
        canonical: None,
        presentation,
        source: CallerSource::None,
        assurance: Assurance::None,
        number: None,
        display: None,
    };
    assert_eq!(*caller, expected);
}

fn germany() -> Region {
    "DE".parse().expect("a region")
}

fn read(evidence: &Evidence<'_>, trust_identity: bool, region: Region) -> Caller {
    caller::identify(evidence, &Trunk { trust_identity, region: &region, domain: "edge-1" })
}

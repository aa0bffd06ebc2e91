//! Which of the headers says who is calling (PRODUCT.md 3.1), and what of it is used and shown.

use super::assurance::{self, Assurance};
use super::canonical::CanonicalCallerId;
use super::details::{CallerNumber, Presentation};
use super::evidence::{CallerSource, Evidence, Trunk};
use super::rules::{RULES, RuleSet, RuleSets};
use super::uri::{self, Address, Scheme};
use super::withheld;

/// Most bytes of a user ID.
const MAX_USER_ID: usize = 255;

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The canonical caller ID; none for an anonymous call.
    pub canonical: Option<CanonicalCallerId>,
    /// Whether it may be shown.
    pub presentation: Presentation,
    /// Where it was taken from.
    pub source: CallerSource,
    /// How far it can be trusted.
    pub assurance: Assurance,
    /// The number as it may be shown; none if hidden.
    pub number: Option<CallerNumber>,
    /// The display name; none if hidden.
    pub display: Option<CallerNumber>,
}

/// Decides who is calling.
#[must_use]
pub fn identify(evidence: &Evidence<'_>, trunk: &Trunk<'_>) -> Caller {
    identify_by(&RULES, evidence, trunk)
}

/// Decides who is calling by these rules.
#[must_use]
pub fn identify_by(rules: &RuleSets<'_>, evidence: &Evidence<'_>, trunk: &Trunk<'_>) -> Caller {
    let candidates = Candidates::read(evidence, trunk.trust_identity);
    let hidden = candidates.hidden(evidence);
    let is_hidden = hidden == Some(Presentation::Restricted);
    let found = if hidden.is_none() { candidates.first_usable(&rules.newest, trunk) } else { None };
    let number = found.as_ref().map(|found| CallerNumber::new(found.canonical.shown().to_owned()));
    let display = || {
        let given = evidence.display.and_then(uri::read_display);
        let name = given.or_else(|| found.as_ref().and_then(|found| found.address.display.clone()));
        name.map(|name| CallerNumber::new(name.into_owned()))
    };
    if let Some(id) = evidence.user_id.filter(|id| is_user_id(id)) {
        return Caller {
            canonical: Some(rules.with_former((rules.newest.of_user_id)(id), |set| Some((set.of_user_id)(id)))),
            presentation: if is_hidden { Presentation::Restricted } else { Presentation::Allowed },
            source: CallerSource::UserId,
            assurance: assurance::at_start(CallerSource::UserId, trunk.trust_identity, evidence.verstat),
            number,
            display: if is_hidden { None } else { display() },
        };
    }
    let display = display();
    let Some(Found { canonical, source, .. }) = found else {
        return Caller {
            canonical: None,
            presentation: hidden.unwrap_or(Presentation::Unavailable),
            source: CallerSource::None,
            assurance: Assurance::None,
            number: None,
            display: None,
        };
    };
    Caller {
        canonical: Some(
            rules.with_former(canonical, |set| candidates.first_usable(set, trunk).map(|found| found.canonical)),
        ),
        presentation: Presentation::Allowed,
        source,
        assurance: assurance::at_start(source, trunk.trust_identity, evidence.verstat),
        number,
        display,
    }
}

/// An ID that is blank, endless or full of control characters tells nobody apart.
fn is_user_id(id: &str) -> bool {
    id.len() <= MAX_USER_ID && !id.trim().is_empty() && !id.chars().any(char::is_control)
}

/// What of the headers counts.
struct Candidates<'a> {
    /// Each address with its source, in the order of preference.
    addresses: Vec<(CallerSource, Address<'a>)>,
    /// What texts say of which no user or no host can be told.
    unreadable: Option<Presentation>,
}

struct Found<'c, 'a> {
    canonical: CanonicalCallerId,
    source: CallerSource,
    address: &'c Address<'a>,
}

impl<'a> Candidates<'a> {
    fn read(evidence: &Evidence<'a>, trust_identity: bool) -> Self {
        let mut candidates = Self { addresses: Vec::with_capacity(2), unreadable: None };
        if trust_identity {
            for text in evidence.pai.iter().flat_map(|header| entries(header)) {
                candidates.take(CallerSource::PAssertedIdentity, text);
            }
            // A number that can be dialled says more than an address at some provider.
            candidates.addresses.sort_by_key(|(_, address)| address.scheme != Scheme::Tel);
            for text in evidence.rpid.into_iter().flat_map(entries).filter(|entry| !is_called_side(entry)) {
                candidates.take(CallerSource::RemotePartyId, text);
            }
        }
        candidates.take(CallerSource::From, evidence.party);
        candidates
    }

    /// Takes one address. A text that is none may still ask to hide the caller.
    fn take(&mut self, source: CallerSource, text: &'a str) {
        let address = Address::parse(text);
        let is_whole = address.as_ref().is_some_and(|address| {
            // A `tel:` URI has no host, nor has a bare number.
            let is_number =
                address.scheme == Scheme::Tel || address.scheme == Scheme::Bare && super::is_number_text(&address.user);
            address.host.is_some() || is_number && !text.contains('@')
        });
        if !is_whole && let Some(said) = withheld::text_hides(text) {
            self.unreadable = Some(self.unreadable.map_or(said, |before| withheld::stronger(before, said)));
        }
        self.addresses.extend(address.map(|address| (source, address)));
    }

    /// Whether the caller is withheld by anything that was reported.
    fn hidden(&self, evidence: &Evidence<'_>) -> Option<Presentation> {
        let asked_for = evidence.hidden_by_switch
            || evidence.privacy.is_some_and(withheld::privacy_hides)
            || evidence.rpid.is_some_and(withheld::remote_party_hides);
        if asked_for {
            return Some(Presentation::Restricted);
        }
        let said = self.addresses.iter().filter_map(|(_, address)| withheld::address_hides(address));
        said.chain(self.unreadable).reduce(withheld::stronger)
    }

    fn first_usable(&self, rules: &RuleSet, trunk: &Trunk<'_>) -> Option<Found<'_, 'a>> {
        self.addresses.iter().find_map(|(source, address)| {
            (rules.of_address)(address, trunk).map(|canonical| Found { canonical, source: *source, address })
        })
    }
}

/// The entries of an identity header. One above the limit is not taken apart: it stays one text, which is no address.
fn entries(header: &str) -> impl Iterator<Item = &str> {
    let (short, long) = if header.len() <= uri::MAX_TEXT { (header, None) } else { ("", Some(header)) };
    uri::entries(short).chain(long)
}

fn is_called_side(entry: &str) -> bool {
    uri::split_outside(entry, b';').skip(1).any(|parameter| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("party") && value.trim().trim_matches('"').eq_ignore_ascii_case("called")
        })
    })
}

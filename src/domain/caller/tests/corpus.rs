//! The golden corpus: what switches send, and the canonical form of each.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::*;

const CORPUS: &str = include_str!("../../../../tests/data/caller-ids.tsv");

struct Line<'a> {
    at: usize,
    kind: &'a str,
    region: &'a str,
    input: String,
    class: &'a str,
    canonical: &'a str,
}

fn lines() -> Vec<Line<'static>> {
    let lines = CORPUS.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
    lines
        .map(|(index, line)| {
            let columns: Vec<_> = line.split('\t').collect();
            let [kind, region, input, class, canonical] = columns[..] else {
                panic!("line {}: five columns", index + 1)
            };
            Line { at: index + 1, kind, region, input: unescape(input), class, canonical }
        })
        .collect()
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('\\') => '\\',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('n') => '\n',
                Some('0') => '\0',
                Some('s') => ' ',
                other => panic!("no escape: {other:?}"),
            },
            other => other,
        });
    }
    plain
}

#[test]
fn every_caller_id_of_the_corpus_has_its_canonical_form() {
    let mut wrong = Vec::new();
    for line in lines() {
        let caller = identify(
            &from(&line.input),
            &Trunk { trust_identity: false, region: &region(line.region), domain: "edge-1" },
        );
        let class = match caller.canonical.as_ref().map(CanonicalCallerId::class) {
            Some(CallerClass::Tel) => "tel",
            Some(CallerClass::Extension) => "ext",
            Some(CallerClass::Sip) => "sip",
            Some(CallerClass::UserId) => "id",
            None => "none",
        };
        if (class, form(&caller)) != (line.class, line.canonical) {
            wrong.push(format!(
                "line {} ({}, {}): {:?} is {class} {:?}, not {} {:?}",
                line.at,
                line.kind,
                line.region,
                line.input,
                form(&caller),
                line.class,
                line.canonical
            ));
        }
    }
    assert!(wrong.is_empty(), "{} lines:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_corpus_covers_the_regions_and_the_classes() {
    let lines = lines();
    assert!(lines.len() >= 300, "{} lines", lines.len());
    for code in ["DE", "AT", "CH", "GB", "US", "FR", "IT", "AR", "BR", "MX"] {
        let mut classes: HashMap<&str, usize> = HashMap::new();
        for line in lines.iter().filter(|line| line.region == code) {
            *classes.entry(line.class).or_default() += 1;
        }
        assert!(
            classes["tel"] >= 10 && classes["ext"] >= 3 && classes["sip"] >= 2 && classes["none"] >= 1,
            "{code}: {classes:?}"
        );
    }
}

#[test]
fn ten_kilobytes_of_rubbish_name_nobody() {
    let long = 10_000;
    for text in [
        "x".repeat(long),
        "1".repeat(long),
        "<".repeat(long),
        "\"\\".repeat(long),
        "%41".repeat(long),
        ";=".repeat(long),
        format!("sip:{}@example.com", "a".repeat(long)),
        format!("sip:alice@{}", "a".repeat(long)),
        format!("tel:+{}", "4".repeat(long)),
        format!("\"{}\" <sip:alice@example.com>", "\\\"".repeat(long)),
        format!("sip:{}@example.com", "%2B".repeat(long)),
    ] {
        assert_anonymous(&identify_at(true, &from(&text)), Presentation::Unavailable, &text[..20]);
    }
}

#[test]
fn a_user_is_at_most_255_bytes_long_once_decoded() {
    for (length, found) in [(255, true), (256, false)] {
        let user = "%61".repeat(length);
        assert_eq!(
            identify_at(false, &from(&format!("sip:{user}@example.com"))).canonical.is_some(),
            found,
            "{length}"
        );
    }
}

#[test]
fn a_region_is_two_capital_letters_of_a_country() {
    for text in ["DE", "AT", "CH", "GB", "US", "FR", "IT", "AR", "BR", "MX", "VA"] {
        assert!(text.parse::<Region>().is_ok(), "{text}");
    }
    for text in ["", "D", "de", "DEU", "Germany", "001", "XX", "ZZ", "49", "ÄÖ", "D\0"] {
        assert_eq!(text.parse::<Region>(), Err(InvalidRegion), "{text}");
    }
}

/// What each version of the rules makes of the corpus, as a hash of the file.
const CORPUS_OF_VERSION: [(u16, &str); 1] = [(1, "dc53938ebcb2477e08f25db995fec5337cd25d74f624a1d141b63328df19ab39")];

#[test]
fn the_corpus_changes_only_with_the_version_of_the_rules() {
    let (version, hash) = CORPUS_OF_VERSION.last().expect("there is a version");
    assert_eq!(*version, RULES.newest.version);
    assert_eq!(
        HEXLOWER.encode(&Sha256::digest(CORPUS)),
        *hash,
        "a changed line is a changed rule: raise RULE_VERSION and keep the rules before it in RULES; a line that was \
         added alone needs its new hash here only"
    );
}

/// The number parser's data is part of the rules, so an update of the crate is a new version of them.
#[test]
fn the_number_parser_is_pinned_to_the_digit() {
    let lock = include_str!("../../../../Cargo.lock");
    assert!(lock.contains("name = \"rlibphonenumber\"\nversion = \"2.2.15\"\n"), "see the rules");
    assert!(include_str!("../../../../Cargo.toml").contains("rlibphonenumber = \"=2.2.15\""), "see the rules");
}

//! What somebody who has copied a database can try: how many phone numbers a second one core tests against the session
//! IDs in it, with the pseudonym key and without.
//!
//! `cargo bench --bench attack` prints it as the text that the documentation quotes.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "the inputs are written here, and printing is the purpose"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use recalld::domain::pseudonym::RootKey;
use sha2::{Digest, Sha256};

/// All numbers of a large country, about.
const NUMBERS: f64 = 1e10;
/// How long each way is measured.
const MEASURE: Duration = Duration::from_secs(3);
const INSTANCE: &[u8] = b"support-de";

/// The canonical form of a number, written in place as an attacker would.
struct Candidates {
    text: [u8; 17],
    number: u64,
}

impl Candidates {
    fn new() -> Self {
        Self { text: *b"tel:+493023125000", number: 3_023_125_000 }
    }

    fn next(&mut self) -> &[u8] {
        self.number += 1;
        let mut rest = self.number;
        for digit in self.text.iter_mut().rev().take(10) {
            *digit = b'0' + u8::try_from(rest % 10).expect("a digit");
            rest /= 10;
        }
        &self.text
    }
}

/// Guesses a second of one core.
fn rate(mut guess: impl FnMut(&[u8]) -> [u8; 32]) -> f64 {
    const BATCH: u32 = 10_000;
    let mut candidates = Candidates::new();
    let mut guesses = 0.0;
    let begin = Instant::now();
    while begin.elapsed() < MEASURE {
        for _ in 0..BATCH {
            black_box(guess(black_box(candidates.next())));
        }
        guesses += f64::from(BATCH);
    }
    guesses / begin.elapsed().as_secs_f64()
}

fn main() {
    let root = RootKey::from_file(&[7; 32]).expect("a key");
    let tenant = "acme".parse().expect("a tenant");
    let key = root.pseudonym_key(&tenant, 1);
    // The state after the key is computed once: an attacker does not do it for each guess.
    let keyed = Hmac::<Sha256>::new_from_slice(key.secret()).expect("a key for HMAC");

    let bare = rate(|number| {
        let digest = Sha256::digest(number);
        Sha256::new().chain_update(digest).chain_update(INSTANCE).finalize().into()
    });
    let with_key = rate(|number| {
        let digest = Sha256::digest(number);
        keyed.clone().chain_update(digest).chain_update(INSTANCE).finalize().into_bytes().into()
    });
    let of_keys = {
        let mut version = 0;
        rate(move |number| {
            version += 1;
            let guessed = root.pseudonym_key(&tenant, version);
            let digest = Sha256::digest(number);
            let keyed = Hmac::<Sha256>::new_from_slice(guessed.secret()).expect("a key for HMAC");
            keyed.chain_update(digest).chain_update(INSTANCE).finalize().into_bytes().into()
        })
    };

    println!("One core of this machine tests {:.1} million numbers a second against a bare hash:", bare / 1e6);
    println!("all 10^10 numbers in {}.", duration(NUMBERS / bare));
    println!("With the pseudonym key of a tenant it tests {:.1} million a second:", with_key / 1e6);
    println!("all 10^10 numbers in {}. Whoever has the key can undo the pseudonyms.", duration(NUMBERS / with_key));
    println!("Without the key there is nothing to test a number against: for each of the 2^256 root keys the");
    println!(
        "same database fits other numbers. One core derives and tries {:.1} million keys a second, which",
        of_keys / 1e6
    );
    println!("is 2^{:.0} in a year.", (of_keys * 365.25 * 86_400.0).log2());
}

/// A time in words.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} seconds"),
        s if s < 7_200.0 => format!("{:.0} minutes", s / 60.0),
        s => format!("{:.1} hours", s / 3_600.0),
    }
}

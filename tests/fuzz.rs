//! A short form of `make fuzz`: every fuzz target over its seeds and a fixed number of mutations of them, the same in
//! every run. What the targets promise is written at the targets.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

#[path = "../fuzz/src/lib.rs"]
mod targets;

use targets::TARGETS;

/// Mutations of the seeds of each target.
const MUTATIONS: usize = 2_000;
/// Longest input, as in `fuzz/run`.
const LONGEST: usize = 4_096;
/// Bytes that mean something to one parser or another.
const TELLING: &[u8] = b"\0\n\r\t \"\\'<>()[]{}@:;,=%*+-./0123456789aAzZ\x7f\x80\xc3\xe2\xff";

fn fuzz(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(path)
}

/// The names of what is in a directory, without what `ending` cuts off and what does not end so.
fn names(directory: &str, ending: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(fuzz(directory)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect()
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = format!("seeds/{target}");
    names(&directory, "").iter().map(|name| fs::read(fuzz(&directory).join(name)).unwrap()).collect()
}

/// The words of the target's dictionary: one a line, in quotes, with `\"` and `\\`.
fn dictionary(target: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(fuzz(&format!("seeds/{target}.dict"))).unwrap_or_default();
    let word = |line: &str| {
        let quoted = line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).expect("a word in quotes");
        quoted.replace("\\\"", "\"").replace("\\\\", "\\").into_bytes()
    };
    text.lines().map(word).collect()
}

/// Makes inputs out of seeds.
struct Mutator {
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
    rng: StdRng,
}

impl Mutator {
    fn new(target: &str) -> Self {
        let number = target.bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte));
        Self { seeds: seeds(target), words: dictionary(target), rng: StdRng::seed_from_u64(number) }
    }

    /// A seed with one to eight changes.
    fn input(&mut self) -> Vec<u8> {
        let mut input = self.seeds[self.rng.random_range(0..self.seeds.len())].clone();
        for _ in 0..self.rng.random_range(1..=8) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let from = self.rng.random_range(0..=input.len());
        let to = (from + self.rng.random_range(0..=16)).min(input.len());
        match self.rng.random_range(0..8) {
            0 if from < to => input[from] ^= 1 << self.rng.random_range(0..8),
            1 if from < to => input[from] = self.telling(),
            2 => drop(input.drain(from..to)),
            3 => {
                let piece = input[from..to].repeat(self.rng.random_range(1..=20));
                input.splice(from..from, piece);
            }
            4 => input.truncate(from),
            5 if !self.words.is_empty() => {
                let word = self.words[self.rng.random_range(0..self.words.len())].clone();
                input.splice(from..from, word);
            }
            6 => {
                let other = &self.seeds[self.rng.random_range(0..self.seeds.len())];
                let tail = self.rng.random_range(0..=other.len());
                input.truncate(from);
                input.extend_from_slice(&other[tail..]);
            }
            _ => input.insert(from, self.telling()),
        }
    }

    fn telling(&mut self) -> u8 {
        TELLING[self.rng.random_range(0..TELLING.len())]
    }
}

#[test]
fn no_seed_and_no_mutation_of_one_breaks_a_promise() {
    for (name, target) in TARGETS {
        let mut mutator = Mutator::new(name);
        let seeds = mutator.seeds.clone();
        let mutations = std::iter::repeat_with(|| mutator.input()).take(MUTATIONS);
        for input in seeds.into_iter().chain(mutations) {
            let looked_at = catch_unwind(|| target(&input));
            assert!(looked_at.is_ok(), "{name} breaks its promise with b\"{}\"", input.escape_ascii());
        }
    }
}

#[test]
fn every_target_is_run_by_the_fuzzer_too_and_has_seeds() {
    let known: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets", ".rs"), known);
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    for name in known {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "{name} is no program of fuzz/Cargo.toml"
        );
        assert!(!seeds(&name).is_empty(), "{name} has no seed in fuzz/seeds");
    }
}

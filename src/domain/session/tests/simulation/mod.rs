//! The core under crashes and changes of retention, from a seed: sessions decide, commits wait for a writer, groups
//! become durable, records are written when a session falls idle and now and then, the log is trimmed behind them, a
//! timer wheel over the expiry index ends what is due, and at any moment the machine may lose what is not durable.
//! Beside it runs the model. One seed replays one program, and of one that fails the few steps are told that matter:
//!
//!     RECALLD_SEED=17 cargo test --release --lib simulation
//!     RECALLD_SEEDS=100000 cargo test --release --lib simulation

mod chance;
mod disk;
mod machine;
mod program;
mod shrink;
mod wheel;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use program::{Program, Ran, Step};
use shrink::shrink;

const SEEDS: u64 = 5_000;

thread_local! {
    /// Where a panic of this thread is told while a program runs: one that is shrunk panics hundreds of times.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a program; what it has panicked with, if it has.
fn outcome(program: &Program) -> Result<Ran, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_told = PANIC.with_borrow_mut(|told| {
                let told = told.as_mut();
                told.map(|told| panic.to_string().clone_into(told)).is_some()
            });
            if !is_told {
                others(panic);
            }
        }));
    });
    PANIC.set(Some(String::new()));
    let ran = catch_unwind(AssertUnwindSafe(|| program.run()));
    let told = PANIC.take();
    ran.map_err(|_| told.unwrap_or_default())
}

/// The smallest part of a program of which this is true.
fn smallest(program: &Program, is_wrong: impl Fn(&Program) -> bool) -> Program {
    program.with(&shrink(&program.steps, Step::simpler, |steps| is_wrong(&program.with(steps))))
}

#[test]
fn a_simulated_machine_loses_nothing_it_has_answered_and_keeps_nothing_that_has_ended_whatever_the_seed() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("RECALLD_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RECALLD_SEEDS").unwrap_or(SEEDS),
    };
    let (mut crashes, mut expired) = (0, 0);
    for seed in seeds.clone() {
        let program = Program::from_seed(seed);
        match outcome(&program) {
            Ok(ran) => {
                crashes += ran.crashes;
                expired += ran.expired;
            }
            Err(cause) => {
                let smallest = smallest(&program, |program| outcome(program).is_err());
                let of_it = outcome(&smallest).expect_err("it fails again");
                panic!(
                    "{cause}\nreplay it with RECALLD_SEED={seed}; of its {} steps these are enough:\n{}{of_it}",
                    program.steps.len(),
                    smallest.in_words()
                );
            }
        }
    }
    println!("{} programs, {crashes} crashes, {expired} expirations", seeds.count());
    assert!(crashes > 0 && expired > 0);
}

#[test]
fn a_false_claim_is_refuted_by_a_small_program_that_its_seed_gives_again() {
    // That nothing ever ends.
    let is_wrong = |program: &Program| outcome(program).is_ok_and(|ran| ran.expired > 0);
    let seed = (0..SEEDS).find(|seed| is_wrong(&Program::from_seed(*seed))).expect("something ends");
    let program = Program::from_seed(seed);
    let small = smallest(&program, is_wrong);
    assert!(is_wrong(&small) && small.steps.len() <= 4, "{}", small.in_words());
    for at in 0..small.steps.len() {
        let without = [&small.steps[..at], &small.steps[at + 1..]].concat();
        assert!(!is_wrong(&small.with(&without)), "step {} of\n{}is not needed", at + 1, small.in_words());
    }
    let again = Program::from_seed(seed);
    assert_eq!(again.in_words(), program.in_words());
    assert_eq!(outcome(&again), outcome(&program));
    assert_eq!(smallest(&again, is_wrong).in_words(), small.in_words());
}

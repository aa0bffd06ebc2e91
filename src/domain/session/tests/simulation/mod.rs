//! The core under crashes and changes of retention, from a seed: sessions decide, commits wait for a writer, groups
//! become durable, records are written when a session falls idle and now and then, the log is trimmed behind them, a
//! timer wheel over the expiry index ends what is due, and at any moment the machine may lose what is not durable.
//! Beside it runs the model. One seed replays one program:
//!
//!     RECALLD_SEED=17 cargo test --release --lib simulation
//!     RECALLD_SEEDS=100000 cargo test --release --lib simulation

mod chance;
mod disk;
mod machine;
mod wheel;

use machine::Machine;

const SEEDS: u64 = 5_000;
const STEPS: usize = 160;

fn run(seed: u64) -> (usize, usize) {
    let mut machine = Machine::new(seed);
    for _ in 0..STEPS {
        machine.step();
    }
    machine.crash();
    machine.settle();
    machine.check();
    (machine.crashes, machine.expired)
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
        let ran = std::panic::catch_unwind(|| run(seed));
        let (crashed, ended) = ran.unwrap_or_else(|cause| {
            eprintln!("replay it with RECALLD_SEED={seed}");
            std::panic::resume_unwind(cause)
        });
        crashes += crashed;
        expired += ended;
    }
    println!("{} programs, {crashes} crashes, {expired} expirations", seeds.count());
    assert!(crashes > 0 && expired > 0);
}

//! Which seeds a test runs, and the line that repeats one.

use std::env;

/// Runs `test` with seeds from 0 on: `count` of them, or `SEEDS` times as many, or only `SEED`.
pub fn for_seeds(name: &'static str, count: u64, test: impl Fn(u64)) {
    let number = |key| env::var(key).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..count * number("SEEDS").unwrap_or(1),
    };
    for seed in seeds {
        let repeat = Repeat { name, seed };
        test(seed);
        std::mem::forget(repeat);
    }
}

/// Prints how to repeat a run, if that run panics.
struct Repeat {
    name: &'static str,
    seed: u64,
}

impl Drop for Repeat {
    fn drop(&mut self) {
        eprintln!("SEED={} cargo test --lib faults::{}", self.seed, self.name);
    }
}

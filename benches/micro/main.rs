//! The parts of a request, each alone: by wall time with divan (`cargo bench`), by instructions with callgrind
//! (`sh benches/ir.sh`).
//!
//! On a shared machine read divan's column `fastest`: means move by a quarter, minima by a thousandth.

mod cases;
/// The source itself: it is nobody's outside the storage, and needs nothing of it.
#[path = "../../src/storage/index.rs"]
#[allow(dead_code, reason = "the storage uses all of it")]
mod index;

use cases::{CASES, Case};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[..] {
        [_, flag, name, count] if flag == "--ir" => repeat(find(name), count.parse().expect("a count")),
        [_, flag] if flag == "--names" => CASES.iter().for_each(|case| println!("{}", case.name)),
        _ => divan::main(),
    }
}

/// For callgrind: the difference of two counts is what the turns between them cost.
fn repeat(case: &Case, count: u64) {
    let mut turn = (case.make)();
    (0..count).for_each(|_| turn());
}

fn find(name: &str) -> &'static Case {
    CASES
        .iter()
        .find(|case| case.name == name)
        .expect("a case of the table")
}

#[divan::bench(args = CASES.iter().map(|case| case.name))]
fn turn(bencher: divan::Bencher<'_, '_>, name: &str) {
    bencher.bench_local((find(name).make)());
}

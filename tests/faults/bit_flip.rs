//! Bits that change by themselves: nothing wrong is served as a good batch.

use std::path::PathBuf;

use super::case::{Case, config};
use super::rig::LOG_DIR;
use super::seeds::for_seeds;
use crate::rt::sim::{FaultPlan, Rng};

const BATCHES: usize = 5;
const BATCH_BYTES: usize = 3000;

#[test] // Goal: recovery cuts an unchecked segment at the batch with the flipped bit; what is before it stays.
fn flipped_bit_is_found_by_recovery() {
    for_seeds("bit_flip", 60, |seed| {
        let mut case = Case::new(seed, config());
        case.live(FaultPlan::none(), async |rig| {
            for _ in 0..BATCHES {
                rig.append(BATCH_BYTES).await.expect("written");
            }
        })
        .done();
        case.kill();
        // A batch has 61 bytes of header; those of its offset and epoch are not covered by its checksum.
        let lens: Vec<u64> = case
            .model
            .borrow()
            .batches
            .iter()
            .map(|batch| batch.bytes.len() as u64)
            .collect();
        let mut rng = Rng::new(seed);
        let victim = rng.below(BATCHES as u64) as usize;
        let front: u64 = lens[..victim].iter().sum();
        let position = front + 21 + rng.below(lens[victim] - 21);
        let path = PathBuf::from(LOG_DIR).join("t-0/00000000000000000000.log");
        case.world().flip_bit(&path, position, rng.below(8) as u8);
        let end = case.model.borrow().batches[victim].base_offset;
        case.model.borrow_mut().written = end;
        assert_eq!(case.check(), end);
    });
}

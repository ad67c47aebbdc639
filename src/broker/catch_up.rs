//! How far a broker is that was away and copies what it missed: said every few seconds, with an estimate of the end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::info;

use crate::metadata::{Image, PartitionState};
use crate::metrics::Registry;
use crate::model::{BrokerId, PartitionId};
use crate::rt::{self, Instant};
use crate::shard::ShardHandle;

/// Between two looks.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// Replicas that are not in sync, and the records that consumers may see at their leaders and that are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lacking {
    partitions: usize,
    records: i64,
}

#[derive(Default)]
struct CatchUp {
    /// The first look at which something lacked, and how much.
    began: Option<(Instant, i64)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Remark {
    /// In how many seconds it has all, if it goes on like that.
    Behind(Lacking, Option<u64>),
    Done(Duration),
}

impl CatchUp {
    fn look(&mut self, lacking: Lacking, now: Instant) -> Option<Remark> {
        if lacking.records == 0 {
            // One that lacks nothing, or has not heard of it yet, may be about to join.
            let is_over = lacking.partitions == 0;
            let began = self.began.take_if(|_| is_over);
            return began.map(|(began, _)| Remark::Done(now.since(began)));
        }
        let (began, lacked) = *self.began.get_or_insert((now, lacking.records));
        let (copied, took) = (lacked - lacking.records, now.since(began));
        let left_s = || took.as_secs_f64() * lacking.records as f64 / copied as f64;
        Some(Remark::Behind(lacking, (copied > 0).then(|| left_s().ceil() as u64)))
    }
}

/// For the control thread, which does it at every [`INTERVAL`].
pub fn duty(me: BrokerId, mesh: Arc<OnceLock<Vec<ShardHandle>>>, registry: Registry) -> Box<dyn FnMut() + Send> {
    let mut catch_up = CatchUp::default();
    // At the last look that found nothing: there are very many partitions to look at.
    let mut whole_at = None;
    Box::new(move || {
        let Some(shard) = mesh.get().and_then(|shards| shards.first()) else {
            return;
        };
        let image = shard.image();
        if whole_at == Some(image.epoch) {
            return;
        }
        let lacking = lacking(&image, me, &registry);
        whole_at = (lacking.partitions == 0).then_some(image.epoch);
        match catch_up.look(lacking, rt::now()) {
            None => {}
            Some(Remark::Behind(Lacking { partitions, records }, about_s)) => {
                info!(partitions, records, about_s, "copying what this broker lacks");
            }
            Some(Remark::Done(took)) => info!(took_s = took.as_secs(), "this broker lacks nothing any more"),
        }
    })
}

fn lacking(image: &Image, me: BrokerId, registry: &Registry) -> Lacking {
    let is_behind = |state: &PartitionState| {
        state.leader.is_some_and(|leader| leader != me) && state.replicas.contains(&me) && !state.isr.contains(&me)
    };
    let behind = |id: &PartitionId| image.partition(id).is_some_and(|(_, state)| is_behind(state));
    let served = registry.partitions().list().into_iter();
    let lags: Vec<i64> = served
        .filter(|(id, _)| behind(id))
        .map(|(_, cells)| cells.get().lag)
        .collect();
    Lacking {
        partitions: lags.len(),
        records: lags.iter().sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end is estimated from what was copied since the first look; it is told once.
    #[test]
    fn the_end_is_estimated_and_told() {
        let mut catch_up = CatchUp::default();
        let mut look = |partitions, records, seconds: u64| {
            let now = Instant(seconds * 1_000_000_000);
            catch_up.look(Lacking { partitions, records }, now)
        };
        let behind = |partitions, records, about_s| Some(Remark::Behind(Lacking { partitions, records }, about_s));
        assert_eq!(look(0, 0, 0), None);
        assert_eq!(look(3, 0, 5), None, "nothing is known yet");
        assert_eq!(look(3, 900, 10), behind(3, 900, None));
        assert_eq!(look(3, 950, 20), behind(3, 950, None), "more comes than is copied");
        assert_eq!(look(2, 300, 40), behind(2, 300, Some(15)));
        assert_eq!(look(1, 0, 50), None, "about to join");
        assert_eq!(look(0, 0, 60), Some(Remark::Done(Duration::from_secs(50))));
        assert_eq!(look(0, 0, 70), None);
    }
}

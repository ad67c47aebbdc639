//! Small appends to many partitions, through the shards' journals.

use std::path::PathBuf;

use super::*;
use crate::rt::blocking;

const PARTITIONS: i32 = 24;
const ROUNDS: usize = 30;

fn journals(dir: &Path) -> usize {
    let names = blocking::list_dir(dir).unwrap();
    names
        .iter()
        .filter(|(name, _)| name.starts_with(".corelane-journal-"))
        .count()
}

/// The directory as a process that is killed now would leave it.
fn copy(from: &Path, to: &Path) {
    blocking::create_dir_all(to).unwrap();
    for (name, is_dir) in blocking::list_dir(from).unwrap() {
        let (from, to) = (from.join(&name), to.join(&name));
        match is_dir {
            true => copy(&from, &to),
            false => blocking::write_file_atomic(&to, &blocking::read_file(&from).unwrap()).unwrap(),
        }
    }
}

/// One batch for each partition at once.
async fn append_to_all(router: &Router, topic: TopicId) {
    let items = (0..PARTITIONS)
        .map(|index| item(topic, index, &batch(1, 300)))
        .collect();
    let outcomes = router.append(items, Acks::All, TIMEOUT).await;
    assert!(outcomes.iter().all(|outcome| outcome.error == ErrorCode::None));
}

async fn check_all(router: &Router, topic: TopicId, batches: usize) {
    for index in 0..PARTITIONS {
        is_open(router, id(topic, index)).await;
        assert_eq!(read_all(router, id(topic, index)).await.len(), batches);
    }
}

/// Waits until the partition's log is open.
async fn is_open(router: &Router, partition: PartitionId) {
    let deadline = rt::now().after(TIMEOUT);
    let error = async || {
        let spec = long_poll(vec![fetch(partition, 0)], 0, Duration::ZERO);
        router.fetch(spec).await.remove(0).error
    };
    while error().await == ErrorCode::NotLeaderOrFollower {
        assert!(rt::now() < deadline, "{partition:?} does not open");
        rt::sleep(Duration::from_millis(5)).await;
    }
}

/// What a killed broker had in its journals is served by the next one, be it with more shards or fewer; a clean stop leaves
/// no journal, and all in the segments.
#[test]
fn journaled_appends_survive_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let killed: Vec<PathBuf> = [1, 3]
        .map(|shards| root.path().join(format!("killed-{shards}")))
        .to_vec();
    let live = root.path().join("live");
    let count = Arc::new(AtomicUsize::new(0));
    let (copies, path, counted) = (killed.clone(), live.clone(), count.clone());
    broker(&live, 2, move |shard, router| {
        let (copies, path, counted) = (copies.clone(), path.clone(), counted.clone());
        async move {
            if shard != ShardId(0) {
                return;
            }
            let topic = create(&router, "t", PARTITIONS, &[]).await;
            for index in 0..PARTITIONS {
                assert_eq!(
                    append(&router, topic, index, &batch(1, 300)).await.error,
                    ErrorCode::None
                );
            }
            let mut batches = 1;
            let deadline = rt::now().after(TIMEOUT);
            // A journal is made beside the first appends.
            while journals(&path) < 2 {
                assert!(rt::now() < deadline, "no journals");
                append_to_all(&router, topic).await;
                batches += 1;
            }
            for _ in 0..ROUNDS {
                append_to_all(&router, topic).await;
                batches += 1;
            }
            check_all(&router, topic, batches).await;
            counted.store(batches, Ordering::SeqCst);
            copies.iter().for_each(|to| copy(&path, to));
        }
    });
    assert_eq!(journals(&live), 0);
    let batches = count.load(Ordering::SeqCst);
    for (path, shards) in [(&killed[0], 1), (&killed[1], 3), (&live, 2)] {
        let is_killed = *path != live;
        assert_eq!(journals(path) > 0, is_killed);
        for _ in 0..2 {
            broker(path, shards, move |shard, router| async move {
                if shard == ShardId(0) {
                    let topic = topic(&router, "t").await;
                    check_all(&router, topic, batches).await;
                }
            });
            assert_eq!(journals(path), 0);
        }
    }
}

//! What survives which damage: files are cut and broken at every byte, as a kill or a bad disk would.

use futures_lite::future::block_on;
use tempfile::TempDir;

use super::*;
use crate::metadata::record::tests::samples;
use crate::metadata::record::{self, Record};

const NEVER: SnapshotPolicy = SnapshotPolicy {
    frames_max: u64::MAX,
    bytes_max: u64::MAX,
};

fn open(dir: &Path) -> (Embedded, Vec<Record>) {
    let mut engine = Embedded::new(dir.to_path_buf(), NEVER);
    let (records, _) = block_on(engine.start()).unwrap();
    (engine, records)
}

fn refusal(dir: &Path) -> StartError {
    block_on(Embedded::new(dir.to_path_buf(), NEVER).start()).unwrap_err()
}

/// Two records that tell which commit they came with.
fn commit_of(number: i64) -> Vec<Record> {
    let next = |next| Record::ProducerIds(record::ProducerIds { next });
    vec![next(number), next(-number)]
}

fn commit(engine: &mut Embedded, records: &[Record]) -> u64 {
    let base = ImageEpoch(engine.last);
    block_on(engine.commit(base, records)).unwrap().0
}

fn commit_all(engine: &mut Embedded, numbers: std::ops::RangeInclusive<i64>) {
    for number in numbers {
        commit(engine, &commit_of(number));
    }
}

fn commits(numbers: std::ops::RangeInclusive<i64>) -> Vec<Record> {
    numbers.flat_map(commit_of).collect()
}

fn log_bytes(dir: &Path, base: u64) -> Vec<u8> {
    blocking::read_file(&log_path(dir, base)).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = blocking::list_dir(dir)
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    names.sort();
    names
}

/// What was committed is there after a restart, and commits go on where they ended.
#[test]
fn commits_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, found) = open(dir.path());
    assert_eq!(found, []);
    assert_eq!(commit(&mut engine, &samples()), 1);
    assert_eq!(commit(&mut engine, &commit_of(2)), 2);
    let (mut engine, found) = open(dir.path());
    assert_eq!(found, [samples(), commit_of(2)].concat());
    assert_eq!(commit(&mut engine, &commit_of(3)), 3);
    assert_eq!(open(dir.path()).1, [samples(), commit_of(2), commit_of(3)].concat());
}

/// Each commit comes once from `next`, in order.
#[test]
fn commits_are_delivered_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(dir.path());
    for number in 1..=3 {
        commit(&mut engine, &commit_of(number));
    }
    for number in 1..=3 {
        let Event::Delta(delta) = block_on(engine.next()) else {
            panic!("a commit")
        };
        assert_eq!((delta.epoch.0, delta.records), (number as u64, commit_of(number)));
    }
}

/// A decision on an old image is refused, and nothing is written.
#[test]
fn a_commit_on_an_old_base_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(dir.path());
    commit(&mut engine, &commit_of(1));
    let outcome = block_on(engine.commit(ImageEpoch(0), &commit_of(2)));
    assert!(matches!(outcome, Err(CommitError::Conflict(ImageEpoch(1)))));
    assert_eq!(open(dir.path()).1, commit_of(1));
}

/// Killed at any byte of the log: what is found is a prefix of the commits, with every one that was acknowledged (whose
/// last byte is there), whole or not at all; and the log goes on from there.
#[test]
fn a_log_cut_at_every_byte_keeps_every_acknowledged_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(dir.path());
    let mut ends = vec![0];
    for number in 1..=4 {
        commit(&mut engine, &commit_of(number));
        ends.push(log_bytes(dir.path(), 1).len());
    }
    let whole = log_bytes(dir.path(), 1);
    for len in 0..=whole.len() {
        let killed = tempfile::tempdir().unwrap();
        std::fs::write(log_path(killed.path(), 1), &whole[..len]).unwrap();
        let acknowledged = ends.iter().filter(|end| **end <= len).count() as i64 - 1;
        let (mut engine, found) = open(killed.path());
        assert_eq!(found, commits(1..=acknowledged), "cut at {len}");
        assert_eq!(
            commit(&mut engine, &commit_of(acknowledged + 1)),
            acknowledged as u64 + 1
        );
        assert_eq!(open(killed.path()).1, commits(1..=acknowledged + 1), "cut at {len}");
    }
}

/// Killed with the file already grown but its last frame not written (zeros), or partly: as if cut.
#[test]
fn a_tail_of_zeros_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(dir.path());
    commit_all(&mut engine, 1..=3);
    let whole = log_bytes(dir.path(), 1);
    let last = whole.len() / 3 * 2;
    for written in last..whole.len() {
        let killed = tempfile::tempdir().unwrap();
        let mut bytes = whole.clone();
        bytes[written..].fill(0);
        bytes.extend_from_slice(&[0; 100]);
        std::fs::write(log_path(killed.path(), 1), &bytes).unwrap();
        let found = open(killed.path()).1;
        // The last bytes of a frame may be zeros themselves.
        let kept = if whole[written..].iter().all(|byte| *byte == 0) {
            3
        } else {
            2
        };
        assert_eq!(found, commits(1..=kept), "written up to {written}");
    }
}

/// A byte that goes bad before intact commits is never cut away with them: the start is refused and the file kept. In the
/// last commit it cannot be told from a torn write.
#[test]
fn damage_at_every_byte_never_drops_intact_commits() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(dir.path());
    commit_all(&mut engine, 1..=3);
    let whole = log_bytes(dir.path(), 1);
    let last = whole.len() / 3 * 2;
    for at in 0..whole.len() {
        let damaged = tempfile::tempdir().unwrap();
        let path = log_path(damaged.path(), 1);
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        std::fs::write(&path, &bytes).unwrap();
        if at >= last {
            assert_eq!(open(damaged.path()).1, commits(1..=2), "byte {at}");
            continue;
        }
        let error = refusal(damaged.path());
        let frame = (at / (whole.len() / 3) * (whole.len() / 3)) as u64;
        assert!(
            matches!(error, StartError::Damaged { at, .. } if at == frame),
            "byte {at}: {error}"
        );
        assert_eq!(log_bytes(damaged.path(), 1), bytes, "byte {at}: the file is kept");
    }
}

/// A commit that is missing between two others is damage, not an end.
#[test]
fn a_gap_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let frames = [1, 3].map(|number| frame::encode(Kind::Commit, number, &commit_of(number as i64)));
    std::fs::write(log_path(dir.path(), 1), frames.concat()).unwrap();
    assert!(matches!(refusal(dir.path()), StartError::Damaged { .. }));
}

/// A snapshot takes the place of the log so far; commits go on in a new log.
#[test]
fn a_snapshot_replaces_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(dir.path());
    commit_all(&mut engine, 1..=5);
    engine.snapshot(&commit_of(50)).unwrap();
    commit(&mut engine, &commit_of(6));
    assert_eq!(
        names(dir.path()),
        ["log-00000000000000000006", "snapshot-00000000000000000005"]
    );
    let (mut engine, found) = open(dir.path());
    assert_eq!((found, engine.last), ([commit_of(50), commit_of(6)].concat(), 6));
    engine.snapshot(&commit_of(60)).unwrap();
    assert_eq!(
        names(dir.path()),
        ["log-00000000000000000007", "snapshot-00000000000000000006"]
    );
    assert_eq!(open(dir.path()).1, commit_of(60));
}

/// Two snapshots at the same commit: nothing happened in between.
#[test]
fn a_snapshot_without_new_commits_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(dir.path());
    commit(&mut engine, &commit_of(1));
    engine.snapshot(&commit_of(10)).unwrap();
    engine.snapshot(&commit_of(10)).unwrap();
    commit(&mut engine, &commit_of(2));
    assert_eq!(open(dir.path()).1, [commit_of(10), commit_of(2)].concat());
}

/// The two limits of the policy.
#[test]
fn a_snapshot_is_due_after_enough_frames_or_bytes() {
    let due_after = |policy| {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = Embedded::new(dir.path().to_path_buf(), policy);
        block_on(engine.start()).unwrap();
        (1..100).find(|number| {
            commit(&mut engine, &commit_of(*number));
            engine.wants_snapshot()
        })
    };
    let frame_len = frame::encode(Kind::Commit, 1, &commit_of(1)).len() as u64;
    assert_eq!(due_after(SnapshotPolicy { frames_max: 3, ..NEVER }), Some(3));
    assert_eq!(
        due_after(SnapshotPolicy {
            bytes_max: frame_len * 4,
            ..NEVER
        }),
        Some(4)
    );
    assert_eq!(due_after(NEVER), None);
}

/// A crash between any two steps of a snapshot: before its rename, before the new log, before the old files go.
#[test]
fn a_crash_in_the_middle_of_a_snapshot_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(dir.path());
    commit_all(&mut engine, 1..=3);
    let old_log = log_bytes(dir.path(), 1);
    let snapshot = frame::encode(Kind::Snapshot, 3, &commits(1..=3));
    let crashed_with = |files: &[(PathBuf, &[u8])]| {
        let killed = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(killed.path().join(name), bytes).unwrap();
        }
        killed
    };
    let check = |killed: TempDir| {
        let (mut engine, found) = open(killed.path());
        assert_eq!(found, commits(1..=3));
        assert_eq!(commit(&mut engine, &commit_of(4)), 4);
        assert_eq!(open(killed.path()).1, commits(1..=4));
        killed
    };
    let name = |path: PathBuf| PathBuf::from(path.file_name().unwrap());
    let (log_1, log_4) = (name(log_path(dir.path(), 1)), name(log_path(dir.path(), 4)));
    let final_name = name(snapshot_path(dir.path(), 3));
    let tmp_name = PathBuf::from(format!("{}.tmp", final_name.display()));
    for len in 0..=snapshot.len() {
        let killed = check(crashed_with(&[
            (log_1.clone(), &old_log),
            (tmp_name.clone(), &snapshot[..len]),
        ]));
        assert_eq!(names(killed.path()), ["log-00000000000000000001"]);
    }
    check(crashed_with(&[
        (log_1.clone(), &old_log),
        (final_name.clone(), &snapshot),
    ]));
    let killed = check(crashed_with(&[
        (log_1, &old_log),
        (final_name.clone(), &snapshot),
        (log_4.clone(), b""),
    ]));
    assert_eq!(
        names(killed.path()),
        ["log-00000000000000000004", "snapshot-00000000000000000003"]
    );
    check(crashed_with(&[(final_name, &snapshot), (log_4, b"")]));
}

/// A snapshot whose new log could be made but not used (its directory sync failed): commits went on in the old log, and
/// are found there.
#[test]
fn an_unused_new_log_does_not_hide_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(dir.path());
    commit_all(&mut engine, 1..=3);
    let snapshot = frame::encode(Kind::Snapshot, 3, &commits(1..=3));
    std::fs::write(snapshot_path(dir.path(), 3), &snapshot).unwrap();
    std::fs::write(log_path(dir.path(), 4), b"").unwrap();
    commit_all(&mut engine, 4..=5);
    let (mut engine, found) = open(dir.path());
    assert_eq!(found, commits(1..=5));
    commit_all(&mut engine, 6..=6);
    assert_eq!(open(dir.path()).1, commits(1..=6));
}

/// Files that are missing or broken as no crash leaves them are named, and nothing is written.
#[test]
fn incomplete_directories_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, _) = open(dir.path());
    commit_all(&mut engine, 1..=3);
    engine.snapshot(&commit_of(30)).unwrap();
    let (log, snapshot) = (log_path(dir.path(), 4), snapshot_path(dir.path(), 3));
    let whole = std::fs::read(&snapshot).unwrap();

    let mut broken = whole.clone();
    broken[20] ^= 1;
    std::fs::write(&snapshot, &broken).unwrap();
    assert!(
        refusal(dir.path())
            .to_string()
            .contains("the snapshot's checksum does not hold")
    );
    std::fs::remove_file(&snapshot).unwrap();
    assert!(
        refusal(dir.path())
            .to_string()
            .contains("a log begins after the last snapshot")
    );
    std::fs::write(&snapshot, &whole).unwrap();
    std::fs::remove_file(&log).unwrap();
    assert!(
        refusal(dir.path())
            .to_string()
            .contains("the log that follows the last snapshot is missing")
    );
    assert_eq!(names(dir.path()), ["snapshot-00000000000000000003"]);
    std::fs::write(log_path(dir.path(), 9), b"").unwrap();
    assert!(
        refusal(dir.path())
            .to_string()
            .contains("a log begins after the last snapshot")
    );
}

/// A frame that this release wrote stays readable: these are the bytes of the first.
#[test]
fn version_1_frames_are_frozen() {
    let records = [Record::Topic(record::Topic {
        id: [3; 16],
        name: "orders".into(),
    })];
    let frame = frame::encode(Kind::Commit, 7, &records);
    let expected = [
        &[44, 0, 0, 0][..],
        &crc32c::crc32c(&[&frame[..4], &frame[8..]].concat()).to_le_bytes(),
        &[1, 1, 7, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0, 3, 1, 24, 0, 0, 0],
        &[3; 16],
        b"orders\xff\xff",
    ]
    .concat();
    assert_eq!(frame, expected);
}

use proptest::prelude::*;

use super::*;

const LAG_MAX: Duration = Duration::from_secs(10);

fn at(seconds: u64) -> Instant {
    Instant(seconds * 1_000_000_000)
}

fn leadership(partition_epoch: i32, isr: &[i32], replicas: &[i32]) -> Leadership {
    Leadership {
        epoch: LeaderEpoch(4),
        partition_epoch,
        leader: Some(BrokerId(0)),
        is_leader: true,
        is_in_sync: true,
        is_recovering: false,
        peers: replicas
            .iter()
            .map(|broker| Peer {
                broker: BrokerId(*broker),
                in_sync: isr.contains(broker),
                epoch: Some(70),
            })
            .collect(),
    }
}

fn followers(isr: &[i32]) -> Followers {
    Followers::new(&leadership(1, isr, &[1, 2]), 10, LAG_MAX, at(100))
}

fn fetch(broker: i32, offset: i64) -> FollowerFetch {
    FollowerFetch {
        broker: BrokerId(broker),
        broker_epoch: 70,
        offset,
        log_start: 0,
    }
}

/// Under a steady load a follower is always a little behind; it is in sync as long as it has what there was at its last fetch.
#[test]
fn a_steady_load_leaves_nobody_behind() {
    let mut followers = followers(&[1, 2]);
    for second in 100..200 {
        let end = 10 * second as i64;
        followers.on_fetch(&fetch(1, end - 10), end, at(second)).unwrap();
        followers.on_fetch(&fetch(2, 500), end, at(second)).unwrap();
    }
    let proposal = followers.propose(0, 2000, at(200)).unwrap();
    assert_eq!(proposal.peers, [(BrokerId(1), 70)]);
}

/// The high watermark does not run away from who is close to joining; who stops to be close holds nothing up.
#[test]
fn who_is_about_to_join_is_waited_for() {
    let mut followers = followers(&[1]);
    followers.on_fetch(&fetch(1, 1000), 1000, at(101)).unwrap();
    followers.on_fetch(&fetch(2, 400), 1000, at(101)).unwrap();
    assert_eq!(followers.bound(1000), 1000);
    followers.on_fetch(&fetch(2, 1000), 1010, at(102)).unwrap();
    followers.on_fetch(&fetch(1, 1010), 1010, at(102)).unwrap();
    assert_eq!(followers.bound(1010), 1000);
    followers.look_again(1010, at(111));
    assert_eq!(followers.bound(1010), 1000);
    followers.look_again(1010, at(112));
    assert_eq!(followers.bound(1010), 1010);
}

/// Nobody joins whose broker is fenced, or has another epoch than it fetches with, or has not come to where the epoch began.
#[test]
fn who_may_not_join_is_not_proposed() {
    let mut followers = followers(&[1]);
    followers.on_fetch(&fetch(2, 9), 9, at(101)).unwrap();
    assert!(!followers.has_joiner(5));
    followers.on_fetch(&fetch(2, 10), 10, at(101)).unwrap();
    assert!(followers.has_joiner(5) && !followers.has_joiner(11));
    let mut fenced = leadership(1, &[1], &[1, 2]);
    fenced.peers[1].epoch = None;
    followers.update(&fenced, at(102));
    assert!(!followers.has_joiner(5));
    fenced.peers[1].epoch = Some(71);
    followers.update(&fenced, at(102));
    assert!(!followers.has_joiner(5));
}

/// Who has fallen silent does not join, even where it has all that is visible.
#[test]
fn who_is_silent_does_not_join() {
    let mut followers = followers(&[1]);
    followers.on_fetch(&fetch(1, 20), 20, at(120)).unwrap();
    followers.on_fetch(&fetch(2, 15), 20, at(101)).unwrap();
    assert_eq!(followers.propose(15, 20, at(120)), None);
    followers.on_fetch(&fetch(2, 15), 20, at(120)).unwrap();
    assert_eq!(followers.propose(15, 20, at(120)).unwrap().peers.len(), 2);
}

/// An answer to an older proposal does not settle a newer one.
#[test]
fn late_answers_are_for_their_own_proposal() {
    let mut followers = followers(&[1]);
    followers.on_fetch(&fetch(1, 20), 20, at(101)).unwrap();
    followers.on_fetch(&fetch(2, 20), 20, at(101)).unwrap();
    let first = followers.propose(20, 20, at(101)).unwrap();
    // The controller has taken 1 out meanwhile, and the image says so before the answer comes.
    followers.update(&leadership(2, &[], &[1, 2]), at(102));
    let second = followers.propose(20, 20, at(102)).unwrap();
    assert_eq!(second.peers.len(), 2);
    let stale = IsrAnswer::Committed {
        partition_epoch: 2,
        isr: vec![BrokerId(0)],
    };
    followers.on_answer(first.partition_epoch, stale);
    assert_eq!(
        followers.propose(20, 20, at(102)),
        None,
        "the second is still under way"
    );
    assert_eq!(followers.bound(50), 20, "both may have joined");
    followers.on_answer(second.partition_epoch, IsrAnswer::Outdated);
    assert_eq!(followers.propose(20, 20, at(103)), None, "the image is to come");
    followers.update(&leadership(4, &[1], &[1, 2]), at(103));
    assert_eq!(followers.isr_count(), 2);
}

/// A reassignment brings and takes followers; what the others have told stays.
#[test]
fn replicas_come_and_go() {
    let mut followers = followers(&[1, 2]);
    followers.on_fetch(&fetch(1, 30), 30, at(101)).unwrap();
    followers.update(&leadership(2, &[1], &[1, 3]), at(102));
    assert_eq!(
        followers.on_fetch(&fetch(2, 30), 30, at(102)),
        Err(FollowerError::NotReplica)
    );
    assert_eq!(followers.bound(30), 30);
    followers.on_fetch(&fetch(3, 30), 30, at(102)).unwrap();
    assert_eq!(followers.propose(30, 30, at(102)).unwrap().peers.len(), 2);
    // An older image changes nothing.
    followers.update(&leadership(1, &[1, 2], &[1, 2]), at(103));
    assert_eq!(followers.isr_count(), 2);
}

proptest! {
    /// Whatever is committed, in whatever order answers and images come: the bound is never above the end of a member of
    /// the ISR as the controller has it.
    #[test]
    fn the_controllers_isr_bounds_the_high_watermark(steps in prop::collection::vec((0..7_u8, 1..3_i32, 0..50_i64), 1..200)) {
        let mut followers = followers(&[1, 2]);
        let mut ends = [0, -1, -1];
        // The controller's: partition epoch and members. What it has answered and not delivered.
        let (mut epoch, mut isr) = (1, vec![1, 2]);
        let mut answers: Vec<(i32, IsrAnswer)> = Vec::new();
        let mut now = 100;
        for (step, broker, number) in steps {
            match step {
                0 | 1 => {
                    let offset = ends[0].min(ends[broker as usize].max(0) + number);
                    ends[broker as usize] = offset;
                    followers.on_fetch(&fetch(broker, offset), ends[0], at(now)).unwrap();
                }
                2 => ends[0] += number,
                3 => now += number as u64 / 4,
                4 => if let Some(proposal) = followers.propose(0, ends[0], at(now)) {
                    let answer = match proposal.partition_epoch == epoch {
                        true => {
                            epoch += 1;
                            isr = proposal.peers.iter().map(|(broker, _)| broker.0).collect();
                            let members = isr.iter().map(|broker| BrokerId(*broker)).collect();
                            IsrAnswer::Committed { partition_epoch: epoch, isr: members }
                        }
                        false => IsrAnswer::Outdated,
                    };
                    let lost = number % 3 == 0;
                    answers.push((proposal.partition_epoch, if lost { IsrAnswer::Unknown } else { answer }));
                },
                5 => if !answers.is_empty() {
                    let (asked, answer) = answers.remove(number as usize % answers.len());
                    followers.on_answer(asked, answer);
                },
                _ => match number % 3 {
                    0 => {
                        epoch += 1;
                        isr.retain(|member| *member != broker);
                    }
                    _ => followers.update(&leadership(epoch, &isr, &[1, 2]), at(now)),
                },
            }
            let bound = followers.bound(ends[0]);
            // One that the controller has just taken out may still count.
            for member in &isr {
                prop_assert!(bound <= ends[*member as usize], "{bound} of {ends:?}, isr {isr:?}");
            }
        }
    }
}

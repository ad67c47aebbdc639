//! What one replica does as a leader and as a follower.

use super::node::{FetchAnswer, Node, batch, leadership, marker, transactional};
use crate::model::{BrokerId, LeaderEpoch};
use crate::partition::{
    Ack, AckToken, AppendError, Bound, FetchedError, FollowerError, FollowerFetch, IsrAnswer, LeaderView,
    ProducerError, ReadAsk, Reading, Warrant,
};
use crate::rt::Instant;
use crate::rt::sim::{FaultPlan, World};

fn in_world<T>(main: impl Future<Output = T>) -> T {
    World::new(1, FaultPlan::none()).run(main)
}

fn at(seconds: u64) -> Instant {
    Instant(seconds * 1_000_000_000)
}

fn token(request: u64) -> AckToken {
    AckToken { request, slot: 0 }
}

fn fetch(broker: i32, offset: i64) -> FollowerFetch {
    FollowerFetch {
        broker: BrokerId(broker),
        broker_epoch: 0,
        offset,
        log_start: 0,
    }
}

/// The leader, with two followers in sync.
async fn leader() -> Node {
    let mut node = Node::new(0);
    node.open(leadership(0, 1, 1, 0, &[0, 1, 2], 3), at(0)).await;
    node
}

async fn follower(broker: i32) -> Node {
    let mut node = Node::new(broker);
    node.open(leadership(broker, 1, 1, 0, &[0, 1, 2], 3), at(0)).await;
    node
}

fn heard(node: &mut Node, broker: i32, offset: i64, seconds: u64) -> Vec<AckToken> {
    let mut acked = Vec::new();
    let heard = node
        .up()
        .on_follower_fetch(&fetch(broker, offset), &mut acked, at(seconds));
    heard.expect("a follower");
    acked
}

#[test] // Goal: acks=1 comes with the leader's write, acks=all when every member of the ISR has the batch.
fn acks_come_when_they_are_due() {
    in_world(async {
        let mut node = leader().await;
        node.append(batch(1), Warrant::None, Ack::Replicated(token(1)))
            .expect("appended");
        node.append(batch(2), Warrant::None, Ack::Written(token(2)))
            .expect("appended");
        assert_eq!(node.settle().await, [token(2)]);
        let end = node.up().log().written();
        assert_eq!(node.up().high_watermark(), 0);
        assert_eq!(heard(&mut node, 1, end, 1), []);
        assert_eq!(heard(&mut node, 2, 1, 1), []);
        assert_eq!(heard(&mut node, 2, end, 1), [token(1)]);
        assert_eq!(node.up().high_watermark(), end);
        let again = node
            .append(batch(2), Warrant::None, Ack::Written(token(3)))
            .expect("a duplicate");
        assert!(again.duplicate && again.acked);
    });
}

#[test] // Goal: followers copy while the leader writes, and what they have then is not taken from them; acks wait for both.
fn followers_copy_what_is_being_written() {
    in_world(async {
        let mut node = leader().await;
        node.append(batch(1), Warrant::None, Ack::Replicated(token(1)))
            .expect("appended");
        let (answer, _) = node.answer(&fetch(1, 0), LeaderEpoch(1), -1, at(1)).await;
        assert!(
            matches!(answer, FetchAnswer::Records(records, _) if records.is_empty()),
            "only staged"
        );
        node.begin_write().await;
        let (end, written) = (node.up().log().submitted(), node.up().log().written());
        assert!(written < end);
        let (answer, _) = node.answer(&fetch(1, 0), LeaderEpoch(1), -1, at(1)).await;
        assert!(matches!(answer, FetchAnswer::Records(records, _) if !records.is_empty()));
        for broker in [1, 2] {
            let (answer, acked) = node.answer(&fetch(broker, end), LeaderEpoch(1), 1, at(1)).await;
            assert!(matches!(answer, FetchAnswer::Records(records, _) if records.is_empty()));
            assert_eq!(acked, []);
        }
        assert_eq!(node.up().high_watermark(), 0);
        assert_eq!(node.settle().await, [token(1)]);
        assert_eq!(node.up().high_watermark(), end);
    });
}

#[test] // Goal: of two waits for one batch each gets its own; a duplicate waits for the followers too.
fn duplicates_wait_for_the_same() {
    in_world(async {
        let mut node = leader().await;
        node.append(batch(1), Warrant::None, Ack::Written(token(1)))
            .expect("appended");
        let again = node
            .append(batch(1), Warrant::None, Ack::Replicated(token(2)))
            .expect("a duplicate");
        assert!(again.duplicate && !again.acked);
        assert_eq!(node.settle().await, [token(1)]);
        let end = node.up().log().written();
        heard(&mut node, 1, end, 1);
        assert_eq!(heard(&mut node, 2, end, 1), [token(2)]);
    });
}

#[test] // Goal: who does not fetch leaves the ISR once that is committed; until then the high watermark waits for it.
fn a_silent_follower_leaves() {
    in_world(async {
        let mut node = leader().await;
        node.append(batch(1), Warrant::None, Ack::Replicated(token(1)))
            .expect("appended");
        node.settle().await;
        let end = node.up().log().written();
        heard(&mut node, 1, end, 9);
        let mut acked = Vec::new();
        assert_eq!(node.up().isr_change(&mut acked, at(9)), (None, 0));
        let (proposal, _) = node.up().isr_change(&mut acked, at(11));
        let proposal = proposal.expect("one is late");
        assert_eq!(proposal.peers, [(BrokerId(1), 0)]);
        assert_eq!(node.up().isr_change(&mut acked, at(12)).0, None, "one at a time");
        assert_eq!((node.up().high_watermark(), acked.len()), (0, 0));
        let answer = IsrAnswer::Committed {
            partition_epoch: 2,
            isr: vec![BrokerId(0), BrokerId(1)],
        };
        let asked = (LeaderEpoch(1), proposal.partition_epoch);
        assert!(node.up().on_isr_answer(asked, answer, &mut acked) > 0);
        assert_eq!(acked, [token(1)]);
        assert_eq!((node.up().high_watermark(), node.up().in_sync_count()), (end, 2));
    });
}

#[test] // Goal: below min.insync.replicas acks=all is refused and the high watermark stands still; acks=1 is served.
fn too_few_in_sync_hold_the_high_watermark() {
    in_world(async {
        let mut node = leader().await;
        let alone = leadership(0, 1, 2, 0, &[0], 3);
        node.up().set_leadership(alone, &mut Vec::new(), at(1));
        let refused = node.up().check_in_sync();
        assert!(matches!(
            refused,
            Err(AppendError::NotEnoughReplicas {
                in_sync: 1,
                required: 2
            })
        ));
        node.append(batch(1), Warrant::None, Ack::Written(token(1)))
            .expect("appended");
        assert_eq!(node.settle().await, [token(1)]);
        assert_eq!(node.up().high_watermark(), 0);
        let waits_for = |node: &mut Node| [1, 2].map(|broker| node.up().waits_for(BrokerId(broker)));
        assert_eq!(waits_for(&mut node), [true; 2], "for any that may join");
        let back = leadership(0, 1, 3, 0, &[0, 2], 3);
        node.up().set_leadership(back, &mut Vec::new(), at(1));
        assert_eq!(waits_for(&mut node), [false, true]);
        let end = node.up().log().written();
        heard(&mut node, 2, end, 2);
        assert_eq!(node.up().high_watermark(), end);
    });
}

#[test] // Goal: a follower that has caught up joins, and counts from the moment that this is proposed.
fn a_follower_joins() {
    in_world(async {
        let mut node = leader().await;
        node.up()
            .set_leadership(leadership(0, 1, 2, 0, &[0, 1], 3), &mut Vec::new(), at(1));
        node.append(batch(3), Warrant::None, Ack::None).expect("appended");
        node.settle().await;
        let end = node.up().log().written();
        heard(&mut node, 1, end, 2);
        assert_eq!(node.up().high_watermark(), end);
        heard(&mut node, 2, end - 1, 2);
        assert!(!node.up().wants_isr_change());
        heard(&mut node, 2, end, 3);
        assert!(node.up().wants_isr_change());
        let (proposal, _) = node.up().isr_change(&mut Vec::new(), at(3));
        let proposal = proposal.expect("it has caught up");
        assert_eq!(proposal.peers, [(BrokerId(1), 0), (BrokerId(2), 0)]);
        // It may have joined: what it does not have is not visible, however late the answer is.
        let asked = (LeaderEpoch(1), proposal.partition_epoch);
        node.up().on_isr_answer(asked, IsrAnswer::Unknown, &mut Vec::new());
        node.append(batch(4), Warrant::None, Ack::None).expect("appended");
        node.settle().await;
        let later = node.up().log().written();
        heard(&mut node, 1, later, 30);
        node.up().isr_change(&mut Vec::new(), at(60));
        assert_eq!(node.up().high_watermark(), end);
        node.up().on_isr_answer(asked, IsrAnswer::Rejected, &mut Vec::new());
        assert_eq!(node.up().high_watermark(), later);
    });
}

#[test] // Goal: a fetch of a broker that has no replica, or of one that has registered again since, moves nothing.
fn strangers_are_no_followers() {
    in_world(async {
        let mut node = leader().await;
        let stranger = node.up().on_follower_fetch(&fetch(7, 0), &mut Vec::new(), at(1));
        assert_eq!(stranger, Err(FollowerError::NotReplica));
        let newer = FollowerFetch {
            broker_epoch: 5,
            ..fetch(1, 0)
        };
        node.up()
            .on_follower_fetch(&newer, &mut Vec::new(), at(1))
            .expect("a follower");
        let stale = node.up().on_follower_fetch(&fetch(1, 0), &mut Vec::new(), at(1));
        assert_eq!(stale, Err(FollowerError::StaleBroker));
    });
}

#[test] // Goal: those who wait for a leader that is none any more are told; its batches stay until the next leader's are known.
fn a_deposed_leader_gives_up_its_acks() {
    in_world(async {
        let mut node = leader().await;
        node.append(batch(1), Warrant::None, Ack::Replicated(token(1)))
            .expect("appended");
        node.append(batch(2), Warrant::None, Ack::Written(token(2)))
            .expect("appended");
        let shift = node
            .up()
            .set_leadership(leadership(0, 2, 2, 1, &[0, 1, 2], 3), &mut Vec::new(), at(1));
        assert!(shift.turned);
        assert_eq!(shift.abandoned, [token(1), token(2)]);
        assert_eq!(node.up().fetch_position(), None, "its batches are still on their way");
        assert_eq!(node.settle().await, []);
        let position = node.up().fetch_position().expect("settled");
        assert_eq!((position.offset, position.last_epoch), (node.up().log().written(), 1));
        let diverged = node.up().diverged(0, 0);
        assert_eq!(diverged, 0);
        node.settle().await;
        assert_eq!((node.up().log().written(), node.up().producers().len()), (0, 0));
    });
}

/// The follower fetches once.
async fn copy(leader: &mut Node, follower: &mut Node) -> Result<usize, FetchedError> {
    let position = follower.up().fetch_position().expect("settled");
    let fetch = fetch(follower.broker.0, position.offset);
    let (answer, _) = leader.answer(&fetch, LeaderEpoch(1), position.last_epoch, at(1)).await;
    let taken = follower.take(answer);
    follower.settle().await;
    taken.map(|fetched| fetched.batches)
}

#[test] // Goal: a follower has the leader's bytes, its high watermark as far as it has the batches, and its producers.
fn a_follower_has_what_the_leader_has() {
    in_world(async {
        let (mut leader, mut one, mut two) = (leader().await, follower(1).await, follower(2).await);
        for number in 0..40 {
            leader
                .append(batch(number), Warrant::None, Ack::None)
                .expect("appended");
            leader.settle().await;
        }
        for _ in 0..12 {
            copy(&mut leader, &mut one).await.expect("copied");
            copy(&mut leader, &mut two).await.expect("copied");
            assert!(one.up().high_watermark() <= leader.up().high_watermark());
        }
        let all = leader.batches(Bound::HighWatermark).await;
        assert_eq!(all.len(), 40);
        assert_eq!(one.batches(Bound::HighWatermark).await, all);
        assert_eq!(one.up().producers().len(), 40);
        one.close().await;
        assert_eq!(
            one.checkpoint.and_then(|at| at.high_watermark),
            Some(leader.up().high_watermark())
        );
        one.open(leadership(1, 1, 1, 0, &[0, 1, 2], 3), at(2)).await;
        assert_eq!(one.up().high_watermark(), leader.up().high_watermark());
        assert_eq!(one.batches(Bound::LogEnd).await, all);
    });
}

#[test] // Goal: markers are known to a follower as to the leader: the last stable offset, and which transactions were aborted.
fn a_follower_knows_the_transactions() {
    in_world(async {
        let (mut leader, mut one, mut two) = (leader().await, follower(1).await, follower(2).await);
        for (producer_id, ends) in [(1, Some(false)), (2, Some(true)), (3, Some(false)), (4, None)] {
            let begun = leader.append(transactional(producer_id), Warrant::None, Ack::None);
            let Err(AppendError::Producer(ProducerError::Unverified { guard, .. })) = begun else {
                panic!("to be verified first");
            };
            leader
                .append(transactional(producer_id), Warrant::Verified(guard), Ack::None)
                .expect("appended");
            let Some(commit) = ends else { continue };
            let warrant = Warrant::Marker {
                marker: marker(commit),
                transaction_version: 0,
            };
            leader
                .append(marker(commit).batch(producer_id, 0, 0), warrant, Ack::None)
                .expect("appended");
        }
        leader.settle().await;
        for _ in 0..4 {
            copy(&mut leader, &mut one).await.expect("copied");
            copy(&mut leader, &mut two).await.expect("copied");
        }
        assert_eq!(leader.up().last_stable_offset(), 6);
        assert_eq!(one.up().last_stable_offset(), 6);
        assert_eq!(one.aborted().await, [(1, 0), (3, 4)]);
        one.close().await;
        one.open(leadership(1, 1, 1, 0, &[0, 1, 2], 3), at(2)).await;
        assert_eq!(
            (one.up().last_stable_offset(), one.aborted().await),
            (6, vec![(1, 0), (3, 4)])
        );
    });
}

#[test] // Goal: what is no good batch is refused, with what follows it; what came before it stays.
fn broken_batches_are_not_taken() {
    in_world(async {
        let mut node = follower(1).await;
        let view = |epoch| LeaderView {
            epoch: LeaderEpoch(epoch),
            high_watermark: 0,
            log_start: 0,
        };
        let whole = |offset, epoch| {
            let mut bytes = batch(3).to_vec();
            crate::record::patch(&mut bytes, offset, epoch);
            bytes
        };
        let fenced = node.up().append_fetched(&whole(0, 1), &view(2), 0);
        assert!(matches!(fenced, Err(FetchedError::Fenced)));
        let mut broken = whole(1, 1);
        *broken.last_mut().expect("bytes") ^= 1;
        let refused = node
            .up()
            .append_fetched(&[whole(0, 1), broken, whole(2, 1)].concat(), &view(1), 0);
        assert!(matches!(refused, Err(FetchedError::Corrupt { offset: 1, .. })));
        assert_eq!(node.up().log().staged(), 1);
        let older = node.up().append_fetched(&whole(1, 0), &view(1), 0);
        assert!(matches!(older, Err(FetchedError::Corrupt { .. })));
        // Known already; of a later leader; cut short.
        let known = node.up().append_fetched(&whole(0, 1), &view(1), 0).expect("taken");
        assert_eq!(known.batches, 0);
        let later = node
            .up()
            .append_fetched(&[whole(1, 1), whole(2, 2)].concat(), &view(1), 0);
        assert_eq!(later.expect("taken").batches, 1);
        let cut = node
            .up()
            .append_fetched(&whole(2, 1)[..70], &view(1), 0)
            .expect("taken");
        assert_eq!((cut.batches, node.up().log().staged()), (0, 2));
    });
}

#[test] // Goal: a follower's lag is what it lacks of what consumers may see at its leader; a leader has none.
fn a_followers_lag_is_what_it_lacks() {
    in_world(async {
        let (mut leader, mut one) = (leader().await, follower(1).await);
        assert_eq!(one.up().lag(), 0);
        let view = |high_watermark| LeaderView {
            epoch: LeaderEpoch(1),
            high_watermark,
            log_start: 0,
        };
        one.up().append_fetched(&[], &view(2), 0).expect("taken");
        assert_eq!(one.up().lag(), 2);
        let mut bytes = batch(3).to_vec();
        crate::record::patch(&mut bytes, 0, 1);
        one.up().append_fetched(&bytes, &view(2), 0).expect("taken");
        one.settle().await;
        assert_eq!(one.up().lag(), 1);
        one.up().append_fetched(&[], &view(1), 0).expect("taken");
        assert_eq!((one.up().lag(), leader.up().lag()), (0, 0));
    });
}

#[test] // Goal: a follower below the leader's log start begins there, and follows on.
fn a_follower_that_is_too_late_begins_anew() {
    in_world(async {
        let (mut leader, mut one) = (leader().await, follower(1).await);
        leader
            .up()
            .set_leadership(leadership(0, 1, 2, 0, &[0, 2], 3), &mut Vec::new(), at(1));
        for number in 0..30 {
            leader
                .append(batch(number), Warrant::None, Ack::None)
                .expect("appended");
        }
        leader.settle().await;
        copy(&mut leader, &mut one).await.expect("copied");
        let end = leader.up().log().written();
        heard(&mut leader, 2, end, 2);
        // One that is about to join is waited for, but not for ever.
        leader.up().isr_change(&mut Vec::new(), at(30));
        assert_eq!(leader.up().high_watermark(), end);
        leader.up().delete_records(end - 1).expect("deleted");
        copy(&mut leader, &mut one).await.expect("told");
        let log = one.up().log();
        assert_eq!((log.log_start(), log.written()), (end - 1, end - 1));
        copy(&mut leader, &mut one).await.expect("copied");
        assert_eq!(one.up().log().written(), end);
    });
}

#[test] // Goal: the only replica needs nobody, and a read meets the log's end at once.
fn the_only_replica_is_as_ever() {
    in_world(async {
        let mut node = Node::new(0);
        node.open(leadership(0, 1, 1, 0, &[0], 1), at(0)).await;
        node.append(batch(1), Warrant::None, Ack::Written(token(1)))
            .expect("appended");
        node.append(batch(2), Warrant::None, Ack::Replicated(token(2)))
            .expect("appended");
        assert_eq!(node.settle().await, [token(1), token(2)]);
        assert_eq!(node.up().high_watermark(), node.up().log().written());
        assert_eq!(node.up().checkpoint().high_watermark, None);
        node.kill();
        node.open(leadership(0, 1, 1, 0, &[0], 1), at(0)).await;
        assert_eq!(node.up().high_watermark(), node.up().log().written());
    });
}

#[test] // Goal: a reader whose history leaves the leader's is told where, and moves no high watermark.
fn a_diverging_fetch_moves_nothing() {
    in_world(async {
        let mut node = leader().await;
        node.append(batch(3), Warrant::None, Ack::None).expect("appended");
        node.settle().await;
        node.up()
            .set_leadership(leadership(0, 5, 2, 0, &[0, 1, 2], 3), &mut Vec::new(), at(1));
        let end = node.up().log().written();
        let (answer, _) = node.answer(&fetch(1, end), LeaderEpoch(5), 3, at(1)).await;
        assert!(
            matches!(answer, FetchAnswer::Diverging(1, at) if at == end),
            "{answer:?}"
        );
        assert_eq!(node.up().low_watermark(), -1, "nobody has been heard of");
        let ask = ReadAsk {
            offset: end,
            max_bytes: 100,
            at_least_one: true,
            last_fetched_epoch: 1,
            bound: Bound::LogEnd,
        };
        let mut cache = crate::storage::Cache::new(1000);
        assert!(matches!(node.up().plan_read(&ask, &mut cache), Ok(Reading::Plan(_))));
    });
}

//! The loop that copies from one leader: one request, its answer into the logs, the next request.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::ReplicaSpec;
use super::answer::{self, Sorted};
use super::ends;
use super::leaders::{Order, Orders, Standing};
use super::partitions::{Asker, Partitions};
use crate::metadata::{Endpoint, Image, ImageEpoch};
use crate::metrics::Metric;
use crate::model::{BrokerId, ErrorCode, PartitionId, ShardPlace};
use crate::rt::{self, Instant, Rx};
use crate::shard::{BrokerConnection, CallProblem, Copied, CopyOutcomes, CutLog, Fetched, Follow, Manner, endpoint};
use crate::wire::ApiKey;
use crate::wire::fetch::{EPOCH_LAST, FetchRequest, FetchResponse};

/// Brokers of one cluster speak this version, or one of them is older than replication.
const FETCH_VERSION: i16 = 17;
/// An answer is larger than its records by what it says of each partition.
const ANSWER_SLACK_BYTES: i32 = 16 << 20;
/// Records that go to the pump together, unless one partition has more.
const GROUP_BYTES_MAX: usize = 1 << 20;
/// How long a throttled replica is left out before it is looked whether it still is one.
const HOLD_MAX: Duration = Duration::from_millis(500);
/// Between two looks at all replicas, of which there may be very many.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Connections that are made until one lies where it should, and how many shards a broker has at most for that: of more, few
/// would.
const TRIES_PER_SHARD: u16 = 8;
const SHARDS_REACHED_MAX: u16 = 16;
/// The rest of a partition whose leader has another image than this broker: one of the two is about to change.
const IMAGE_PATIENCE: Duration = Duration::from_millis(50);

/// What a task has of its leader's partitions, and the way to the task that has the others.
pub(super) struct Desk {
    pub(super) standing: Standing,
    pub(super) orders: Rc<Orders>,
    pub(super) bell: Rx<()>,
    pub(super) other: Rc<Orders>,
}

pub(super) struct Fetcher {
    spec: ReplicaSpec,
    leader: BrokerId,
    standing: Standing,
    orders: Rc<Orders>,
    bell: Rx<()>,
    /// The task of the replicas that stand otherwise.
    other: Rc<Orders>,
    partitions: Partitions,
    /// Whose logs end elsewhere since it was last looked whether they still belong here.
    moved: Vec<PartitionId>,
    /// All were looked at under this image, and are not again before then.
    looked: (ImageEpoch, Instant),
    connection: Option<BrokerConnection>,
    /// After a failure of the connection.
    rests: Option<Instant>,
    /// The failure was logged, and no answer has come since.
    complained: bool,
    /// Partitions that fail, as they were shown last.
    shown_failing: i64,
}

impl Fetcher {
    pub(super) fn new(spec: ReplicaSpec, leader: BrokerId, desk: Desk) -> Fetcher {
        Fetcher {
            spec,
            leader,
            standing: desk.standing,
            orders: desk.orders,
            bell: desk.bell,
            other: desk.other,
            partitions: Partitions::default(),
            moved: Vec::new(),
            looked: (ImageEpoch(0), Instant(0)),
            connection: None,
            rests: None,
            complained: false,
            shown_failing: 0,
        }
    }

    pub(super) async fn run(mut self) {
        while !self.orders.is_closed() {
            self.take_orders();
            let now = rt::now();
            self.hand_over(now);
            self.partitions.wake(now);
            self.hold_throttled(now);
            if self.partitions.is_empty() {
                self.leave().await;
                self.wait(None).await;
            } else if let Some(until) = self.rests_until(now) {
                self.wait(Some(until.since(now))).await;
            } else {
                match self.round().await {
                    Ok(()) => self.count(Metric::LeaderFetches, 1),
                    Err(problem) => self.on_problem(&problem),
                }
            }
            self.show_failing();
        }
    }

    fn count(&self, metric: Metric, by: i64) {
        self.spec.router.metrics().add(metric, by);
    }

    /// This task's part of those that the shard cannot copy.
    fn show_failing(&mut self) {
        let failing = self.partitions.failing() as i64;
        let before = std::mem::replace(&mut self.shown_failing, failing);
        if failing != before {
            self.count(Metric::FailingReplicas, failing - before);
        }
    }

    fn take_orders(&mut self) {
        for order in self.orders.take() {
            match order {
                Order::Begin(follow) => self.partitions.begin(follow),
                Order::End(partition) => self.partitions.end(partition),
            }
        }
    }

    /// Replicas that have come into sync, or fallen out of it, go to the other task. Nothing comes between this and the
    /// orders that were taken before it: what is handed over has not been ended, or begun anew, meanwhile.
    fn hand_over(&mut self, now: Instant) {
        let (image, me) = (self.spec.router.image(), self.spec.me());
        let mut ids = std::mem::take(&mut self.moved);
        // One that came into sync may have no more records for long, and the first of them is waited for. One that fell
        // out of it may be read from the leader's disk, while the others wait.
        if self.looked.0 != image.epoch && self.looked.1 <= now {
            self.looked = (image.epoch, now.after(LOOK_EVERY));
            ids = self.partitions.ids();
        }
        for id in ids {
            let stays = Standing::of(&id, &image, me).is_none_or(|standing| standing == self.standing);
            let Some(known) = self.partitions.get(id).filter(|known| !stays && !known.rests()) else {
                continue;
            };
            self.other.push(Order::Begin(Follow {
                life: known.life,
                leader: self.leader,
                end: known.end,
            }));
            self.partitions.end(id);
        }
    }

    /// Throttled replicas out of sync rest while what was copied of them all is as much as the rate allows.
    fn hold_throttled(&mut self, now: Instant) {
        let Some(until) = self.spec.router.throttles().follower.rests_until(now) else {
            return;
        };
        let (image, me) = (self.spec.router.image(), self.spec.me());
        let is_held = |id: PartitionId| {
            is_throttled(&image, id, me) && image.partition(&id).is_some_and(|(_, state)| !state.isr.contains(&me))
        };
        self.partitions.hold(until.min(now.after(HOLD_MAX)), is_held);
    }

    /// Until when there is nothing to ask for.
    fn rests_until(&mut self, now: Instant) -> Option<Instant> {
        self.rests.take_if(|until| *until <= now);
        self.rests.or_else(|| self.partitions.all_rest_until())
    }

    /// Until there are new orders, at most for so long.
    async fn wait(&mut self, at_most: Option<Duration>) {
        let mut rung = Vec::new();
        let ring = self.bell.recv_burst(&mut rung, 1);
        match at_most {
            None => ring.await,
            Some(at_most) => rt::timeout(at_most, ring).await.unwrap_or(true),
        };
    }

    async fn round(&mut self) -> Result<(), CallProblem> {
        let image = self.spec.router.image();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect(&image).await?,
        };
        let request = self.partitions.request(&Asker {
            me: self.spec.me(),
            broker_epoch: image.brokers.get(&self.spec.me()).map_or(-1, |broker| broker.epoch),
            config: &self.spec.config.replication,
            now: rt::now(),
        });
        let body = request.encode(FETCH_VERSION);
        let hurry = ordered(&self.orders, &mut self.bell);
        let answer = connection.call_until(ApiKey::FETCH, FETCH_VERSION, body, hurry).await?;
        let response = FetchResponse::decode(answer, FETCH_VERSION)?;
        self.take(response, &mut connection, &image).await?;
        self.connection = Some(connection);
        if std::mem::take(&mut self.complained) {
            let (leader, standing) = (self.leader.0, self.standing);
            tracing::info!(leader, ?standing, "copying from the leader again");
        }
        Ok(())
    }

    /// Nothing is asked for any more: the leader need not keep the session.
    async fn leave(&mut self) {
        if let (Some(mut connection), Some(last)) =
            (self.connection.take(), self.partitions.last_request(self.spec.me()))
        {
            // Where it is not heard the session ends by itself, later.
            let body = last.encode(FETCH_VERSION);
            let _ = connection.call(ApiKey::FETCH, FETCH_VERSION, body).await;
            self.connection = Some(connection);
        }
        self.partitions.on_lost_connection();
        self.disconnect();
    }

    async fn connect(&mut self, image: &Image) -> Result<BrokerConnection, CallProblem> {
        self.partitions.on_lost_connection();
        let config = &self.spec.config;
        let endpoint = endpoint(image, self.leader, &config.replication.listener).ok_or(CallProblem::NoAddress)?;
        let replication = &config.replication;
        let answer_bytes_max = replication.response_bytes_max.max(config.socket_request_max_bytes);
        let manner = Manner {
            client_id: Bytes::from(format!(
                "broker-{}-fetcher-{}{}",
                config.broker_id,
                self.spec.shard.0,
                match self.standing {
                    Standing::InSync => "",
                    Standing::Behind => "-behind",
                }
            )),
            frame_bytes_max: answer_bytes_max.saturating_add(ANSWER_SLACK_BYTES),
            patience: replication.answer_patience + replication.fetch_wait,
        };
        let connection = self.reach_shard(endpoint, &manner).await?;
        self.orders.set_stream(Some(connection.stream().clone()));
        // A close between the two would not have found the stream.
        match self.orders.is_closed() {
            true => Err(CallProblem::Closing),
            false => Ok(connection),
        }
    }

    /// A connection, on the shard of the leader that has what this shard copies, if one of some comes to lie there: what is
    /// asked for elsewhere goes between its shards, in more and smaller pieces.
    async fn reach_shard(&self, endpoint: &Endpoint, manner: &Manner) -> Result<BrokerConnection, CallProblem> {
        let own = self.spec.router.place();
        let tries = match own.count {
            2..=SHARDS_REACHED_MAX => own.count * TRIES_PER_SHARD,
            _ => 1,
        };
        for _ in 1..tries {
            let mut connection = BrokerConnection::open(&endpoint.host, endpoint.port, manner.clone()).await?;
            match self.place_of(&mut connection).await? {
                // It says nothing of it, or its partitions lie otherwise.
                Some(place) if place.count == own.count && place.index != own.index => connection.stream().shutdown(),
                _ => return Ok(connection),
            }
        }
        BrokerConnection::open(&endpoint.host, endpoint.port, manner.clone()).await
    }

    /// On which of the leader's shards the connection lies.
    async fn place_of(&self, connection: &mut BrokerConnection) -> Result<Option<ShardPlace>, CallProblem> {
        let where_am_i = FetchRequest {
            replica_id: self.spec.me().0,
            session_epoch: EPOCH_LAST,
            ..Default::default()
        };
        let body = where_am_i.encode(FETCH_VERSION);
        let answer = connection.call(ApiKey::FETCH, FETCH_VERSION, body).await?;
        Ok(FetchResponse::decode(answer, FETCH_VERSION)?.shard)
    }

    async fn take(
        &mut self,
        response: FetchResponse,
        connection: &mut BrokerConnection,
        image: &Image,
    ) -> Result<(), CallProblem> {
        let error = ErrorCode::from_code(response.error_code);
        if !error.is_none() {
            return match self.partitions.on_refusal(error) {
                true => Ok(()),
                false => Err(CallProblem::Refused(response.error_code)),
            };
        }
        self.partitions.on_answer(response.session_id);
        let Sorted {
            fetched,
            mut cuts,
            outside,
            over,
            failed,
        } = answer::sort(response, &self.partitions);
        over.into_iter().for_each(|id| self.partitions.end(id));
        for (id, error) in failed {
            self.on_refusal(id, error);
        }
        self.count_throttled(&fetched, image);
        for group in groups(fetched) {
            let ids: Vec<PartitionId> = group.iter().map(|one| one.life.partition).collect();
            let outcomes = self.spec.router.append_fetched(group).await;
            self.advance(ids, outcomes);
        }
        if !outside.is_empty() {
            let me = self.spec.me();
            for (id, cut) in ends::look_up(connection, image, me, &outside, &self.partitions).await? {
                match cut {
                    Some(cut) => cuts.push(cut),
                    None => self.rest(id, "its end lies outside of the leader's log"),
                }
            }
        }
        if !cuts.is_empty() {
            self.cut(cuts).await;
        }
        Ok(())
    }

    fn count_throttled(&self, fetched: &[Fetched], image: &Image) {
        let me = self.spec.me();
        let has_records = fetched.iter().filter(|one| !one.records.is_empty());
        let throttled = has_records.filter(|one| is_throttled(image, one.life.partition, me));
        let bytes: usize = throttled.map(|one| one.records.len()).sum();
        if bytes > 0 {
            let rate = image.config().replication.follower_rate;
            self.spec.router.throttles().follower.on_copied(bytes, rate, rt::now());
        }
    }

    async fn cut(&mut self, cuts: Vec<CutLog>) {
        let ids: Vec<PartitionId> = cuts.iter().map(|one| one.life.partition).collect();
        let outcomes = self.spec.router.cut_logs(cuts).await;
        self.advance(ids, outcomes);
    }

    fn advance(&mut self, ids: Vec<PartitionId>, outcomes: CopyOutcomes) {
        for (id, outcome) in ids.into_iter().zip(outcomes) {
            match outcome {
                // Where the partition is followed on, the order for it is here or under way.
                None => self.partitions.end(id),
                Some(Copied { end, failure: None }) => {
                    if self.partitions.advance(id, end) {
                        self.moved.push(id);
                    }
                }
                Some(Copied {
                    end,
                    failure: Some(why),
                }) => {
                    self.partitions.move_to(id, end);
                    self.rest(id, &why);
                }
            }
        }
    }

    fn rest(&mut self, id: PartitionId, why: &str) {
        let until = rt::now().after(self.spec.config.replication.backoff);
        if self.partitions.rest(id, until) {
            let (topic_id, partition, leader) = (id.topic, id.index, self.leader.0);
            tracing::warn!(%topic_id, partition, leader, why, "partition is not copied: tried again until it is");
        }
    }

    fn on_refusal(&mut self, id: PartitionId, error: ErrorCode) {
        if !is_about_the_image(error) {
            return self.rest(id, &format!("the leader answered {error:?}"));
        }
        let rest = IMAGE_PATIENCE.min(self.spec.config.replication.backoff);
        self.partitions.rest(id, rt::now().after(rest));
    }

    /// The leader may be gone: tried again, until it is back or another one is followed.
    fn on_problem(&mut self, problem: &CallProblem) {
        self.count(Metric::LeaderFetchFailures, 1);
        self.disconnect();
        self.rests = Some(rt::now().after(self.spec.config.replication.backoff));
        if !self.orders.is_closed() && !std::mem::replace(&mut self.complained, true) {
            let (leader, standing) = (self.leader.0, self.standing);
            tracing::warn!(leader, ?standing, %problem, "cannot copy from the leader: tried again until it answers");
        }
    }

    fn disconnect(&mut self) {
        self.orders.set_stream(None);
        if let Some(connection) = self.connection.take() {
            connection.stream().shutdown();
        }
    }
}

/// Until there are orders: what begins to be copied must not wait behind a leader's long poll of the rest.
async fn ordered(orders: &Orders, bell: &mut Rx<()>) {
    let mut rung = Vec::new();
    // It may have rung for orders that were taken.
    while !orders.are_waiting() && bell.recv_burst(&mut rung, 1).await {
        rung.clear();
    }
}

fn is_throttled(image: &Image, id: PartitionId, me: BrokerId) -> bool {
    let topic = image.topic_by_id(&id.topic);
    topic.is_some_and(|topic| topic.config.follower_throttled.has(id.index, me.0))
}

/// What the pump takes at a time: it checks and copies every byte, and others wait for their turn meanwhile.
fn groups(fetched: Vec<Fetched>) -> Vec<Vec<Fetched>> {
    let (mut groups, mut bytes) = (Vec::<Vec<Fetched>>::new(), 0);
    for one in fetched {
        if groups.is_empty() || bytes + one.records.len() > GROUP_BYTES_MAX {
            groups.push(Vec::new());
            bytes = 0;
        }
        bytes += one.records.len();
        if let Some(last) = groups.last_mut() {
            last.push(one);
        }
    }
    groups
}

/// Whether one side has not seen yet what the other side's image says.
fn is_about_the_image(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::NotLeaderOrFollower
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::UnknownTopicId
            | ErrorCode::UnknownTopicOrPartition
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Incarnation, LeaderEpoch, TopicId};
    use crate::shard::FollowerLife;

    /// The pump gets no more than its share at once, in order; a partition with more comes alone, and offsets without
    /// records come along.
    #[test]
    fn an_answer_goes_to_the_pump_in_pieces() {
        let fetched = |index, len| Fetched {
            life: FollowerLife {
                partition: PartitionId {
                    topic: TopicId([1; 16]),
                    index,
                },
                incarnation: Incarnation(1),
                leader_epoch: LeaderEpoch(0),
            },
            offset: 0,
            records: Bytes::from(vec![0; len]),
            high_watermark: 0,
            log_start: 0,
        };
        let half = GROUP_BYTES_MAX / 2;
        let lens = [0, half, half, 0, 1, 3 * half, 1];
        let all = lens.iter().enumerate().map(|(index, len)| fetched(index as i32, *len));
        let groups = groups(all.collect());
        let indexes = groups
            .iter()
            .map(|group| group.iter().map(|one| one.life.partition.index).collect());
        let expected: Vec<Vec<i32>> = vec![vec![0, 1, 2, 3], vec![4], vec![5], vec![6]];
        assert_eq!(indexes.collect::<Vec<Vec<i32>>>(), expected);
        assert!(super::groups(Vec::new()).is_empty());
    }
}

//! What observers are given: the newest commits where they follow on what an observer has, else the whole state. Only what
//! a majority holds gets here, and only the node that leads hands it on.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Instant, RaftMetrics, ServerState};

use super::Raft;
use super::follow::{Followed, News, Passed, Position};
use super::link::address;
use super::machine::Machine;
use super::progress::Progress;
use super::types::{Types, Voter};
use crate::metadata::image::ImageEpoch;
use crate::metadata::record;
use crate::model::BrokerId;
use crate::rt::{self, OneshotRx, OneshotTx};

/// Of the commits that are kept at hand.
const BYTES_MAX: usize = 16 << 20;
/// Of commits in one answer, but for the first.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// For which a state serves others too.
const STATE_KEPT_FOR: Duration = Duration::from_secs(10);
/// For something to happen. A leader that ends, or is another one, is noticed within it.
pub const NEWS_PATIENCE: Duration = Duration::from_millis(500);

/// What the state machine has applied, for others. Cheap to clone.
#[derive(Clone, Default)]
pub struct Feed(Arc<Mutex<Recent>>);

#[derive(Default)]
struct Recent {
    /// Of the machine's image.
    epoch: u64,
    /// Entries that have been applied.
    end: u64,
    /// The newest commits, without gaps, and the epoch that the first of them was decided on.
    commits: VecDeque<Passed>,
    commits_max: usize,
    base: u64,
    bytes: usize,
    /// One of each observer.
    waiting: BTreeMap<BrokerId, OneshotTx<()>>,
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine has another state, which no commits led to.
    pub fn restart(&self, epoch: ImageEpoch, end: u64) {
        self.change(|recent| {
            *recent = Recent {
                commits_max: recent.commits_max,
                epoch: epoch.0,
                base: epoch.0,
                end,
                ..Recent::default()
            };
        });
    }

    /// Tells those who wait of it.
    fn change(&self, change: impl FnOnce(&mut Recent)) {
        let waiting = {
            let mut recent = self.lock();
            let waiting = std::mem::take(&mut recent.waiting);
            change(&mut recent);
            waiting
        };
        waiting.into_values().for_each(|waiting| waiting.send(()));
    }

    /// So many commits are to be kept at hand from now on; none before.
    pub fn keep(&self, commits_max: usize) {
        self.lock().commits_max = commits_max;
    }

    /// The machine has applied it.
    pub fn push(&self, commit: Passed) {
        self.change(|recent| recent.push(commit));
    }

    /// The machine has applied an entry that changes nothing.
    pub fn pass(&self, end: u64) {
        self.change(|recent| recent.end = end);
    }

    pub fn epoch(&self) -> ImageEpoch {
        ImageEpoch(self.lock().epoch)
    }

    fn end(&self) -> u64 {
        self.lock().end
    }

    /// Told of the next entry, or that there is another wait in its place.
    fn wait(&self, observer: BrokerId) -> OneshotRx<()> {
        let (told, next) = rt::oneshot();
        self.lock().waiting.insert(observer, told);
        next
    }

    fn wait_no_more(&self, observer: BrokerId) {
        self.lock().waiting.remove(&observer);
    }

    /// `None`: they are not at hand.
    fn since(&self, epoch: u64) -> Option<Vec<Passed>> {
        self.lock().since(epoch)
    }
}

impl Recent {
    fn push(&mut self, commit: Passed) {
        (self.epoch, self.end) = (commit.epoch, commit.end);
        self.bytes += commit.records.len();
        self.commits.push_back(commit);
        while self.commits.len() > self.commits_max || (self.bytes > BYTES_MAX && self.commits.len() > 1) {
            let Some(first) = self.commits.pop_front() else {
                break;
            };
            self.bytes -= first.records.len();
            self.base = first.epoch;
        }
    }

    fn since(&self, epoch: u64) -> Option<Vec<Passed>> {
        // Whoever has more than this node: it will come here.
        if epoch >= self.epoch {
            return Some(Vec::new());
        }
        let at = self.commits.partition_point(|commit| commit.epoch <= epoch);
        let base = at.checked_sub(1).map_or(self.base, |before| self.commits[before].epoch);
        let follows = base == epoch;
        #[cfg(test)]
        let follows = follows || rt::sim::is_off(rt::sim::Rule::CommitsFollow);
        if !follows {
            return None;
        }
        let mut bytes = 0;
        let fits = |commit: &&Passed| {
            let is_first = bytes == 0;
            bytes += commit.records.len().max(1);
            is_first || bytes <= ANSWER_BYTES_MAX
        };
        Some(self.commits.range(at..).take_while(fits).cloned().collect())
    }
}

/// The answering end.
pub struct Server {
    pub me: BrokerId,
    pub raft: Raft,
    pub feed: Feed,
    pub progress: Progress,
    /// Where the configuration finds the nodes.
    pub configured: Arc<[Voter]>,
    /// In which a leader hears from a majority.
    pub lease: Duration,
    pub kept: KeptState,
}

/// A state that others may need as well, and when it was made.
pub type KeptState = RefCell<Option<(Passed, rt::Instant)>>;

impl Server {
    /// Waits for a moment where there is nothing new.
    pub async fn follow(&self, observer: BrokerId, at: &Position) -> io::Result<Followed> {
        let deadline = rt::now().after(NEWS_PATIENCE);
        loop {
            self.forget_state();
            let next = self.feed.wait(observer);
            let mut followed = self.leadership();
            if followed.leader == Some(self.me) {
                self.note(observer, at);
                followed.news = Some(self.news(at).await?);
            }
            let is_empty = matches!(&followed.news, Some(News::Commits(commits)) if commits.is_empty());
            let left = deadline.since(rt::now());
            if !is_empty || left.is_zero() {
                self.feed.wait_no_more(observer);
                return Ok(followed);
            }
            if let Some(None) = rt::timeout(left, next).await {
                return Err(io::Error::other("the node asks on another connection"));
            }
        }
    }

    fn note(&self, observer: BrokerId, at: &Position) {
        let has_all = self.is_ours(at) && at.epoch == self.feed.epoch().0;
        let end = if has_all {
            self.feed.end()
        } else {
            at.end.min(self.feed.end())
        };
        self.progress.hear(observer, end, has_all, rt::wall_ms());
    }

    fn leadership(&self) -> Followed {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let known = |id: u64| metrics.membership_config.get_node(&id);
        let leader = metrics
            .current_leader
            .filter(|id| *id != metrics.id || self.leads(&metrics));
        let voters = metrics.membership_config.voter_ids();
        let voters = voters.filter_map(|id| known(id).map(|known| (id, address(&self.configured, known))));
        Followed {
            term: metrics.current_term,
            voters: voters.collect(),
            leader: leader.and_then(known).map(|known| known.node),
            news: None,
        }
    }

    /// One that is cut off from the others may not know that it does not lead any more; one that leads since a moment ago may
    /// not have applied what was committed before.
    fn leads(&self, metrics: &RaftMetrics<Types>) -> bool {
        let is_alone = metrics.membership_config.voter_ids().eq([metrics.id]);
        let heard = metrics.last_quorum_acked.as_ref();
        let is_heard = is_alone || heard.is_some_and(|heard| heard.elapsed() < self.lease);
        let applied = metrics.last_applied.as_ref();
        let has_applied = applied.is_some_and(|last| **last.committed_leader_id() == metrics.current_term);
        metrics.state == ServerState::Leader && is_heard && has_applied
    }

    async fn news(&self, at: &Position) -> io::Result<News> {
        if at.epoch != 0 && !self.is_ours(at) {
            return Ok(News::OtherHistory);
        }
        match self.feed.since(at.epoch).filter(|_| at.epoch != 0) {
            Some(commits) => Ok(News::Commits(commits)),
            None => self.state().await.map(News::State),
        }
    }

    /// Whether the epoch means the same here.
    fn is_ours(&self, at: &Position) -> bool {
        let membership = self.raft.metrics().borrow_watched().membership_config.clone();
        membership.nodes().any(|(id, _)| at.of.contains(id))
    }

    fn forget_state(&self) {
        let now = rt::now();
        let mut kept = self.kept.borrow_mut();
        kept.take_if(|(_, made)| now.since(*made) > STATE_KEPT_FOR);
    }

    /// The newest, or one that the commits at hand follow on: many may ask at once.
    async fn state(&self) -> io::Result<Passed> {
        if let Some(kept) = self.kept_state() {
            return Ok(kept);
        }
        let of = self.raft.with_state_machine(|machine: &mut Machine| {
            let state = (machine.image().clone(), machine.end());
            Box::pin(async move { state })
        });
        let (image, end) = of.await.map_err(io::Error::other)?;
        if image.epoch == ImageEpoch(0) {
            return Err(io::Error::other("there is no metadata yet"));
        }
        // Others may have asked for it meanwhile.
        if let Some(kept) = self.kept_state() {
            return Ok(kept);
        }
        let mut records = Vec::new();
        record::encode_all(&image.to_records(), &mut records);
        let state = Passed {
            epoch: image.epoch.0,
            end,
            records: Bytes::from(records),
        };
        *self.kept.borrow_mut() = Some((state.clone(), rt::now()));
        Ok(state)
    }

    fn kept_state(&self) -> Option<Passed> {
        let kept = self.kept.borrow().as_ref().map(|(state, _)| state.clone());
        kept.filter(|kept| self.feed.since(kept.epoch).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 100;

    fn feed() -> Feed {
        let feed = Feed::default();
        feed.keep(MAX);
        feed
    }

    fn commit(epoch: u64, len: usize) -> Passed {
        Passed {
            epoch,
            end: epoch + 10,
            records: vec![0; len].into(),
        }
    }

    fn epochs(feed: &Feed, since: u64) -> Option<Vec<u64>> {
        let commits = feed.since(since)?;
        Some(commits.iter().map(|commit| commit.epoch).collect())
    }

    /// Epochs need not be without gaps: a quorum that was recovered has stepped over some.
    #[test]
    fn an_observer_is_given_what_follows_on_what_it_has() {
        let feed = feed();
        feed.restart(ImageEpoch(4), 14);
        assert_eq!(epochs(&feed, 4), Some(vec![]));
        assert_eq!(epochs(&feed, 3), None, "what led to the first state is not at hand");
        [5, 6, 1_000_006]
            .into_iter()
            .for_each(|epoch| feed.push(commit(epoch, 1)));
        assert_eq!(epochs(&feed, 4), Some(vec![5, 6, 1_000_006]));
        assert_eq!(epochs(&feed, 6), Some(vec![1_000_006]));
        assert_eq!(epochs(&feed, 7), None, "another history's");
        assert_eq!(epochs(&feed, 1_000_007), Some(vec![]), "it has more than this node yet");
        assert_eq!((feed.epoch(), feed.end()), (ImageEpoch(1_000_006), 1_000_016));
    }

    #[test]
    fn an_answer_is_of_bounded_size_and_never_empty() {
        let feed = feed();
        feed.push(commit(1, 2 * ANSWER_BYTES_MAX));
        (2..10).for_each(|epoch| feed.push(commit(epoch, ANSWER_BYTES_MAX / 2)));
        assert_eq!(epochs(&feed, 0), Some(vec![1]));
        assert_eq!(epochs(&feed, 1), Some(vec![2, 3]));
    }

    #[test]
    fn what_is_kept_at_hand_is_bounded() {
        let feed = feed();
        (1..=MAX as u64 + 5).for_each(|epoch| feed.push(commit(epoch, 1)));
        assert_eq!(epochs(&feed, 4), None);
        assert_eq!(epochs(&feed, 5).map(|all| all.len()), Some(MAX));
        (2_000..2_050).for_each(|epoch| feed.push(commit(epoch, BYTES_MAX / 4)));
        assert_eq!(feed.lock().commits.len(), 4);
        assert_eq!(epochs(&feed, 2_045), Some(vec![2_046]));
    }

    /// Two waits of one observer: the first is over, nothing is left behind.
    #[test]
    fn a_wait_is_over_with_the_next_commit() {
        let feed = feed();
        let first = feed.wait(BrokerId(4));
        let second = feed.wait(BrokerId(4));
        assert_eq!(feed.lock().waiting.len(), 1);
        assert!(futures_lite::future::block_on(first).is_none());
        feed.push(commit(1, 1));
        assert!(futures_lite::future::block_on(second).is_some());
        assert!(feed.lock().waiting.is_empty());
    }
}

//! The engine of a broker that does not vote: it asks whoever leads for what has been committed, and keeps nothing on disk.
//! A start waits for the whole state, so that such a broker never serves by what it knew in another life.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::super::{CommitError, Delta, Engine, Event, StartError};
use super::backlog::Backlog;
use super::feed::NEWS_PATIENCE;
use super::follow::{Followed, News, Passed, Position};
use super::link::Link;
use super::message::{ANYONE, Identity, Kind};
use super::remote::Remote;
use super::types::Voter;
use super::{Formed, ms, servers, voters};
use crate::config::QuorumConfig;
use crate::metadata::handle::Handle;
use crate::metadata::image::ImageEpoch;
use crate::metadata::record::{self, Record};
use crate::metrics::{QuorumRole, QuorumView};
use crate::model::BrokerId;
use crate::rt::{self, Tx};

/// Between two tries where nobody leads, or nobody answers.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Tries without news, at a start, between two remarks about it.
const TRIES_PER_REMARK: usize = 50;

pub struct Observer {
    /// Until the start.
    follower: Option<Follower>,
    remote: Remote,
    backlog: Backlog,
}

impl Observer {
    pub fn new(node: BrokerId, quorum: &QuorumConfig, formed: Formed, handle: Handle) -> Observer {
        let me = Arc::new(Identity {
            cluster: Some(formed.cluster_id),
            is_observer: true,
            ..Identity::new(node, ANYONE, formed.incarnation)
        });
        let configured = voters(quorum);
        let remote = Remote::new(me.clone(), configured.clone());
        let follower = Follower {
            me,
            told: configured.iter().cloned().chain(servers(quorum)).collect(),
            tries: 0,
            link: None,
            position: Position::default(),
            remote: remote.clone(),
            patience: NEWS_PATIENCE + ms(quorum.request_timeout_ms),
            handle,
        };
        Observer {
            follower: Some(follower),
            remote,
            backlog: Backlog::new(),
        }
    }
}

impl Engine for Observer {
    async fn start(&mut self) -> Result<(Vec<Record>, ImageEpoch), StartError> {
        let failed = |what: String| StartError::Quorum { what };
        let follower = self.follower.take();
        let mut follower = follower.ok_or_else(|| failed("it has been started".to_owned()))?;
        let state = follower.first_state().await;
        let Delta { epoch, records } = follower.delta(&state).map_err(|error| failed(unreadable(&error)))?;
        rt::spawn(follower.run(self.backlog.sender()));
        Ok((records, epoch))
    }

    async fn next(&mut self) -> Event {
        self.backlog.next().await
    }

    async fn commit(&mut self, _: ImageEpoch, _: &[Record]) -> Result<ImageEpoch, CommitError> {
        Err(CommitError::NotController)
    }

    async fn confirm(&self, _: ImageEpoch) -> Result<(), CommitError> {
        Err(CommitError::NotController)
    }

    async fn resign(&mut self) {}

    fn remote(&self) -> Option<Remote> {
        Some(self.remote.clone())
    }
}

/// Why a process cannot go on.
enum End {
    Unreadable(io::Error),
    OtherHistory,
}

/// Asks one voter after another until one leads, and then that one.
struct Follower {
    me: Arc<Identity>,
    /// Who may know who leads, by the configuration.
    told: Vec<Voter>,
    /// Tries so far.
    tries: usize,
    link: Option<Link>,
    position: Position,
    remote: Remote,
    patience: Duration,
    handle: Handle,
}

impl Follower {
    /// Waits for somebody to give it.
    async fn first_state(&mut self) -> Passed {
        loop {
            let obstacle = match self.ask().await {
                Ok(Some(News::State(state))) => return state,
                Ok(_) => "no controller is elected".to_owned(),
                Err(error) => error.to_string(),
            };
            if self.tries % TRIES_PER_REMARK == TRIES_PER_REMARK / 10 {
                tracing::warn!(
                    obstacle,
                    "waiting for the controllers, which have the cluster's metadata"
                );
            }
            rt::sleep(RETRY_PAUSE).await;
        }
    }

    /// For as long as the control thread lives.
    async fn run(mut self, events: Tx<Event>) {
        let mut leader = None;
        loop {
            match self.ask().await {
                Ok(Some(news)) => {
                    if let Err(why) = self.hand_on(news, &events) {
                        return self.end(why, &events);
                    }
                }
                asked => {
                    tracing::debug!(obstacle = ?asked.err(), "no controller has answered");
                    rt::sleep(RETRY_PAUSE).await;
                }
            }
            if self.remote.leader() != leader {
                leader = self.remote.leader();
                let _ = events.try_send(Event::Leader(leader));
            }
        }
    }

    fn end(&self, why: End, events: &Tx<Event>) {
        match why {
            End::Unreadable(error) => drop(events.try_send(Event::Fatal(unreadable(&error)))),
            // What it does not know would be deleted here. A start only sets it aside.
            End::OtherHistory => self.handle.end_process(
                "the controllers do not go on from what this broker knows of the cluster: theirs is another quorum by now; this \
                 broker ends, and is to be started again",
            ),
        }
    }

    /// Err: what this process cannot go on from.
    fn hand_on(&mut self, news: News, events: &Tx<Event>) -> Result<(), End> {
        match news {
            News::Commits(commits) => {
                for commit in &commits {
                    let delta = self.delta(commit).map_err(End::Unreadable)?;
                    let _ = events.try_send(Event::Delta(delta));
                }
            }
            News::State(state) => {
                let delta = self.delta(&state).map_err(End::Unreadable)?;
                let _ = events.try_send(Event::Reset(delta));
            }
            News::OtherHistory => return Err(End::OtherHistory),
        }
        Ok(())
    }

    fn delta(&mut self, passed: &Passed) -> io::Result<Delta> {
        let records = record::decode_all(&passed.records).map_err(io::Error::other)?;
        self.position.epoch = passed.epoch;
        self.position.end = passed.end;
        Ok(Delta {
            epoch: ImageEpoch(passed.epoch),
            records,
        })
    }

    /// What whoever is thought to lead has that is new; `None`: it leads not, and another one is asked next.
    async fn ask(&mut self) -> io::Result<Option<News>> {
        let mut link = self.link.take().unwrap_or_else(|| self.next_link());
        let position = &self.position;
        let body = link.call(Kind::Follow, self.patience, |out| position.put(out)).await?;
        let followed = Followed::read(body)?;
        let (ids, voters) = followed.voters.into_iter().unzip();
        self.remote.set_named(voters);
        self.remote.set_leader(followed.leader);
        self.show(followed.term);
        if matches!(followed.news, Some(News::Commits(_) | News::State(_))) {
            self.position.of = ids;
        }
        if followed.news.is_some() {
            self.link = Some(link);
        } else if let Some(leader) = followed.leader.and_then(|leader| self.remote.address(leader)) {
            self.link = Some(self.link_to(leader));
        }
        Ok(followed.news)
    }

    fn next_link(&mut self) -> Link {
        let mut candidates = self.told.clone();
        candidates.extend(self.remote.named());
        self.tries += 1;
        self.link_to(candidates.swap_remove(self.tries % candidates.len()))
    }

    fn link_to(&self, voter: Voter) -> Link {
        Link::new(self.me.clone(), voter, ANYONE)
    }

    fn show(&self, term: u64) {
        self.handle.cells().set_quorum(QuorumView {
            role: QuorumRole::Observer,
            leader: self.remote.leader().map(|leader| leader.0),
            epoch: term,
            high_watermark: self.position.end,
            log_end: self.position.end,
        });
    }
}

fn unreadable(error: &io::Error) -> String {
    format!("what the controller has sent cannot be read, be it that it is of a newer release: {error}")
}

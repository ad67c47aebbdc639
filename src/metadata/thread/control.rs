//! The loop: takes the commands that have come while the last commit was made, decides them one by one on a scratch image,
//! makes all their records durable in one commit, publishes the new image to every shard, and only then answers. So there
//! is one commit in flight, nobody sees what is not durable, and who asked sees what he asked for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use futures_lite::future::{or, poll_once};

use super::super::command::{Command, CommandError, QuorumState, Reply};
use super::super::decide::{Decision, Draw, Live, decide};
use super::super::engine::{CommitError, Delta, Engine, Event, Remote, VoterChange};
use super::super::handle::{Inbox, Published, Request, Updates};
use super::super::image::{Endpoint, Image, ImageEpoch};
use super::super::record::{self, Record};
use super::answer::{Answer, Waiting};
use super::cluster::Cluster;
use super::elected;
use super::{BURST_MAX, ControlOptions, RECORDS_PER_COMMIT_MAX, random_id};
use crate::config::ListenerSpec;
use crate::metrics::ControlCells;
use crate::model::{BrokerId, DirId, ErrorCode, TopicId};
use crate::rt;

/// The state of the loop.
pub(super) struct Control<E> {
    engine: E,
    pub image: Arc<Image>,
    me: BrokerId,
    log_dirs: Vec<DirId>,
    is_online: Arc<dyn Fn(&DirId) -> bool + Send + Sync>,
    updates: Updates,
    /// `None`: this node decides alone.
    cluster: Option<Cluster>,
    cells: ControlCells,
}

/// What the loop was woken by.
enum Turn {
    Requests(bool),
    Event(Event),
    Tick,
}

/// A command with its answer, which counts once its records are committed.
struct Decided {
    waiting: Waiting,
    reply: Result<Reply, CommandError>,
}

impl<E: Engine> Control<E> {
    pub async fn open(mut engine: E, options: ControlOptions, updates: Updates) -> anyhow::Result<Control<E>> {
        let (records, epoch) = engine.start().await?;
        let mut image = Image::empty(&options.cluster_id, options.config.clone());
        image.apply_all(&records);
        image.epoch = epoch;
        let me = BrokerId(options.config.broker_id);
        let is_alone = engine.remote().is_none();
        if is_alone {
            image.controller = Some(me);
        }
        check_identity(&image, is_alone.then_some(me), &options)?;
        let ControlOptions {
            log_dirs,
            is_online,
            cells,
            ..
        } = options;
        let mut control = Control {
            engine,
            image: Arc::new(image),
            me,
            log_dirs,
            is_online,
            updates,
            cluster: None,
            cells,
        };
        if is_alone {
            let first = registration(&control.image);
            control.commit(&first).await.context("cannot register this broker")?;
        }
        Ok(control)
    }

    /// The way to the controller, where it may be another node.
    pub fn remote(&self) -> Option<Remote> {
        self.engine.remote()
    }

    /// From now on other nodes may decide.
    pub fn enter(&mut self, cluster: Cluster) {
        self.cluster = Some(cluster);
    }

    pub async fn run(mut self, mut inbox: Inbox) {
        let mut burst = Vec::new();
        while !inbox.stopping.load(Ordering::Acquire) {
            match self.wait(&mut inbox, &mut burst).await {
                Turn::Requests(false) => break,
                Turn::Requests(true) => {}
                Turn::Event(event) => self.on_events(event).await,
                Turn::Tick => {}
            }
            let mut commands: VecDeque<Waiting> = burst.drain(..).filter_map(|request| self.sort(request)).collect();
            if let Some(cluster) = &mut self.cluster {
                commands.extend(cluster.due(&self.image));
            }
            while self.serve_some(&mut commands).await {}
            // A stream of commands must not keep the duties waiting.
            rt::yield_now().await;
        }
        self.engine.resign().await;
    }

    async fn wait(&mut self, inbox: &mut Inbox, burst: &mut Vec<Request>) -> Turn {
        let requests = async { Turn::Requests(inbox.requests.recv_burst(burst, BURST_MAX).await) };
        let Some(cluster) = &self.cluster else {
            return requests.await;
        };
        let pause = cluster.until_tick(&self.image);
        let tick = async {
            rt::sleep(pause).await;
            Turn::Tick
        };
        let events = async { Turn::Event(self.engine.next().await) };
        or(requests, or(events, tick)).await
    }

    /// What is not to be decided is done at once.
    fn sort(&mut self, request: Request) -> Option<Waiting> {
        match request {
            Request::Command { command, answer } => Some(Waiting {
                command,
                answer: Answer::Own(answer),
            }),
            Request::Here { command, answer } => Some(Waiting {
                command,
                answer: Answer::Other(answer),
            }),
            Request::Answered { answered, answer } => {
                if let Some(cluster) = &mut self.cluster {
                    cluster.hold(answered, answer, self.image.epoch);
                }
                None
            }
            Request::Reread { config, answer } => {
                let reread = self.image.broker.reread(&config);
                Arc::make_mut(&mut self.image).reread(Arc::new(reread.config.clone()));
                self.publish();
                answer.send(reread);
                None
            }
            Request::Stop => None,
        }
    }

    /// This one, and those that are there already; the image is published once.
    async fn on_events(&mut self, first: Event) {
        let mut changed = self.on_event(first);
        while let Some(event) = poll_once(self.engine.next()).await {
            changed |= self.on_event(event);
        }
        if changed {
            self.publish();
        }
    }

    /// Whether the image is another one now.
    fn on_event(&mut self, event: Event) -> bool {
        match event {
            Event::Delta(Delta { epoch, records }) => {
                if self.cluster.as_ref().is_some_and(Cluster::decides) {
                    self.cells.on_elections(elected::count(&self.image, &records));
                }
                let image = Arc::make_mut(&mut self.image);
                image.apply_all(&records);
                image.epoch = epoch;
                true
            }
            Event::Reset(Delta { epoch, records }) => {
                let image = Arc::make_mut(&mut self.image);
                image.restart(&records, epoch);
                true
            }
            Event::Leader(leader) => {
                match leader {
                    Some(leader) => tracing::info!(controller = leader.0, "a node leads the quorum"),
                    None => tracing::info!("nobody leads the quorum, as far as this node knows"),
                }
                Arc::make_mut(&mut self.image).note_controller(leader);
                true
            }
            Event::Gone { node, at, successor } => {
                if let Some(cluster) = &mut self.cluster {
                    cluster.note_gone(node, at, successor, &self.image);
                }
                false
            }
            Event::Controller { epoch } => {
                if let Some(cluster) = &mut self.cluster {
                    cluster.begin(epoch, &self.image);
                }
                false
            }
            Event::NotController => {
                if let Some(cluster) = &mut self.cluster {
                    cluster.end();
                }
                false
            }
            Event::Fatal(error) => {
                // What is on disk is unknown, and only reading it again can tell.
                tracing::error!(
                    error,
                    "the controller quorum has ended on this node: ending the process"
                );
                rt::abort();
            }
        }
    }

    /// Decides as many commands as fit into one commit; false when none is left.
    async fn serve_some(&mut self, commands: &mut VecDeque<Waiting>) -> bool {
        if self.cluster.as_ref().is_some_and(|cluster| !cluster.decides()) {
            commands.drain(..).for_each(|waiting| self.pass_on(waiting));
            return false;
        }
        let (records, decided) = self.decide_some(commands);
        let committed = match records.is_empty() {
            true if decided.is_empty() => Ok(()),
            true => self.engine.confirm(self.image.epoch).await,
            false => self.commit(&records).await,
        };
        match committed {
            Err(CommitError::Conflict(epoch)) if self.cluster.is_some() => {
                self.catch_up(epoch).await;
                let again = decided.into_iter().map(|decided| decided.waiting);
                again.rev().for_each(|waiting| commands.push_front(waiting));
            }
            Err(CommitError::NotController) => decided.into_iter().for_each(|decided| self.pass_on(decided.waiting)),
            committed => decided.into_iter().for_each(|decided| self.answer(decided, &committed)),
        }
        self.snapshot_if_due();
        !commands.is_empty()
    }

    fn decide_some(&mut self, commands: &mut VecDeque<Waiting>) -> (Vec<Record>, Vec<Decided>) {
        let live = self.live();
        let mut scratch = self.image.as_ref().clone();
        let (mut records, mut all) = (Vec::new(), Vec::new());
        while records.len() < RECORDS_PER_COMMIT_MAX {
            let Some(waiting) = commands.pop_front() else {
                break;
            };
            let waiting = match waiting {
                Waiting {
                    command: Command::RemoveVoter { node, directory },
                    answer,
                } => {
                    self.change_voters(self.engine.remove_voter(node, directory), Reply::RemoveVoter, answer);
                    continue;
                }
                Waiting {
                    command: Command::AddVoter(new),
                    answer,
                } => {
                    self.change_voters(self.engine.add_voter(new), Reply::AddVoter, answer);
                    continue;
                }
                decided => decided,
            };
            let decision = match &waiting.command {
                Command::DescribeQuorum => Ok(Decision {
                    records: Vec::new(),
                    reply: Reply::DescribeQuorum(self.quorum()),
                }),
                command => decide(&scratch, &live, command, &draw(command)),
            };
            let reply = decision.map(|mut decision| {
                scratch.apply_all(&decision.records);
                records.append(&mut decision.records);
                decision.reply
            });
            all.push(Decided { waiting, reply });
        }
        (records, all)
    }

    /// Beside the loop: the others may take their time.
    fn change_voters(&self, change: VoterChange, done: Reply, answer: Answer) {
        let epoch = self.image.epoch;
        rt::spawn(async move { answer.send(change.await.map(|()| done), epoch) });
    }

    fn quorum(&self) -> QuorumState {
        self.engine.quorum().unwrap_or_else(|| {
            let image = &self.image;
            // Every start of a node alone registers it anew: that commit begins its leadership.
            let term = image.brokers.get(&self.me).map_or(0, |me| me.epoch);
            let log_end = image.epoch.0 + 1;
            QuorumState::alone(self.me, u64::try_from(term).unwrap_or(0), log_end, rt::wall_ms())
        })
    }

    fn answer(&mut self, decided: Decided, committed: &Result<(), CommitError>) {
        let Decided { waiting, reply } = decided;
        // Refusals too: they may rest on what was not committed.
        let reply = committed.as_ref().map_err(not_committed).and(reply);
        if let Some(cluster) = &mut self.cluster {
            cluster.note(&waiting.command, &reply, &self.image);
        }
        waiting.answer.send(reply, self.image.epoch);
    }

    /// Another node is to decide.
    fn pass_on(&self, waiting: Waiting) {
        let Waiting { command, answer } = waiting;
        match (answer, &self.cluster) {
            (Answer::Own(answer), Some(cluster)) => cluster.forward(self.me, command, answer),
            (answer, _) => answer.send(Err(super::not_controller()), self.image.epoch),
        }
    }

    /// Makes the records durable, then visible to every shard.
    async fn commit(&mut self, records: &[Record]) -> Result<(), CommitError> {
        let began = rt::now();
        let committed = match self.engine.commit(self.image.epoch, records).await {
            Err(CommitError::Unknown(error)) => {
                // Only reading it again can tell, and the next start does that.
                tracing::error!(%error, "the metadata log failed: ending the process");
                rt::abort();
            }
            outcome => outcome?,
        };
        self.cells.on_commit(rt::now().since(began));
        self.catch_up(committed).await;
        Ok(())
    }

    /// Until the image shows that commit.
    async fn catch_up(&mut self, epoch: ImageEpoch) {
        while self.image.epoch < epoch {
            let event = self.engine.next().await;
            self.on_event(event);
        }
        self.publish();
    }

    fn publish(&mut self) {
        for update in &self.updates {
            update(Published {
                image: self.image.clone(),
            });
        }
        if let Some(cluster) = &mut self.cluster {
            cluster.on_image(&self.image);
        }
    }

    fn snapshot_if_due(&mut self) {
        if !self.engine.wants_snapshot() {
            return;
        }
        if let Err(error) = self.engine.snapshot(&self.image.to_records()) {
            tracing::warn!(%error, "cannot write a snapshot of the metadata: the log grows on");
        }
    }

    fn live(&self) -> Live {
        match &self.cluster {
            Some(cluster) => cluster.live(),
            None => super::alone(self.me, self.image.epoch, &self.log_dirs, self.is_online.as_ref()),
        }
    }
}

/// The data must be those of this broker and this cluster. `alone`: nobody else's.
fn check_identity(image: &Image, alone: Option<BrokerId>, options: &ControlOptions) -> anyhow::Result<()> {
    let dir = options.dir.display();
    if *image.cluster_id != *options.cluster_id {
        let (theirs, ours) = (&image.cluster_id, &options.cluster_id);
        bail!("the metadata in {dir} belong to cluster {theirs}, and the log directories to cluster {ours}");
    }
    let Some(me) = alone else { return Ok(()) };
    if let Some(other) = image.brokers.keys().find(|id| **id != me) {
        bail!(
            "the metadata in {dir} belong to broker {}, and the configuration says {}",
            other.0,
            me.0
        );
    }
    Ok(())
}

/// What a start without a cluster writes: who this broker is now, and in an empty log whose it is.
fn registration(image: &Image) -> Vec<Record> {
    let config = &image.broker;
    let endpoint = |listener: &ListenerSpec| Endpoint {
        listener: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
    };
    let broker = super::super::BrokerState {
        id: BrokerId(config.broker_id),
        epoch: image.epoch.0 as i64 + 1,
        incarnation: random_id(),
        rack: config.rack.clone(),
        endpoints: config.advertised.iter().map(endpoint).collect(),
        fenced: false,
        in_controlled_shutdown: None,
        log_dirs: Vec::new(),
        full_dirs: Vec::new(),
    };
    let cluster = record::ClusterId {
        id: image.cluster_id.to_string(),
    };
    let is_new = image.epoch.0 == 0;
    let cluster = is_new.then_some(Record::ClusterId(cluster));
    let broker = Record::RegisterBroker(record::RegisterBroker::from(&broker));
    cluster.into_iter().chain([broker]).collect()
}

fn draw(command: &Command) -> Draw {
    let topics = match command {
        Command::CreateTopics { topics, .. } => topics.len(),
        _ => 0,
    };
    let topic_ids = (0..topics).map(|_| TopicId(random_id())).collect();
    Draw {
        topic_ids,
        placement: rt::random_u64(),
    }
}

fn not_committed(error: &CommitError) -> CommandError {
    let code = match error {
        CommitError::Conflict(_) | CommitError::NotController => ErrorCode::NotController,
        CommitError::TooLarge { .. } => ErrorCode::PolicyViolation,
        CommitError::Undecided(_) => ErrorCode::RequestTimedOut,
        CommitError::Refused(_) | CommitError::Unknown(_) => ErrorCode::KafkaStorageError,
    };
    CommandError {
        code,
        message: error.to_string(),
    }
}

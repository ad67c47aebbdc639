//! This broker's life in a cluster, as it tells the controller: registered, then a heartbeat every so often, each of which
//! renews the lease by which it leads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::command::{Command, Heartbeat, Registration, Reply};
use super::super::handle::Handle;
use super::super::image::{Endpoint, Image};
use super::super::standing::Standing;
use crate::config::{BrokerConfig, ListenerSpec};
use crate::model::{BrokerId, DirId, ErrorCode};
use crate::rt::{self, Instant, Rx};

/// For the image to show a registration. After it the registration may be another one.
const SEE_PATIENCE: Duration = Duration::from_secs(10);
const LOOK_PAUSE: Duration = Duration::from_millis(10);
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// While it waits to be let go, or to be let in.
const HURRIED_PAUSE: Duration = Duration::from_millis(100);
/// For this long a shard that stands still is looked at again: after a pause of the whole process it moves at once.
const DOUBT: Duration = Duration::from_millis(500);
/// Tries between two remarks about a controller that does not let this broker in.
const TRIES_PER_REMARK: u64 = 25;

/// The newest image, for whoever is not told of each.
pub(super) type Shown = Arc<Mutex<Arc<Image>>>;
pub(super) type Ready = mpsc::Sender<anyhow::Result<Arc<Image>>>;

pub(super) struct Lifecycle {
    pub handle: Handle,
    pub standing: Arc<Standing>,
    pub config: Arc<BrokerConfig>,
    pub shown: Shown,
    pub log_dirs: Vec<DirId>,
    pub is_online: Arc<dyn Fn(&DirId) -> bool + Send + Sync>,
    pub is_full: Arc<dyn Fn(&DirId) -> bool + Send + Sync>,
    pub beats: Vec<Arc<AtomicU64>>,
    pub clean_epoch: i64,
    pub incarnation: [u8; 16],
}

impl Lifecycle {
    /// For as long as the control thread lives. `ready` is told once, when the image holds this broker.
    pub async fn run(self, ready: Ready, mut nudges: Rx<()>) {
        let mut ready = Some(ready);
        let mut pulse = Pulse::new(&self.beats);
        loop {
            let epoch = self.register().await;
            if ready.is_some() && !self.sees(epoch).await {
                continue;
            }
            if let Some(ready) = ready.take() {
                let _ = ready.send(Ok(self.image()));
            }
            self.beat_until_unknown(epoch, &mut pulse, &mut nudges).await;
            tracing::warn!(
                epoch,
                "the controller does not know this broker's registration: registering again"
            );
        }
    }

    fn image(&self) -> Arc<Image> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the image comes to hold the registration: an older one may not know what this broker has.
    async fn sees(&self, epoch: i64) -> bool {
        let me = BrokerId(self.config.broker_id);
        let deadline = rt::now().after(SEE_PATIENCE);
        while rt::now() < deadline {
            if self
                .image()
                .brokers
                .get(&me)
                .is_some_and(|broker| broker.epoch >= epoch)
            {
                return true;
            }
            rt::sleep(LOOK_PAUSE).await;
        }
        tracing::warn!(
            epoch,
            "this broker is registered, and its image does not show it yet: no news from the controllers"
        );
        false
    }

    /// Until it is let in: the broker's epoch.
    async fn register(&self) -> i64 {
        for tries in 1_u64.. {
            let registration = self.registration();
            match self.handle.submit(Command::RegisterBroker(registration)).await {
                Ok(Reply::RegisterBroker { epoch }) => return epoch,
                Ok(_) => {}
                Err(error) if tries % TRIES_PER_REMARK == 1 => {
                    tracing::warn!(code = ?error.code, error = error.message, "not registered with the controller yet");
                }
                Err(_) => {}
            }
            rt::sleep(RETRY_PAUSE).await;
        }
        unreachable!("the tries have no end")
    }

    fn registration(&self) -> Registration {
        let config = &self.config;
        let endpoint = |listener: &ListenerSpec| Endpoint {
            listener: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
        };
        Registration {
            id: BrokerId(config.broker_id),
            incarnation: self.incarnation,
            rack: config.rack.clone(),
            endpoints: config.advertised.iter().map(endpoint).collect(),
            log_dirs: self
                .log_dirs
                .iter()
                .copied()
                .filter(|dir| (self.is_online)(dir))
                .collect(),
            has_all_dirs: self.log_dirs.iter().all(|dir| (self.is_online)(dir)),
            clean_epoch: self.clean_epoch,
        }
    }

    async fn beat_until_unknown(&self, epoch: i64, pulse: &mut Pulse, nudges: &mut Rx<()>) {
        let session = millis(self.config.broker_session_timeout_ms);
        let interval = millis(self.config.broker_heartbeat_interval_ms);
        let (mut leased, mut is_missed) = (rt::now().after(session), false);
        loop {
            let sent = rt::now();
            let shards = pulse.look(sent, session / 3);
            let answer = match shards {
                Shards::Doubtful => Err(super::not_controller()),
                Shards::Move | Shards::Stand => {
                    let heartbeat = self.heartbeat(epoch, shards == Shards::Stand);
                    self.handle.submit(Command::Heartbeat(heartbeat)).await
                }
            };
            let mut pause = interval;
            match answer {
                Ok(Reply::Heartbeat {
                    is_fenced,
                    should_shut_down,
                    ..
                }) => {
                    self.standing.set_answer(is_fenced, should_shut_down);
                    if is_fenced || self.standing.is_leaving() {
                        pause = HURRIED_PAUSE;
                    }
                    leased = sent.after(session * 2 / 3);
                    self.standing.set_lease(if is_fenced { Instant(0) } else { leased });
                    if std::mem::take(&mut is_missed) {
                        tracing::info!("the controller answers this broker again");
                    }
                }
                Ok(_) => {}
                Err(error)
                    if matches!(
                        error.code,
                        ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered
                    ) =>
                {
                    self.standing.set_lease(Instant(0));
                    return;
                }
                Err(error) => {
                    tracing::debug!(code = ?error.code, error = error.message, "heartbeat not answered");
                    if shards != Shards::Doubtful && rt::now() > leased && !std::mem::replace(&mut is_missed, true) {
                        tracing::warn!(
                            error = error.message,
                            "no controller answers: this broker refuses to lead until one does"
                        );
                    }
                    pause = RETRY_PAUSE.min(interval);
                }
            }
            let mut woken = Vec::new();
            rt::timeout(pause, nudges.recv_burst(&mut woken, 1)).await;
        }
    }

    /// `is_hung`: what it leads is for others, at once.
    fn heartbeat(&self, epoch: i64, is_hung: bool) -> Heartbeat {
        let those = |is_so: &dyn Fn(&DirId) -> bool| self.log_dirs.iter().copied().filter(|dir| is_so(dir)).collect();
        Heartbeat {
            id: BrokerId(self.config.broker_id),
            epoch,
            image_epoch: self.image().epoch,
            want_fence: is_hung || !self.standing.is_ready() || self.standing.is_closed(),
            want_shutdown: self.standing.is_leaving(),
            offline_dirs: those(&|dir| !(self.is_online)(dir)),
            full_dirs: those(&|dir| (self.is_online)(dir) && (self.is_full)(dir)),
        }
    }
}

/// What heartbeats are to a broker: whether the controller answers, be it this node, and a majority hears it.
pub(super) async fn watch_majority(handle: Handle, standing: Arc<Standing>, config: Arc<BrokerConfig>) {
    let session = millis(config.broker_session_timeout_ms);
    loop {
        let asked = rt::now();
        let answered = rt::timeout(session / 3, handle.submit(Command::DescribeQuorum)).await;
        if matches!(answered, Some(Ok(_))) {
            standing.set_lease(asked.after(session * 2 / 3));
        }
        rt::sleep(millis(config.broker_heartbeat_interval_ms)).await;
    }
}

/// Whether the shards move: one that hangs must not keep its leaderships by the heartbeats of a thread that does not.
struct Pulse {
    shards: Vec<(Arc<AtomicU64>, u64, Instant)>,
    /// Since one was first seen to stand.
    doubted: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shards {
    Move,
    /// One stands still, as it does where the whole process stood.
    Doubtful,
    Stand,
}

impl Pulse {
    fn new(beats: &[Arc<AtomicU64>]) -> Pulse {
        let now = rt::now();
        let watched = |beats: &Arc<AtomicU64>| (beats.clone(), 0, now);
        Pulse {
            shards: beats.iter().map(watched).collect(),
            doubted: None,
        }
    }

    /// `limit`: for how long a shard may stand.
    fn look(&mut self, now: Instant, limit: Duration) -> Shards {
        if self.beats(now, limit) {
            self.doubted = None;
            return Shards::Move;
        }
        let doubted = *self.doubted.get_or_insert(now);
        match now.since(doubted) < DOUBT {
            true => Shards::Doubtful,
            false => Shards::Stand,
        }
    }

    /// False once one has stood still for so long. Those that have not begun or have ended count as alive.
    fn beats(&mut self, now: Instant, limit: Duration) -> bool {
        let mut all = true;
        for (beats, last, moved) in &mut self.shards {
            let beat = beats.load(Ordering::Relaxed);
            if beat != *last || beat == super::super::BEAT_NOT_BEGUN || beat == super::super::BEAT_ENDED {
                (*last, *moved) = (beat, now);
            }
            all &= now.since(*moved) < limit;
        }
        all
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::BEAT_ENDED;

    /// One of two shards hangs: it is doubted for a while, in which a process that was stopped as a whole moves again.
    #[test]
    fn a_shard_that_stands_is_believed_to_hang_after_a_second_look() {
        const LIMIT: Duration = Duration::from_secs(3);
        let beats = [1, 1].map(|beat| Arc::new(AtomicU64::new(beat)));
        let (mut pulse, began) = (Pulse::new(&beats), rt::now());
        let mut look = |ms: u64| pulse.look(began.after(Duration::from_millis(ms)), LIMIT);
        assert_eq!(look(0), Shards::Move);
        beats[0].store(2, Ordering::Relaxed);
        assert_eq!(
            [look(2_900), look(3_000), look(3_499)],
            [Shards::Move, Shards::Doubtful, Shards::Doubtful]
        );
        beats[1].store(2, Ordering::Relaxed);
        assert_eq!(look(3_500), Shards::Move, "it was stopped with the whole process");
        beats[0].store(3, Ordering::Relaxed);
        let seen = [look(6_400), look(6_500), look(7_000), look(9_000)];
        assert_eq!(seen, [Shards::Move, Shards::Doubtful, Shards::Stand, Shards::Stand]);
        beats[1].store(BEAT_ENDED, Ordering::Relaxed);
        beats[0].store(4, Ordering::Relaxed);
        assert_eq!(look(9_100), Shards::Move, "one has ended on purpose");
    }
}

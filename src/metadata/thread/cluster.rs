//! What the loop of a node of a cluster keeps besides: whether it decides, who has been heard while it does, what is due,
//! and answers of another controller that this node's image does not show yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use super::super::command::{Command, CommandError, Reply};
use super::super::decide::{Contact, Live, next_session_end, silent_brokers};
use super::super::engine::{Answered, Remote};
use super::super::handle::Handle;
use super::super::image::{Image, ImageEpoch};
use super::answer::{Answer, Waiting};
use super::forward::forward;
use super::lifecycle::Shown;
use crate::model::{BrokerId, DirId};
use crate::rt::{self, Instant, OneshotTx};

/// How often duties are looked at. A session is looked at when it may be over.
const TICK: Duration = Duration::from_millis(500);
/// A longer pause between two looks means that this node stood still, and says nothing about the others.
const TICK_GAP_MAX: Duration = Duration::from_secs(3);
/// For this node's image to show what another controller has answered.
const HOLD_PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Cluster {
    itself: (BrokerId, [u8; 16]),
    remote: Remote,
    handle: Handle,
    shown: Shown,
    /// The term in which this node decides; `None`: it does not.
    term: Option<u64>,
    contacts: BTreeMap<BrokerId, Contact>,
    /// Of brokers whose process has made place for another one: that, and the process that was registered then.
    successors: BTreeMap<BrokerId, ([u8; 16], Option<[u8; 16]>)>,
    /// A session is over that was not at the last look.
    has_news: bool,
    held: Vec<Held>,
    /// The commit in which the last of the brokers began to leave that are about to.
    leaving: Option<ImageEpoch>,
    ticked: Instant,
    balanced: Instant,
    elected: Instant,
}

struct Held {
    epoch: ImageEpoch,
    reply: Result<Reply, CommandError>,
    answer: OneshotTx<Result<Reply, CommandError>>,
    since: Instant,
}

impl Cluster {
    /// `itself`: this node, and its process.
    pub fn new(remote: Remote, handle: Handle, shown: Shown, itself: (BrokerId, [u8; 16])) -> Cluster {
        let now = rt::now();
        Cluster {
            itself,
            remote,
            handle,
            shown,
            term: None,
            contacts: BTreeMap::new(),
            successors: BTreeMap::new(),
            has_news: false,
            held: Vec::new(),
            leaving: None,
            ticked: now,
            balanced: now,
            elected: now,
        }
    }

    pub fn decides(&self) -> bool {
        self.term.is_some()
    }

    /// This node decides from now on. Every broker gets a whole session: nobody loses his by a change of controllers. Only
    /// processes that others have come in the place of cannot run any more; of this node itself this one has.
    pub fn begin(&mut self, term: u64, image: &Image) {
        tracing::info!(term, epoch = image.epoch.0, "this node is the controller");
        self.term = Some(term);
        self.contacts.clear();
        let now = rt::now();
        (self.ticked, self.balanced, self.elected) = (now, now, now);
        for broker in image.brokers.values().filter(|broker| !broker.fenced) {
            self.hear(broker.id, ImageEpoch::default(), broker.log_dirs.clone());
        }
        let (node, incarnation) = self.itself;
        let mut successors = self.successors.clone();
        successors.insert(node, (incarnation, registered(image, node)));
        let at = rt::now().after(Duration::from_nanos(1));
        for (node, (successor, before)) in successors {
            // One that has registered since may have come later still.
            if registered(image, node) == before {
                self.note_gone(node, at, Some(successor), image);
            }
        }
    }

    pub fn end(&mut self) {
        tracing::info!("this node is not the controller any more");
        self.term = None;
        self.contacts.clear();
    }

    fn hear(&mut self, broker: BrokerId, image_epoch: ImageEpoch, online_dirs: Vec<DirId>) {
        let contact = Contact {
            last_ns: rt::now().0,
            has_ended: false,
            image_epoch,
            online_dirs,
        };
        self.contacts.insert(broker, contact);
    }

    /// A registration or a heartbeat that was accepted.
    pub fn note(&mut self, command: &Command, reply: &Result<Reply, CommandError>, image: &Image) {
        match (command, reply) {
            (Command::RegisterBroker(registration), Ok(_)) => {
                self.hear(registration.id, ImageEpoch::default(), registration.log_dirs.clone());
            }
            (Command::Heartbeat(heartbeat), Ok(_)) => {
                let known = image.brokers.get(&heartbeat.id);
                let registered = known.map(|broker| broker.log_dirs.clone()).unwrap_or_default();
                let is_usable =
                    |dir: &DirId| !heartbeat.offline_dirs.contains(dir) && !heartbeat.full_dirs.contains(dir);
                let usable = registered.into_iter().filter(is_usable).collect();
                self.hear(heartbeat.id, heartbeat.image_epoch, usable);
            }
            _ => {}
        }
    }

    /// Every process of this broker had ended at that moment but for the successor: the session of whichever is registered
    /// need not be waited for, unless it is that one.
    pub fn note_gone(&mut self, broker: BrokerId, at: Instant, successor: Option<[u8; 16]>, image: &Image) {
        let registered = registered(image, broker);
        if let Some(successor) = successor {
            self.successors.insert(broker, (successor, registered));
        }
        if successor.is_some() && successor == registered {
            return;
        }
        let contact = self.contacts.get_mut(&broker);
        let Some(contact) = contact.filter(|contact| !contact.has_ended && contact.last_ns < at.0) else {
            return;
        };
        contact.has_ended = true;
        if image.brokers.get(&broker).is_some_and(|broker| !broker.fenced) {
            tracing::warn!(
                broker = broker.0,
                "the process of the broker has ended: its leaderships move"
            );
            self.has_news = true;
        }
    }

    pub fn live(&self) -> Live {
        Live {
            now_ns: rt::now().0,
            contacts: self.contacts.clone(),
        }
    }

    /// Until the controller may have to ask something of itself.
    pub fn until_tick(&self, image: &Image) -> Duration {
        self.next_look(image).since(rt::now())
    }

    fn next_look(&self, image: &Image) -> Instant {
        if self.has_news {
            return self.ticked;
        }
        let tick = self.ticked.after(TICK);
        // One that was over at the last look, and is still here, could not be ended then: the tick tries again.
        let live = self.term.and_then(|_| next_session_end(image, &self.contacts));
        live.filter(|end| *end > self.ticked).map_or(tick, |end| end.min(tick))
    }

    /// What the controller asks of itself now.
    pub fn due(&mut self, image: &Image) -> Vec<Waiting> {
        let now = rt::now();
        if now < self.next_look(image) {
            return Vec::new();
        }
        let stood_still = now.since(self.ticked) > TICK_GAP_MAX;
        (self.ticked, self.has_news) = (now, false);
        self.release(image.epoch);
        if self.term.is_none() {
            return Vec::new();
        }
        if stood_still {
            // Heartbeats may have come and gone meanwhile.
            self.contacts.values_mut().for_each(|contact| contact.last_ns = now.0);
        }
        let silent = silent_brokers(image, &self.live()).into_iter();
        let mut due: Vec<Command> = silent
            .map(|(broker, epoch)| Command::FenceSilent { broker, epoch })
            .collect();
        let config = image.config();
        let balance_every = seconds(config.leader_imbalance_check_interval_seconds);
        if config.auto_leader_rebalance && now >= self.balanced.after(balance_every) {
            self.balanced = now;
            due.push(Command::BalanceLeaders);
        }
        let elect_every = Duration::from_millis(u64::try_from(config.unclean_election_interval_ms).unwrap_or(u64::MAX));
        if now >= self.elected.after(elect_every) {
            self.elected = now;
            due.push(Command::ElectOffline);
        }
        let of_nobody = |command| Waiting {
            command,
            answer: Answer::Nobody,
        };
        due.into_iter().map(of_nobody).collect()
    }

    /// Sends a command to whichever node decides.
    pub fn forward(&self, me: BrokerId, command: Command, answer: OneshotTx<Result<Reply, CommandError>>) {
        rt::spawn(forward(self.remote.clone(), self.handle.clone(), me, command, answer));
    }

    /// Passes an answer on once the image has come to what it rests on.
    pub fn hold(
        &mut self,
        (reply, epoch): Answered,
        answer: OneshotTx<Result<Reply, CommandError>>,
        shown: ImageEpoch,
    ) {
        if epoch <= shown {
            return answer.send(reply);
        }
        self.held.push(Held {
            epoch,
            reply,
            answer,
            since: rt::now(),
        });
    }

    pub fn on_image(&mut self, image: &Arc<Image>) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = image.clone();
        self.release(image.epoch);
        let leaving = image
            .brokers
            .values()
            .filter_map(|broker| broker.in_controlled_shutdown);
        let before = std::mem::replace(&mut self.leaving, leaving.max());
        if self.leaving > before {
            // It waits until all show that they know.
            self.handle.nudge();
        }
    }

    fn release(&mut self, shown: ImageEpoch) {
        let now = rt::now();
        // One that waits too long is done all the same; only its asker may not see it yet.
        let is_due = |held: &mut Held| held.epoch <= shown || now.since(held.since) > HOLD_PATIENCE;
        for held in self.held.extract_if(.., is_due) {
            held.answer.send(held.reply);
        }
    }
}

/// The process that the broker is known by.
fn registered(image: &Image, broker: BrokerId) -> Option<[u8; 16]> {
    image.brokers.get(&broker).map(|broker| broker.incarnation)
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Mutex;

    use super::*;
    use crate::config::BrokerConfig;
    use crate::metadata::command::Heartbeat;
    use crate::metadata::handle::handle;
    use crate::metadata::image::BrokerState;
    use crate::metadata::record::{BrokerChange, Record, RegisterBroker};
    use crate::metrics::ControlCells;

    const OTHER: BrokerId = BrokerId(2);

    fn image() -> Image {
        image_of(|_| {})
    }

    fn image_of(set: impl Fn(&mut BrokerConfig)) -> Image {
        let mut config = BrokerConfig::embedded(std::path::Path::new("/nowhere"));
        set(&mut config);
        let mut image = Image::empty("test", Arc::new(config));
        image.apply_all(&[Record::RegisterBroker(RegisterBroker::from(&BrokerState {
            id: OTHER,
            epoch: 7,
            incarnation: [1; 16],
            rack: None,
            endpoints: Vec::new(),
            fenced: false,
            in_controlled_shutdown: None,
            log_dirs: Vec::new(),
            full_dirs: Vec::new(),
        }))]);
        image
    }

    fn cluster(image: &Image) -> Cluster {
        cluster_of(BrokerId(1), image)
    }

    fn cluster_of(me: BrokerId, image: &Image) -> Cluster {
        let unreachable = |_, _: &Command, _| -> std::pin::Pin<Box<dyn Future<Output = _>>> { unreachable!() };
        let remote = Remote::simulated(me, Rc::new(unreachable));
        let (handle, _) = handle(ControlCells::default());
        let mut cluster = Cluster::new(
            remote,
            handle,
            Arc::new(Mutex::new(Arc::new(image.clone()))),
            (me, [9; 16]),
        );
        cluster.begin(1, image);
        cluster
    }

    fn heartbeat() -> (Command, Result<Reply, CommandError>) {
        let asked = Heartbeat {
            id: OTHER,
            epoch: 7,
            image_epoch: ImageEpoch(1),
            want_fence: false,
            want_shutdown: false,
            offline_dirs: Vec::new(),
            full_dirs: Vec::new(),
        };
        let answered = Reply::Heartbeat {
            is_caught_up: true,
            is_fenced: false,
            should_shut_down: false,
        };
        (Command::Heartbeat(asked), Ok(answered))
    }

    fn fenced(cluster: &mut Cluster, image: &Image) -> Vec<BrokerId> {
        let due = cluster.due(image).into_iter();
        due.filter_map(|waiting| match waiting.command {
            Command::FenceSilent { broker, .. } => Some(broker),
            _ => None,
        })
        .collect()
    }

    /// It is fenced at once, unless it was heard since.
    #[test]
    fn the_session_of_a_process_that_has_ended_is_not_waited_for() {
        let image = image();
        let mut cluster = cluster(&image);
        cluster.note_gone(OTHER, Instant(rt::now().0 - 1_000_000_000), None, &image);
        assert_eq!(fenced(&mut cluster, &image), [], "it was heard since");
        cluster.note_gone(OTHER, rt::now(), None, &image);
        assert_eq!(cluster.until_tick(&image), Duration::ZERO);
        assert_eq!(fenced(&mut cluster, &image), [OTHER]);
        assert_ne!(cluster.until_tick(&image), Duration::ZERO, "once");
        let (asked, answered) = heartbeat();
        cluster.note(&asked, &answered, &image);
        assert!(cluster.live().has_session(&image, OTHER), "it has come back");
    }

    /// It has come again, and leads alone: nobody else could say that its earlier process is gone.
    #[test]
    fn an_earlier_process_of_the_controller_itself_has_ended() {
        let image = image();
        let mut cluster = cluster_of(OTHER, &image);
        assert!(!cluster.live().has_session(&image, OTHER));
        assert_eq!(fenced(&mut cluster, &image), [OTHER]);
        let (asked, answered) = heartbeat();
        cluster.note(&asked, &answered, &image);
        assert!(cluster.live().has_session(&image, OTHER), "it has registered anew");
    }

    /// What the controller asks of itself so long after it has begun to decide.
    fn duties(image: &Image, past: Duration) -> Vec<&'static str> {
        let mut cluster = cluster(image);
        let began = Instant(rt::now().0 - past.as_nanos() as u64);
        (cluster.balanced, cluster.elected) = (began, began);
        cluster.has_news = true;
        let mut look = || {
            let due = cluster.due(image).into_iter();
            due.filter_map(|waiting| match waiting.command {
                Command::BalanceLeaders => Some("balance"),
                Command::ElectOffline => Some("elect"),
                _ => None,
            })
            .collect::<Vec<_>>()
        };
        let seen = look();
        assert!(look().is_empty(), "once an interval");
        seen
    }

    /// Leaders go home, and the offline are looked at, each once its own interval is over.
    #[test]
    fn duties_come_round() {
        let set = |is_on| {
            image_of(move |config| {
                config.auto_leader_rebalance = is_on;
                config.leader_imbalance_check_interval_seconds = 300;
                config.unclean_election_interval_ms = 60_000;
            })
        };
        let (on, off) = (set(true), set(false));
        let after = |image, seconds| duties(image, Duration::from_secs(seconds));
        assert_eq!(after(&on, 59), [""; 0]);
        assert_eq!(after(&on, 61), ["elect"]);
        assert_eq!(after(&on, 301), ["balance", "elect"]);
        assert_eq!(after(&off, 301), ["elect"]);
    }

    /// It was the controller itself, say: its successor came before anybody else was elected.
    #[test]
    fn a_process_that_made_place_before_an_election_has_ended() {
        let image = image();
        let mut cluster = cluster(&image);
        cluster.end();
        cluster.note_gone(OTHER, rt::now(), Some([2; 16]), &image);
        assert_eq!(fenced(&mut cluster, &image), [], "somebody else decides");
        cluster.begin(2, &image);
        assert_eq!(fenced(&mut cluster, &image), [OTHER]);

        let mut later = image.clone();
        let mut registered = image.brokers[&OTHER].as_ref().clone();
        registered.incarnation = [3; 16];
        later.apply_all(&[Record::RegisterBroker(RegisterBroker::from(&registered))]);
        cluster.end();
        cluster.begin(3, &later);
        assert_eq!(fenced(&mut cluster, &later), [], "one that came later is registered");
    }

    /// Whoever leaves need not wait for the next heartbeats of all.
    #[test]
    fn that_a_broker_leaves_is_answered_at_once() {
        let mut image = image();
        let mut cluster = cluster(&image);
        let mut nudges = cluster.handle.enter_cluster().expect("the first time");
        let mut is_nudged = |cluster: &mut Cluster, image: &Image| {
            cluster.on_image(&Arc::new(image.clone()));
            let mut nudged = Vec::new();
            nudges.try_recv_burst(&mut nudged, 1);
            !nudged.is_empty()
        };
        assert!(!is_nudged(&mut cluster, &image));
        let mut leaving = image.brokers[&OTHER].as_ref().clone();
        leaving.in_controlled_shutdown = Some(ImageEpoch(3));
        image.apply_all(&[Record::BrokerChange(BrokerChange::from(&leaving))]);
        assert!(is_nudged(&mut cluster, &image));
        assert!(!is_nudged(&mut cluster, &image), "once");
    }

    /// Who leads anew, and has known an earlier process of the broker, may see that one's successor for the first time long
    /// after it has registered.
    #[test]
    fn a_successor_that_is_registered_has_not_ended() {
        let image = image();
        let mut cluster = cluster(&image);
        let registered = image.brokers[&OTHER].incarnation;
        cluster.note_gone(OTHER, rt::now(), Some(registered), &image);
        assert_eq!(fenced(&mut cluster, &image), []);
        cluster.note_gone(OTHER, rt::now(), Some([2; 16]), &image);
        assert_eq!(fenced(&mut cluster, &image), [OTHER]);
    }
}

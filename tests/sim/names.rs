//! Clients that make, delete and look for topics of a few names, through every broker and several at a time. Their answers
//! tell what had happened before: they must be those of one order in which each question has its place between being asked
//! and being answered (linearizability). What was not answered may have happened at any time since, or never.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use super::cluster::Cluster;
use crate::metadata::{Command, CreateTopic, DeleteTopic, Reply};
use crate::model::{BrokerId, ErrorCode};
use crate::rt::sim::{between_ms, paced};
use crate::rt::{self, random_u64, sleep};

/// A name is left for another one after so many questions, or so many that were not answered: finding an order takes longer
/// with each, and far longer with those.
const ASKED_MAX: usize = 24;
const UNANSWERED_MAX: usize = 3;
const ANSWER_PATIENCE: Duration = Duration::from_secs(12);

#[derive(Clone, Copy, Debug)]
enum Asked {
    Create,
    Delete,
    /// Could it be created? Nothing changes.
    Look,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Done,
    Exists,
    Missing,
    /// For another reason, whatever there is: nothing has changed.
    Refused,
}

/// A topic, as whoever asks one after the other finds it.
#[derive(Clone, Default)]
struct Topic {
    exists: bool,
}

impl SequentialSpec for Topic {
    type Op = Asked;
    type Ret = Told;

    fn invoke(&mut self, asked: &Asked) -> Told {
        let existed = self.exists;
        match (asked, existed) {
            (Asked::Create, false) => self.exists = true,
            (Asked::Delete, true) => self.exists = false,
            (_, true) => return Told::Exists,
            (_, false) => return Told::Missing,
        }
        Told::Done
    }

    fn is_valid_step(&mut self, asked: &Asked, told: &Told) -> bool {
        *told == Told::Refused || self.invoke(asked) == *told
    }
}

/// One name, and what was said about it.
struct Name {
    text: String,
    /// By the number of the conversation: a client begins another one after a question that was not answered.
    said: RefCell<LinearizabilityTester<usize, Topic>>,
    lines: RefCell<Vec<String>>,
    asked: Cell<usize>,
    unanswered: Cell<usize>,
}

/// All names so far; the last is asked about.
#[derive(Default)]
pub struct Names(RefCell<Vec<Rc<Name>>>);

impl Names {
    fn current(&self) -> Rc<Name> {
        let mut names = self.0.borrow_mut();
        match names.last().filter(|name| !name.is_worn()) {
            Some(name) => name.clone(),
            None => {
                let name = Rc::new(Name::new(names.len()));
                names.push(name.clone());
                name
            }
        }
    }

    /// How many questions were answered.
    pub fn answered(&self) -> usize {
        let names = self.0.borrow();
        names.iter().map(|name| name.asked.get() - name.unanswered.get()).sum()
    }

    /// The answers about each name have an order.
    pub fn check(&self) {
        for name in self.0.borrow().iter() {
            assert!(
                name.said.borrow().is_consistent(),
                "the answers about {} have no order:\n{}",
                name.text,
                name.lines.borrow().join("\n")
            );
        }
    }
}

impl Name {
    fn new(number: usize) -> Name {
        Name {
            text: format!("name-{number}"),
            said: RefCell::new(LinearizabilityTester::new(Topic::default())),
            lines: RefCell::default(),
            asked: Cell::new(0),
            unanswered: Cell::new(0),
        }
    }

    fn is_worn(&self) -> bool {
        self.asked.get() >= ASKED_MAX || self.unanswered.get() >= UNANSWERED_MAX
    }

    fn ask(&self, client: usize, asked: Asked) {
        self.asked.set(self.asked.get() + 1);
        self.unanswered.set(self.unanswered.get() + 1);
        self.note(client, &format!("{asked:?}?"));
        self.said
            .borrow_mut()
            .on_invoke(client, asked)
            .expect("nothing is in flight");
    }

    fn answer(&self, client: usize, told: Told) {
        self.unanswered.set(self.unanswered.get() - 1);
        self.note(client, &format!("{told:?}"));
        self.said.borrow_mut().on_return(client, told).expect("it has asked");
    }

    fn note(&self, client: usize, what: &str) {
        let seconds = rt::now().0 as f64 / 1e9;
        self.lines
            .borrow_mut()
            .push(format!("{seconds:10.4}  {client}: {what}"));
    }
}

/// Asks one broker, or any that runs while it does not.
pub async fn ask(cluster: Rc<Cluster>, broker: BrokerId) {
    let brokers = cluster.nodes.len();
    let mut client = broker.0 as usize;
    while !cluster.is_over.get() {
        sleep(between_ms(random_u64() % 500)).await;
        let nodes = [cluster.node(broker), cluster.any_node()];
        let Some(router) = nodes.iter().find_map(|node| node.router()) else {
            continue;
        };
        let name = cluster.names.current();
        let asked = [Asked::Create, Asked::Delete, Asked::Look, Asked::Look][(random_u64() % 4) as usize];
        name.ask(client, asked);
        let answer = router.metadata().submit(command(&name.text, asked));
        let told = match rt::timeout(paced(ANSWER_PATIENCE), answer).await {
            Some(Ok(reply)) => Some(told(reply, asked)),
            _ => None,
        };
        cluster.note(format!(
            "{}: client {client} asks {asked:?}, is told {told:?}",
            name.text
        ));
        match told {
            Some(told) => name.answer(client, told),
            None => client += brokers,
        }
    }
}

fn command(name: &str, asked: Asked) -> Command {
    match asked {
        Asked::Create => create(name),
        Asked::Look => create_or_look(name, true),
        Asked::Delete => Command::DeleteTopics {
            topics: vec![DeleteTopic::Name(name.to_owned())],
        },
    }
}

/// A topic of one replica.
pub fn create(name: &str) -> Command {
    create_or_look(name, false)
}

fn create_or_look(name: &str, validate_only: bool) -> Command {
    Command::CreateTopics {
        topics: vec![CreateTopic {
            name: name.to_owned(),
            partitions: 1,
            replication_factor: 1,
            assignments: BTreeMap::new(),
            configs: BTreeMap::new(),
        }],
        validate_only,
    }
}

fn told(reply: Reply, asked: Asked) -> Told {
    let result = match reply {
        Reply::CreateTopics(mut results) => results.remove(0).map(drop),
        Reply::DeleteTopics(mut results) => results.remove(0).map(drop),
        other => panic!("the reply to another command: {other:?}"),
    };
    match result.map_err(|error| error.code) {
        Ok(()) if matches!(asked, Asked::Look) => Told::Missing,
        Ok(()) => Told::Done,
        Err(ErrorCode::TopicAlreadyExists) => Told::Exists,
        Err(ErrorCode::UnknownTopicOrPartition) => Told::Missing,
        Err(_) => Told::Refused,
    }
}

//! A quorum whose voters are added while it runs: begun by one node, over loopback.

use std::thread;

use super::super::initial;
use super::super::types::directory_id;
use super::cluster::{Machinery, Node, OBSERVER, is_active, wait_until};
use super::*;
use crate::metadata::{Command, NewVoter, Reply};
use crate::model::{DirId, ErrorCode};

impl Machinery {
    fn new_voter(&self, id: i32) -> NewVoter {
        NewVoter {
            directory: self.directory(id),
            ..self.address(id)
        }
    }

    fn address(&self, id: i32) -> NewVoter {
        let Voter { node, host, port, .. } = self.voter(id);
        NewVoter {
            node,
            directory: directory_id(id as u64),
            host,
            port,
        }
    }

    /// Starts the node, which waits, and has another add it; returns once it serves.
    fn boot_and_add(&self, id: i32, asked: &Node) -> Node {
        // Its number is made here, once.
        let new = self.new_voter(id);
        thread::scope(|scope| {
            let starting = scope.spawn(|| self.boot(id));
            wait_until("it is added", || match add(asked, new.clone()) {
                Ok(()) => true,
                Err(ErrorCode::DuplicateVoter) => panic!("it was a voter already"),
                Err(_) => false,
            });
            starting.join().unwrap()
        })
    }

    /// Three, of which the second and the third were added.
    fn grow(&self) -> Vec<Node> {
        let mut nodes = vec![self.boot(1)];
        for id in [2, 3] {
            let added = self.boot_and_add(id, &nodes[0]);
            nodes.push(added);
        }
        nodes
    }
}

fn add(asked: &Node, new: NewVoter) -> Result<(), ErrorCode> {
    match asked.submit(Command::AddVoter(new)) {
        Ok(Reply::AddVoter) => Ok(()),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.code),
    }
}

fn refusal(asked: &Node, new: NewVoter) -> (ErrorCode, String) {
    let error = asked.submit(Command::AddVoter(new)).expect_err("it is refused");
    (error.code, error.message)
}

fn voters(node: &Node) -> Vec<i32> {
    match node.submit(Command::DescribeQuorum) {
        Ok(Reply::DescribeQuorum(state)) => state.voters.iter().map(|voter| voter.node.0).collect(),
        _ => Vec::new(),
    }
}

/// Its first node may be lost then, and come back; a broker only follows all the time.
#[test]
fn a_quorum_grows_by_those_that_are_added() {
    let machinery = Machinery::dynamic();
    let mut nodes = vec![machinery.boot(1), machinery.boot(OBSERVER)];
    nodes[1].create("alone");
    assert_eq!(voters(&nodes[1]), [1]);
    for id in [2, 3] {
        // Whichever node is asked.
        let added = machinery.boot_and_add(id, nodes.last().unwrap());
        assert!(added.has_topics(&["alone"]));
        nodes.push(added);
    }
    assert_eq!(voters(&nodes[1]), [1, 2, 3]);
    nodes.remove(0).kill();
    nodes[1].create("without-the-first");
    nodes[0].create("of-the-observer");
    nodes.insert(0, machinery.boot(1));
    let all = ["alone", "without-the-first", "of-the-observer"];
    wait_until("all have all", || nodes.iter().all(|node| node.has_topics(&all)));
    wait_until("all are active", || {
        (1..=OBSERVER).all(|id| is_active(&nodes[0].image(), BrokerId(id)))
    });
    nodes.iter().for_each(Node::kill);
}

/// Each is told why.
#[test]
fn who_cannot_be_added_is_not() {
    let machinery = Machinery::dynamic();
    let first = machinery.boot(1);
    let second = machinery.boot_and_add(2, &first);
    let new = machinery.new_voter(3);
    for (wrong, code, why) in [
        (machinery.new_voter(1), ErrorCode::DuplicateVoter, "is a voter already"),
        (machinery.new_voter(2), ErrorCode::DuplicateVoter, "is a voter already"),
        (
            new.clone(),
            ErrorCode::InvalidRequest,
            "It must run, and wait to be added",
        ),
        (
            NewVoter {
                node: BrokerId(3),
                ..machinery.new_voter(2)
            },
            ErrorCode::InvalidRequest,
            "answers node 2",
        ),
    ] {
        let (refused, message) = refusal(&second, wrong);
        assert!(refused == code && message.contains(why), "{refused:?} {message}");
    }
    let third = thread::scope(|scope| {
        let starting = scope.spawn(|| machinery.boot(3));
        let other = NewVoter {
            directory: DirId([9; 16]),
            ..new.clone()
        };
        wait_until("its directory is another one", || {
            let (_, message) = refusal(&first, other.clone());
            message.contains("its directory id is")
        });
        wait_until("it is added", || add(&first, new.clone()).is_ok());
        starting.join().unwrap()
    });
    assert_eq!(voters(&third), [1, 2, 3]);
    [first, second, third].iter().for_each(Node::kill);
}

/// It comes back with what it has, and waits until it is added again: nobody else is disturbed.
#[test]
fn a_voter_that_was_taken_out_waits_to_be_added_again() {
    let machinery = Machinery::dynamic();
    let mut nodes = machinery.grow();
    nodes.pop().unwrap().kill();
    let removal = Command::RemoveVoter {
        node: BrokerId(3),
        directory: machinery.directory(3),
    };
    wait_until("it is out", || nodes[0].submit(removal.clone()).is_ok());
    assert_eq!(voters(&nodes[0]), [1, 2]);
    let term = || nodes[0].raft().metrics().borrow_watched().current_term;
    let before = term();
    nodes[0].create("meanwhile");
    let cells = crate::metrics::ControlCells::default();
    let third = thread::scope(|scope| {
        let starting = scope.spawn(|| machinery.boot_shown(3, cells.clone()));
        wait_until("it knows that it is out", || {
            cells
                .waiting()
                .is_some_and(|why| why.contains("waits to be added to the quorum"))
        });
        assert_eq!(term(), before, "nobody had to be elected");
        wait_until("it is added", || add(&nodes[1], machinery.new_voter(3)).is_ok());
        starting.join().unwrap()
    });
    assert!(third.has_topics(&["meanwhile"]));
    assert_eq!(voters(&third), [1, 2, 3]);
    wait_until("it waits no more", || cells.waiting().is_none());
    nodes.push(third);
    nodes.iter().for_each(Node::kill);
}

/// A leader that is killed leaves a node that learns, and the next one makes it a voter.
#[test]
fn what_a_leader_began_the_next_one_ends() {
    let machinery = Machinery::dynamic();
    let mut nodes = vec![machinery.boot(1)];
    let added = machinery.boot_and_add(2, &nodes[0]);
    nodes.push(added);
    thread::scope(|scope| {
        let starting = scope.spawn(|| machinery.boot(3));
        wait_until("it has its number", || machinery.path(3).join("quorum-voter").exists());
        let leader = super::cluster::agreed_controller(&nodes);
        let (id, voter) = (
            form::voter_id(&machinery.path(3)).unwrap(),
            Voter::from(&machinery.new_voter(3)),
        );
        block_on(nodes[leader].raft().add_learner(id, voter, false)).unwrap();
        wait_until("it votes", || voters(&nodes[0]) == [1, 2, 3]);
        nodes.push(starting.join().unwrap());
    });
    nodes.iter().for_each(Node::kill);
}

/// No node begins alone: two of them are enough, and the third comes later.
#[test]
fn nodes_that_are_formatted_for_one_quorum_begin_it_together() {
    let machinery = Machinery::dynamic();
    machinery.set_cluster_id("4L6g3nShT-eMCtK--X86sw");
    let voters_of_all: Vec<NewVoter> = (1..=3).map(|id| machinery.address(id)).collect();
    (1..=3).for_each(|id| initial::format(&machinery.path(id), BrokerId(id), &voters_of_all).unwrap());
    let mut nodes: Vec<Node> = thread::scope(|scope| {
        let machinery = &machinery;
        let starting = [1, 3].map(|id| scope.spawn(move || machinery.boot(id)));
        starting.map(|node| node.join().unwrap()).into()
    });
    nodes[0].create("of-two");
    nodes.push(machinery.boot(2));
    wait_until("all have it", || nodes.iter().all(|node| node.has_topics(&["of-two"])));
    assert_eq!(voters(&nodes[0]), [1, 2, 3]);
    nodes.iter().for_each(Node::kill);
}

/// One that waits does not begin by itself, whatever its file says.
#[test]
fn what_a_node_was_formatted_for_counts_before_its_file() {
    let machinery = Machinery::dynamic();
    let known = Some("4L6g3nShT-eMCtK--X86sw".to_owned());
    initial::format(&machinery.path(1), BrokerId(1), &[]).unwrap();
    let formed = form(BrokerId(1), &machinery.quorum(1), &machinery.path(1), known.clone()).unwrap();
    assert!(!formed.begins && Some(formed.cluster_id) == known);
}

/// What a single node has goes on when it begins a quorum.
#[test]
fn a_single_nodes_metadata_begin_a_quorum_that_grows() {
    let machinery = Machinery::dynamic();
    machinery.set_cluster_id("4L6g3nShT-eMCtK--X86sw");
    machinery.run_single(1, "old");
    let first = machinery.boot(1);
    assert!(first.has_topics(&["old"]));
    let second = machinery.boot_and_add(2, &first);
    assert!(second.has_topics(&["old"]));
    [first, second].iter().for_each(Node::kill);
}

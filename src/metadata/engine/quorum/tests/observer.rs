//! Three nodes that vote, and a fourth that does not, in one process over loopback: it follows whoever leads, and comes and
//! goes without the others waiting for it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::super::follow::{Followed, News, Position};
use super::super::link::Link;
use super::super::message::{ANYONE, Kind};
use super::cluster::{Machinery, Node, OBSERVER, agreed_controller, is_active, refusal, wait_until};
use super::*;
use crate::config::{Role, VoterSpec};
use crate::metadata::{Command, QuorumMember, Reply};

/// Three that vote, then the one that does not.
fn boot_four(machinery: &Machinery) -> Vec<Node> {
    let mut nodes = machinery.boot_all();
    nodes.push(machinery.boot(OBSERVER));
    await_all(&nodes);
    nodes
}

fn await_all(nodes: &[Node]) {
    wait_until("all see all", || {
        nodes.iter().all(|node| {
            let image = node.image();
            (1..=OBSERVER).all(|id| is_active(&image, BrokerId(id)))
        })
    });
}

fn quorum(asked: &Node) -> Option<QuorumState> {
    match asked.submit(Command::DescribeQuorum) {
        Ok(Reply::DescribeQuorum(state)) => Some(state),
        _ => None,
    }
}

/// What it asks for is decided, it sees what others ask for, over a change of controllers and its own restart too; the quorum
/// is told of it, and does not count it.
#[test]
fn an_observer_follows_and_never_votes() {
    let machinery = Machinery::new();
    let mut nodes = boot_four(&machinery);
    nodes[3].create("of-the-observer");
    assert!(nodes[3].has_topics(&["of-the-observer"]), "who asked sees it");
    nodes[0].create("of-a-voter");
    wait_until("all have both", || {
        nodes
            .iter()
            .all(|node| node.has_topics(&["of-the-observer", "of-a-voter"]))
    });
    let has_all = |state: &QuorumState, member: &QuorumMember| {
        member.log_end >= Some(state.committed_end) && member.caught_up_ms.is_some()
    };
    wait_until("the quorum is told of it", || {
        let state = quorum(&nodes[3]).expect("a controller");
        let learners: Vec<_> = state.learners.iter().map(|member| member.node.0).collect();
        state.voters.len() == 3 && learners == [OBSERVER] && has_all(&state, &state.learners[0])
    });

    let controller = agreed_controller(&nodes);
    nodes.remove(controller).kill();
    let observer = nodes.len() - 1;
    nodes[observer].create("after-the-controller");
    nodes.insert(controller, machinery.boot(controller as i32 + 1));
    wait_until("all have it", || {
        nodes.iter().all(|node| node.has_topics(&["after-the-controller"]))
    });
    await_all(&nodes);

    nodes.remove(3).kill();
    wait_until("its session is over", || {
        nodes.iter().all(|node| !is_active(&node.image(), BrokerId(OBSERVER)))
    });
    nodes[1].create("meanwhile");
    nodes.push(machinery.boot(OBSERVER));
    assert!(
        nodes[3].has_topics(&["of-a-voter", "meanwhile"]),
        "a start has everything"
    );
    await_all(&nodes);
    nodes.iter().for_each(Node::kill);
}

/// It keeps nothing, so whoever has metadata of his own is not one.
#[test]
fn who_has_metadata_or_a_vote_is_not_an_observer() {
    let machinery = Machinery::new();
    let nodes = boot_four(&machinery);
    assert!(!machinery.path(OBSERVER).exists(), "it keeps nothing");
    let stranger = |node, cluster: Option<String>| {
        let me = Identity {
            cluster,
            is_observer: true,
            ..Identity::new(BrokerId(node), ANYONE, [1; 16])
        };
        refusal(Arc::new(me), machinery.voter(1))
    };
    let refused = stranger(1, machinery.cluster_id());
    assert!(refused.contains("node 1 is a broker only, and in controller.quorum.voters"));
    assert!(stranger(5, Some("another".to_owned())).contains("belongs to cluster"));

    let mut as_observer = machinery.quorum(1);
    as_observer.role = Role::Broker;
    let refused = form(BrokerId(1), &as_observer, &machinery.path(1), machinery.cluster_id()).unwrap_err();
    assert!(
        refused.to_string().contains("takes that of the controllers"),
        "{refused}"
    );
    nodes.iter().for_each(Node::kill);
}

/// One that it is told of names the others, whether it leads or not, and they are asked once that one is gone.
#[test]
fn an_observer_finds_the_voters_by_one_of_them() {
    let mut machinery = Machinery::new();
    machinery.seen_by_observer = Some(Vec::new());
    let told = &machinery.voters[1];
    machinery.told_to_observer = vec![(told.host.clone(), told.port)];
    let mut nodes = boot_four(&machinery);
    nodes.remove(1).kill();
    nodes[2].create("without-it");
    wait_until("it knows a controller", || nodes[2].image().controller.is_some());
    assert!(nodes[2].has_topics(&["without-it"]));
    nodes.iter().for_each(Node::kill);
}

/// As one that is left goes on where the others are lost, or before they have come for the first time.
#[test]
fn an_observer_follows_a_quorum_of_one() {
    let machinery = Machinery::new();
    std::fs::create_dir_all(machinery.path(1)).unwrap();
    let image = Image::empty("alone", Arc::new(BrokerConfig::embedded(&machinery.path(1))));
    let id = Record::ClusterId(record::ClusterId { id: "alone".to_owned() });
    Embedded::write(&machinery.path(1), ImageEpoch(image.epoch.0 + 1), &[id]).unwrap();
    machinery.set_cluster_id("alone");
    let nodes = [machinery.boot(1), machinery.boot(OBSERVER)];
    nodes[1].create("of-two");
    // Longer than a leader counts as one that nobody answers.
    let begun = std::time::Instant::now();
    wait_until("time passes", || begun.elapsed() > 2 * lease(&machinery.quorum(1)));
    nodes[1].create("later");
    assert!(nodes[1].has_topics(&["of-two", "later"]));
    assert!(is_active(&nodes[0].image(), BrokerId(OBSERVER)));
    nodes.iter().for_each(Node::kill);
}

/// What it has was never that quorum's: it must not take its state in place of its own, since what only it knows of would
/// be deleted.
#[test]
fn an_observer_does_not_change_over_to_another_history() {
    let machinery = Machinery::new();
    let nodes = machinery.boot_all();
    let leader = agreed_controller(&nodes);
    let me = Identity {
        cluster: machinery.cluster_id(),
        is_observer: true,
        ..Identity::new(BrokerId(OBSERVER), ANYONE, [1; 16])
    };
    let voter = machinery.voter(leader as i32 + 1);
    let (told, answer) = std::sync::mpsc::channel();
    let asking = rt::run_control("asks", move || async move {
        for (of, epoch) in [(Vec::new(), 0), (vec![77], 3)] {
            let position = Position { of, epoch, end: 0 };
            let mut link = Link::new(Arc::new(me.clone()), voter.clone(), ANYONE);
            let body = link
                .call(Kind::Follow, Duration::from_secs(5), |out| position.put(out))
                .await;
            told.send(Followed::read(body.unwrap()).unwrap().news).unwrap();
        }
    });
    asking.unwrap().join().unwrap();
    assert!(matches!(answer.recv().unwrap(), Some(News::State(_))));
    assert_eq!(answer.recv().unwrap(), Some(News::OtherHistory));
    nodes.iter().for_each(Node::kill);
}

/// More than the leader has at hand happens meanwhile, so that it is given the whole state; its session is over, and it is let
/// in again once it is heard.
#[test]
fn an_observer_that_was_cut_off_catches_up() {
    let mut machinery = Machinery::new();
    let is_cut = Arc::new(AtomicBool::new(false));
    let relayed = |voter: &VoterSpec| VoterSpec {
        port: relay(voter.port, is_cut.clone()),
        ..voter.clone()
    };
    machinery.seen_by_observer = Some(machinery.voters.iter().map(relayed).collect());
    let nodes = boot_four(&machinery);
    is_cut.store(true, Ordering::Release);
    nodes[0].create("meanwhile");
    wait_until("its session is over", || {
        !is_active(&nodes[0].image(), BrokerId(OBSERVER))
    });
    assert!(!nodes[3].has_topics(&["meanwhile"]), "it hears nothing");
    let before = nodes[0].image();
    let (broker, epoch) = (BrokerId(1), before.brokers[&BrokerId(1)].epoch);
    while nodes[0].image().epoch.0 < before.epoch.0 + Keeping::default().at_hand as u64 + 50 {
        assert!(nodes[0].submit(Command::AllocateProducerIds { broker, epoch }).is_ok());
    }
    is_cut.store(false, Ordering::Release);
    wait_until("it has caught up", || nodes[3].has_topics(&["meanwhile"]));
    await_all(&nodes);
    nodes.iter().for_each(Node::kill);
}

/// A port that leads to another one, as long as it is not cut: then nothing gets through, and nobody is told.
fn relay(to: u16, is_cut: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            // The voter may not listen yet.
            let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else {
                continue;
            };
            let ends = [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)];
            for (from, to) in ends {
                let is_cut = is_cut.clone();
                thread::spawn(move || pump(from, to, &is_cut));
            }
        }
    });
    port
}

fn pump(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        while is_cut.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    while is_cut.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(5));
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

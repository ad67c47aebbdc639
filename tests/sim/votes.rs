//! Who leads the quorum is not deposed by a node that has heard nothing for a while; and who is deposed leaves nobody in
//! the dark.

use std::rc::Rc;
use std::time::Duration;

use super::cluster::Cluster;
use super::names;
use super::node::{Node, Shape};
use crate::metadata::{Command, QuorumState, Reply};
use crate::rt::sim::{FaultPlan, Pace, Plane, Rule, World, cut, heal_all, set_pace, switch_off};
use crate::rt::{self, sleep};

/// Many elections long.
const AWAY: Duration = Duration::from_secs(20);
const AFTERWARDS: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The terms before a voter was cut off from the two others, and after it was back.
fn terms_around_a_cut(rule: Option<Rule>) -> [u64; 2] {
    switch_off(rule);
    set_pace(Pace::AS_WRITTEN);
    World::new(1, FaultPlan::none()).run(async move {
        let cluster = Cluster::start(3, true, Shape::plain(), rule).await;
        let before = quorum(&cluster).await;
        let follower = cluster.nodes.iter().rfind(|node| node.id != before.leader);
        cut_off(&cluster, follower.expect("three nodes"));
        sleep(AWAY).await;
        heal_all();
        sleep(AFTERWARDS).await;
        [before.term, quorum(&cluster).await.term]
    })
}

/// From all the others.
fn cut_off(cluster: &Cluster, away: &Node) {
    let away = away.host.id();
    for other in cluster.hosts_but(away) {
        cut(Plane::Control, away, other);
        cut(Plane::Control, other, away);
    }
}

async fn quorum(cluster: &Rc<Cluster>) -> QuorumState {
    loop {
        if let Some(router) = cluster.nodes[0].router()
            && let Ok(Reply::DescribeQuorum(quorum)) = router.metadata().submit(Command::DescribeQuorum).await
        {
            return quorum;
        }
        sleep(LOOK_EVERY).await;
    }
}

#[test] // Goal: a voter that comes back joins the leadership that there is: without pre-votes it would begin another.
fn who_comes_back_deposes_nobody() {
    let [before, after] = terms_around_a_cut(None);
    assert_eq!(before, after);
    let [before, after] = terms_around_a_cut(Some(Rule::PreVote));
    assert!(before < after, "the test does not see a new leadership");
}

/// Long enough for the others to elect one of them, and short of what a controller waits for its majority.
const DEPOSED_FOR: Duration = Duration::from_secs(4);

#[test] // Goal: a change that a controller had in its log alone is made by the next one, and whoever asked is told so.
fn what_a_deposed_controller_lost_is_made_by_the_next() {
    switch_off(None);
    set_pace(Pace::AS_WRITTEN);
    World::new(1, FaultPlan::none()).run(async move {
        let cluster = Cluster::start(3, true, Shape::plain(), None).await;
        let before = quorum(&cluster).await;
        let deposed = cluster.node(before.leader);
        cut_off(&cluster, deposed);
        let router = deposed.router().expect("it runs");
        let answer = router.metadata().submit(names::create("asked"));
        rt::spawn(async {
            sleep(DEPOSED_FOR).await;
            heal_all();
        });
        assert!(matches!(answer.await, Ok(Reply::CreateTopics(topics)) if topics[0].is_ok()));
        assert_ne!(quorum(&cluster).await.leader, before.leader, "the test deposes nobody");
    })
}

//! Who leads the quorum is not deposed by a node that has heard nothing for a while.

use std::rc::Rc;
use std::time::Duration;

use super::cluster::Cluster;
use super::node::Shape;
use crate::metadata::{Command, QuorumState, Reply};
use crate::rt::sim::{FaultPlan, Pace, Plane, Rule, World, cut, heal_all, set_pace, switch_off};
use crate::rt::sleep;

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
        let (away, others): (Vec<_>, Vec<_>) = cluster.nodes.iter().partition(|node| {
            let is_last = cluster.nodes.iter().rfind(|other| other.id != before.leader);
            is_last.is_some_and(|last| last.id == node.id)
        });
        for (one, other) in away.iter().flat_map(|one| others.iter().map(move |other| (one, other))) {
            cut(Plane::Control, one.host.id(), other.host.id());
            cut(Plane::Control, other.host.id(), one.host.id());
        }
        sleep(AWAY).await;
        heal_all();
        sleep(AFTERWARDS).await;
        [before.term, quorum(&cluster).await.term]
    })
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

//! What goes wrong in a certain order: histories that do harm only if a rule is broken, and that chance alone seldom finds.
//!
//! Each plot says whom it needs, breaks one thing after the other, and mends the links. It gives up where the cluster does
//! not follow. Nothing else goes wrong meanwhile, but for what had begun before.

use std::rc::Rc;
use std::time::Duration;

use super::cluster::{Cluster, TopicSpec};
use super::faults::submit;
use super::node::{CONTROLLER_PORT, Node};
use crate::metadata::{AlterPartition, Command, Election, Image, NewReplicas, NewVoter, PartitionState, Reply};
use crate::model::{BrokerId, DirId, ErrorCode, PartitionId};
use crate::rt::sim::{Crash, Plane, cut, heal_all, mend, ms, paced, slow_link};
use crate::rt::{self, random_u64, sleep};

const AMBUSH_ONE_IN: u64 = 4;
/// A follower that is cut off has left the ISR, or a silent broker is fenced.
const LEAVES_WITHIN: Duration = Duration::from_secs(6);
/// Of a controller that nothing keeps from it.
const DECIDES_WITHIN: Duration = Duration::from_secs(1);
/// Who begins with an empty disk is in sync.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(12);
/// Who stops in order has ended.
const STOPS_WITHIN: Duration = Duration::from_secs(10);
/// What is slow takes so many times as long.
const SLOWNESS_MIN: u64 = 20;
const SLOWNESS_MAX: u64 = 100;
const ANSWER_PATIENCE: Duration = Duration::from_secs(6);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A partition of a topic that is to lose nothing, all of whose replicas are in sync.
struct Scene {
    spec: TopicSpec,
    id: PartitionId,
    leader: BrokerId,
    /// In any order.
    followers: Vec<BrokerId>,
}

/// One of them, if it finds its scene.
pub async fn any(cluster: &Rc<Cluster>) {
    over(cluster).await;
    if cluster.is_over.get() {
        return;
    }
    let Some(scene) = scene(cluster) else {
        return;
    };
    cluster.is_plotted.set(true);
    heal_all();
    match random_u64() % 15 {
        0 | 1 => lone_leader(cluster, &scene).await,
        2 | 3 => late_fetch(cluster, &scene).await,
        4 | 5 => forgetful_followers(cluster, &scene).await,
        6 | 7 => lost_disk(cluster, &scene).await,
        8 => slow_disk(cluster, &scene).await,
        9 => slow_network(cluster, &scene).await,
        10 => rolling_restart(cluster, &scene).await,
        11 | 12 if cluster.node(scene.leader).votes() => returning_voter(cluster, &scene).await,
        _ => unheard_leader(cluster, &scene).await,
    }
    end(cluster);
}

fn end(cluster: &Cluster) {
    cluster.note("the plot is over");
    heal_all();
    cluster.is_plotted.set(false);
}

/// Waits until there is none.
pub async fn over(cluster: &Cluster) {
    while cluster.is_plotted.get() {
        sleep(paced(LOOK_EVERY)).await;
    }
}

fn scene(cluster: &Cluster) -> Option<Scene> {
    let mut scenes = Vec::new();
    for (spec, id) in cluster.partitions() {
        let oracle = cluster.oracle();
        let state = oracle.image().partition(&id)?.1;
        let is_up = |id: &BrokerId| cluster.node(*id).is_up() && cluster.node(*id).router().is_some();
        let is_whole = state.isr.len() == 3 && state.replicas.len() == 3 && state.replicas.iter().all(is_up);
        let Some(leader) = state.leader.filter(|_| is_whole && !spec.is_unclean) else {
            continue;
        };
        let mut followers: Vec<BrokerId> = state.isr.iter().copied().filter(|one| *one != leader).collect();
        let turn = (random_u64() % 2) as usize;
        followers.rotate_left(turn);
        scenes.push(Scene {
            spec,
            id,
            leader,
            followers,
        });
    }
    let at = random_u64() % (scenes.len() as u64).max(1);
    scenes.into_iter().nth(at as usize)
}

/// The ISR shrinks to the leader, which goes on taking batches and ends: a replica leads that has fallen out before.
async fn lone_leader(cluster: &Rc<Cluster>, scene: &Scene) {
    announce(cluster, scene, "its leader is left alone, and ends");
    for follower in &scene.followers {
        cut_both(cluster, Plane::Data, scene.leader, *follower);
    }
    if cluster
        .comes(scene.id, paced(LEAVES_WITHIN), |_, state| state.isr == [scene.leader])
        .await
    {
        pause(300, 1_000).await;
        let ends = [Crash::Kill, Crash::PowerCut][(random_u64() % 2) as usize];
        cluster.away(scene.leader, ends, ms(6_000));
        heal_all();
        cluster
            .comes(scene.id, paced(LEAVES_WITHIN), |_, state| {
                state.leader != Some(scene.leader)
            })
            .await;
    }
}

/// A fetch is late until its follower has cut its log, under another leader, and the one that it was sent to leads again.
async fn late_fetch(cluster: &Rc<Cluster>, scene: &Scene) {
    announce(cluster, scene, "a fetch is late for two elections");
    let (id, leader, [between, follower]) = (scene.id, scene.leader, [scene.followers[0], scene.followers[1]]);
    let [leads, follows] = [leader, follower].map(|broker| cluster.node(broker).host.id());
    let order = NewReplicas {
        topic: scene.spec.name.to_owned(),
        index: id.index,
        replicas: Some(vec![between, leader, follower]),
    };
    let reorder = Command::AlterReassignments {
        partitions: vec![order],
        allow_factor_change: false,
    };
    submit(cluster.node(leader), reorder);
    if !cluster
        .comes(id, paced(DECIDES_WITHIN), |_, state| {
            state.replicas.first() == Some(&between)
        })
        .await
    {
        return;
    }
    // The follower gets what the next leader has not.
    cut_both(cluster, Plane::Data, leader, between);
    pause(200, 500).await;
    cut(Plane::Data, follows, leads);
    let election = Command::ElectLeaders {
        election: Election::Preferred,
        partitions: Some(vec![(scene.spec.name.to_owned(), id.index)]),
    };
    submit(cluster.node(leader), election);
    if !cluster
        .comes(id, paced(DECIDES_WITHIN), |_, state| state.leader == Some(between))
        .await
    {
        return;
    }
    pause(400, 800).await;
    cluster.away(between, Crash::Kill, ms(9_000));
    if !cluster
        .comes(id, paced(LEAVES_WITHIN), |_, state| state.leader == Some(leader))
        .await
    {
        return;
    }
    // The fetch arrives. Nothing comes back, so the follower does not learn what it lacks.
    cut(Plane::Data, leads, follows);
    mend(Plane::Data, follows, leads);
    pause(600, 1_000).await;
    cluster.away(leader, Crash::Kill, ms(6_000));
    heal_all();
    cluster
        .comes(id, paced(LEAVES_WITHIN), |_, state| state.leader == Some(follower))
        .await;
}

/// The followers lose what they had not synced, come back while their leader is away, and were in sync once.
async fn forgetful_followers(cluster: &Rc<Cluster>, scene: &Scene) {
    announce(
        cluster,
        scene,
        "its followers come back without what they had, before its leader",
    );
    for follower in &scene.followers {
        cluster.note(format!("broker {}: PowerCut", follower.0));
        cluster.node(*follower).crash(Crash::PowerCut);
    }
    let is_alone = cluster
        .comes(scene.id, paced(LEAVES_WITHIN), |_, state| state.isr == [scene.leader])
        .await;
    if is_alone {
        cluster.away(scene.leader, Crash::Kill, ms(8_000));
    }
    for follower in &scene.followers {
        cluster.begin(*follower);
    }
    if is_alone {
        cluster
            .comes(scene.id, paced(LEAVES_WITHIN), |_, state| {
                state.leader != Some(scene.leader)
            })
            .await;
    }
}

/// The controller hears nothing of the leader any more, nor the leader of it; clients and followers reach it.
async fn unheard_leader(cluster: &Rc<Cluster>, scene: &Scene) {
    announce(cluster, scene, "its leader and the controllers do not hear each other");
    for other in others(cluster, scene.leader) {
        cut_both(cluster, Plane::Control, scene.leader, other);
    }
    if cluster
        .comes(scene.id, paced(LEAVES_WITHIN), |_, state| {
            state.leader != Some(scene.leader)
        })
        .await
    {
        pause(1_000, 2_500).await;
    }
}

/// One is lost with its disk. An empty one takes its place; if it votes, once it was taken out of the quorum, as the
/// operator's guide says. Nobody else loses anything until it is in sync.
async fn lost_disk(cluster: &Rc<Cluster>, scene: &Scene) {
    cluster.nodes.iter().for_each(|node| node.host.clear_disk());
    let lost = [scene.leader, scene.followers[0]][(random_u64() % 2) as usize];
    let may_be_lost = |spec: &TopicSpec| spec.is_unclean || spec.min_isr > 1;
    let is_calm = cluster.is_whole() && !cluster.nodes.iter().any(Node::has_lost_disk);
    if !is_calm || !cluster.topics.borrow().iter().all(may_be_lost) {
        return;
    }
    let directory = match cluster.node(lost).votes() {
        true => directory_of(cluster, lost).await,
        false => None,
    };
    let is_short = cluster.node(lost).votes() && directory.is_none();
    if is_short || !cluster.is_whole() {
        return;
    }
    announce(cluster, scene, &format!("broker {} loses its disk", lost.0));
    cluster.node(lost).crash(Crash::PowerCut);
    cluster.node(lost).lose_disk();
    cluster.saw("a disk was lost");
    if directory.is_some() {
        cluster.is_voter_away.set(true);
    }
    rt::spawn(take_its_place(cluster.clone(), lost, directory));
    // Where it was the last that was left, nobody may lead any more who begins another life (KIP-966).
    if !cluster
        .comes_to(paced(LEAVES_WITHIN), |cluster| is_led_without(cluster, lost))
        .await
    {
        return;
    }
    if random_u64().is_multiple_of(2) {
        let another = others(cluster, lost)
            .nth((random_u64() % 2) as usize)
            .expect("there are three");
        cluster.away(another, Crash::Kill, ms(random_u64() % 2_000));
    }
    let is_back = |_: &Image, state: &PartitionState| state.isr.len() == 3;
    if cluster.comes(scene.id, paced(COMES_BACK_WITHIN), is_back).await {
        cluster.saw("who lost its disk was in sync again");
    }
}

/// All partitions have leaders, and the broker is in no ISR.
fn is_led_without(cluster: &Cluster, lost: BrokerId) -> bool {
    let partitions = cluster.partitions();
    let oracle = cluster.oracle();
    partitions.iter().all(|(_, id)| {
        let (_, state) = oracle.image().partition(id).expect("it is there");
        state.leader.is_some() && !state.isr.contains(&lost)
    })
}

/// The disk of one of its replicas is slow for a while, in which another may end.
async fn slow_disk(cluster: &Rc<Cluster>, scene: &Scene) {
    let (slow, slowness) = (any_of(scene), slowness());
    announce(
        cluster,
        scene,
        &format!("the disk of broker {} takes {slowness} times as long", slow.0),
    );
    cluster.saw("a disk was slow");
    cluster.node(slow).host.slow_disk(slowness);
    go_on_with(cluster, scene, slow).await;
    cluster.node(slow).host.slow_disk(1);
}

/// As messages do from one of its replicas and to it.
async fn slow_network(cluster: &Rc<Cluster>, scene: &Scene) {
    let (slow, slowness) = (any_of(scene), slowness());
    announce(
        cluster,
        scene,
        &format!("the network of broker {} takes {slowness} times as long", slow.0),
    );
    cluster.saw("a network was slow");
    slow_link(cluster.node(slow).host.id(), slowness);
    go_on_with(cluster, scene, slow).await;
}

fn slowness() -> u64 {
    SLOWNESS_MIN + random_u64() % (SLOWNESS_MAX - SLOWNESS_MIN + 1)
}

fn any_of(scene: &Scene) -> BrokerId {
    let at = (random_u64() % 3) as usize;
    [scene.leader, scene.followers[0], scene.followers[1]][at]
}

/// For a while. As often as not, another one ends in it.
async fn go_on_with(cluster: &Rc<Cluster>, scene: &Scene, slow: BrokerId) {
    pause(500, 2_500).await;
    let mut replicas = scene.followers.iter().chain([&scene.leader]);
    let another = replicas.find(|one| **one != slow && cluster.node(**one).is_up());
    if let Some(another) = another.filter(|_| random_u64().is_multiple_of(2)) {
        cluster.away(*another, Crash::Kill, ms(random_u64() % 3_000));
    }
    pause(500, 2_500).await;
}

/// All brokers are stopped in order and started again, each once the cluster has the one before it back.
async fn rolling_restart(cluster: &Rc<Cluster>, scene: &Scene) {
    announce(
        cluster,
        scene,
        "the brokers are started again in order, one after the other",
    );
    let is_whole = |cluster: &Cluster| !cluster.nodes.iter().any(|node| !node.is_up()) && cluster.is_whole();
    for node in &cluster.nodes {
        if !cluster.comes_to(paced(COMES_BACK_WITHIN), is_whole).await || cluster.is_over.get() {
            return;
        }
        cluster.note(format!("broker {}: stops in order", node.id.0));
        node.stop();
        let has_ended = |_: &Cluster| !node.is_on_its_way();
        if cluster.comes_to(paced(STOPS_WITHIN), has_ended).await {
            cluster.saw("a broker stopped in order in its turn");
        }
        cluster.begin(node.id);
    }
    if cluster.comes_to(paced(COMES_BACK_WITHIN), is_whole).await {
        cluster.saw("all brokers were restarted in order");
    }
}

/// Its metadata's, while all vote who are to, and none of them is to leave.
async fn directory_of(cluster: &Cluster, voter: BrokerId) -> Option<DirId> {
    if cluster.is_voter_away.get() {
        return None;
    }
    let router = cluster.any_node().router()?;
    let answer = rt::timeout(
        paced(ANSWER_PATIENCE),
        router.metadata().submit(Command::DescribeQuorum),
    )
    .await;
    let Some(Ok(Reply::DescribeQuorum(state))) = answer else {
        return None;
    };
    let voters = cluster.nodes.iter().filter(|node| node.votes()).count();
    if state.voters.len() < voters {
        return None;
    }
    let member = state.voters.iter().find(|member| member.node == voter)?;
    member.directory
}

/// Starts it anew, before the one that it was is removed or after.
async fn take_its_place(cluster: Rc<Cluster>, lost: BrokerId, directory: Option<DirId>) {
    pause(300, 2_000).await;
    if random_u64().is_multiple_of(2) {
        cluster.begin(lost);
    }
    if let Some(directory) = directory {
        while !is_removed(&cluster, lost, directory).await {
            pause(200, 400).await;
        }
        cluster.note(format!("broker {}: was removed from the quorum", lost.0));
        cluster.saw("a voter was removed");
        cluster.is_voter_away.set(false);
    }
    cluster.begin(lost);
}

/// A voter is taken out of the quorum while it is down, comes back with all that it had, and is taken in again.
async fn returning_voter(cluster: &Rc<Cluster>, scene: &Scene) {
    let voter = any_of(scene);
    if !cluster.node(voter).votes() || !cluster.is_whole() {
        return;
    }
    let Some(directory) = directory_of(cluster, voter).await.filter(|_| cluster.is_whole()) else {
        return;
    };
    announce(
        cluster,
        scene,
        &format!("broker {} is taken out of the quorum, and added again", voter.0),
    );
    cluster.node(voter).crash(Crash::Kill);
    cluster.is_voter_away.set(true);
    rt::spawn(come_back(cluster.clone(), voter, directory));
    let is_back = |cluster: &Cluster| !cluster.is_voter_away.get();
    if cluster.comes_to(paced(COMES_BACK_WITHIN), is_back).await {
        cluster.saw("a voter that was removed was added again");
    }
}

async fn come_back(cluster: Rc<Cluster>, voter: BrokerId, directory: DirId) {
    while !is_removed(&cluster, voter, directory).await {
        pause(200, 400).await;
    }
    cluster.note(format!("broker {}: was removed from the quorum", voter.0));
    cluster.begin(voter);
    while !is_added(&cluster, voter, directory).await {
        pause(200, 400).await;
    }
    cluster.note(format!("broker {}: was added to the quorum", voter.0));
    cluster.is_voter_away.set(false);
}

async fn is_added(cluster: &Cluster, node: BrokerId, directory: DirId) -> bool {
    let Some(router) = cluster.any_node().router() else {
        return false;
    };
    let command = Command::AddVoter(NewVoter {
        node,
        directory,
        host: cluster.node(node).host.address().to_string(),
        port: CONTROLLER_PORT,
    });
    match rt::timeout(paced(ANSWER_PATIENCE), router.metadata().submit(command)).await {
        Some(Ok(_)) => true,
        Some(Err(error)) => {
            cluster.note(format!("broker {}: is not added: {}", node.0, error.message));
            error.code == ErrorCode::DuplicateVoter
        }
        None => false,
    }
}

async fn is_removed(cluster: &Cluster, node: BrokerId, directory: DirId) -> bool {
    let Some(router) = cluster.any_node().router() else {
        return false;
    };
    let command = Command::RemoveVoter { node, directory };
    match rt::timeout(paced(ANSWER_PATIENCE), router.metadata().submit(command)).await {
        Some(Ok(_)) => true,
        Some(Err(error)) => error.code == ErrorCode::VoterNotFound,
        None => false,
    }
}

/// Told of each commit, and of each change of an ISR that is held up on its way.
pub async fn ambush(cluster: Rc<Cluster>) {
    let mut commits = cluster.consensus.subscribe();
    let mut rung = Vec::new();
    while commits.recv_burst(&mut rung, 1).await && !cluster.is_over.get() {
        rung.clear();
        let grown = cluster.oracle().grown.take();
        let held_up = cluster.consensus.take_held_up();
        if cluster.is_plotted.get() {
            continue;
        }
        if let Some((scene, joins)) = held_up.and_then(|change| growing(&cluster, &change)) {
            cluster.is_plotted.set(true);
            late_join(&cluster, &scene, joins).await;
            end(&cluster);
        } else if let Some((id, joined)) = grown.filter(|_| random_u64().is_multiple_of(AMBUSH_ONE_IN)) {
            unheard_join(&cluster, id, joined).await;
        }
    }
}

/// Where an ISR has just grown, its leader may not learn it before it dies, nor may the one that has joined learn more.
async fn unheard_join(cluster: &Rc<Cluster>, id: PartitionId, joined: BrokerId) {
    let leader = cluster
        .oracle()
        .image()
        .partition(&id)
        .and_then(|(_, state)| state.leader);
    let Some(leader) = leader.map(|leader| cluster.node(leader)) else {
        return;
    };
    cluster.note(format!(
        "broker {}: does not learn that {} has joined",
        leader.id.0, joined.0
    ));
    for other in others(cluster, leader.id) {
        cut(Plane::Control, cluster.node(other).host.id(), leader.host.id());
    }
    cut(Plane::Data, leader.host.id(), cluster.node(joined).host.id());
    pause(200, 2_200).await;
    if !cluster.is_over.get() && random_u64().is_multiple_of(2) {
        cluster.away(leader.id, Crash::Kill, ms(3_000 + random_u64() % 2_000));
    }
}

/// Which partition's ISR is to grow, and by which life of whom.
fn growing(cluster: &Cluster, change: &AlterPartition) -> Option<(Scene, (BrokerId, i64))> {
    let oracle = cluster.oracle();
    change.partitions.iter().find_map(|asked| {
        let (topic, state) = oracle.image().partition(&asked.partition)?;
        let joins = asked.isr.iter().find(|(member, _)| !state.isr.contains(member))?;
        let topics = cluster.topics.borrow();
        let spec = topics
            .iter()
            .find(|spec| spec.name == &*topic.name && !spec.is_unclean)?;
        let scene = Scene {
            spec: spec.clone(),
            id: asked.partition,
            leader: change.broker,
            followers: state
                .isr
                .iter()
                .copied()
                .filter(|member| *member != change.broker)
                .collect(),
        };
        Some((scene, *joins))
    })
}

/// Who is to join loses power, and is back before the controller hears of it.
async fn late_join(cluster: &Rc<Cluster>, scene: &Scene, (joins, life): (BrokerId, i64)) {
    announce(
        cluster,
        scene,
        &format!("broker {} is to join, and loses what it had before it does", joins.0),
    );
    if !cluster.node(joins).is_up() {
        return;
    }
    cut_both(cluster, Plane::Data, scene.leader, joins);
    cluster.away(joins, Crash::PowerCut, ms(100 + random_u64() % 1_000));
    let has_joined = |image: &Image, state: &PartitionState| {
        let is_another = image.brokers.get(&joins).is_some_and(|broker| broker.epoch != life);
        is_another && state.isr.contains(&joins)
    };
    if cluster.comes(scene.id, paced(LEAVES_WITHIN), has_joined).await {
        for member in scene.followers.iter().chain([&scene.leader]) {
            cluster.away(*member, Crash::Kill, ms(6_000));
        }
        cluster
            .comes(scene.id, paced(LEAVES_WITHIN), |_, state| state.leader == Some(joins))
            .await;
    }
}

fn announce(cluster: &Cluster, scene: &Scene, what: &str) {
    let Scene { spec, id, leader, .. } = scene;
    cluster.note(format!(
        "plot: {}-{} (leader {}): {what}",
        spec.name, id.index, leader.0
    ));
}

fn others(cluster: &Cluster, than: BrokerId) -> impl Iterator<Item = BrokerId> {
    let ids = cluster.nodes.iter().map(|node| node.id);
    ids.filter(move |id| *id != than)
}

fn cut_both(cluster: &Cluster, plane: Plane, one: BrokerId, other: BrokerId) {
    let [one, other] = [one, other].map(|broker| cluster.node(broker).host.id());
    cut(plane, one, other);
    cut(plane, other, one);
}

async fn pause(from_ms: u64, to_ms: u64) {
    sleep(ms(from_ms + random_u64() % (to_ms - from_ms))).await;
}

//! A node that runs, and has nothing, is taken into the quorum by an operator's word: it learns what there is, and once it has
//! it, it votes, each in one change of its own. Whoever asked may stop waiting: it goes on, and where the leader is lost
//! between the two the next one goes on. A node that does not catch up in time is taken out again. //= KIP-853

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{ChangeMembers, RaftMetrics, ServerState};

use super::Raft;
use super::join::membership;
use super::link::Link;
use super::message::Identity;
use super::progress::log_end;
use super::removal::{is_heard_in, not_changed, refuse};
use super::types::{StoredMembership, Types, Voter, directory_id, directory_of};
use crate::metadata::command::{CommandError, NewVoter};
use crate::model::{BrokerId, ErrorCode};
use crate::rt::{self, OneshotTx};

/// For whoever asked; less than a broker waits for the controller.
const PATIENCE: Duration = Duration::from_secs(8);
/// For a majority to take down that the node learns.
const LEARN_PATIENCE: Duration = Duration::from_secs(5);
/// For it to have what the leader had when it came.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(60);

type Outcome = Result<(), CommandError>;

/// One at a time. Cheap to clone; of one control thread.
#[derive(Clone, Default)]
pub struct Additions(Rc<RefCell<Option<UnderWay>>>);

struct UnderWay {
    new: NewVoter,
    /// Who waits for it.
    told: Vec<OneshotTx<Outcome>>,
}

enum Entered {
    First,
    /// The same node is being added already: its outcome is theirs.
    Same,
    /// Another one is.
    Busy,
}

impl Additions {
    fn enter(&self, new: &NewVoter, told: Option<OneshotTx<Outcome>>) -> Entered {
        let mut under_way = self.0.borrow_mut();
        match under_way.as_mut() {
            None => {
                *under_way = Some(UnderWay {
                    new: new.clone(),
                    told: told.into_iter().collect(),
                });
                Entered::First
            }
            // Be it that one of the two names another address.
            Some(first) if (first.new.node, first.new.directory) == (new.node, new.directory) => {
                first.told.extend(told);
                Entered::Same
            }
            Some(_) => Entered::Busy,
        }
    }

    pub fn is_adding(&self, node: BrokerId) -> bool {
        self.0
            .borrow()
            .as_ref()
            .is_some_and(|under_way| under_way.new.node == node)
    }

    fn leave(&self, outcome: &Outcome) {
        let told = self.0.take().map(|first| first.told);
        told.into_iter().flatten().for_each(|told| told.send(outcome.clone()));
    }

    /// What an earlier leader began. Those that are `configured` join by themselves.
    pub fn resume(&self, raft: &Raft, me: &Arc<Identity>, configured: &[Voter]) {
        let membership = membership(raft);
        let is_left = |(id, voter): &(&u64, &Voter)| {
            !votes(&membership, **id) && configured.iter().all(|known| known.node != voter.node)
        };
        let Some((id, voter)) = membership.nodes().find(is_left) else {
            return;
        };
        let new = NewVoter {
            node: voter.node,
            directory: directory_of(*id, voter),
            host: voter.host.clone(),
            port: voter.port,
        };
        if let Entered::First = self.enter(&new, None) {
            tracing::info!(node = %voter, "going on with adding a node that an earlier leader began with");
            rt::spawn(self.clone().run(raft.clone(), me.clone(), new));
        }
    }

    async fn run(self, raft: Raft, me: Arc<Identity>, new: NewVoter) {
        let outcome = take_in(&raft, &me, &new).await;
        match &outcome {
            Ok(()) => {
                tracing::info!(node = %Voter::from(&new), directory = %new.directory, "a node was added to the quorum")
            }
            Err(error) => {
                tracing::warn!(node = %Voter::from(&new), error = error.message, "a node was not added to the quorum")
            }
        }
        self.leave(&outcome);
    }
}

/// On the leader.
pub async fn add(raft: Raft, me: Arc<Identity>, additions: Additions, new: NewVoter) -> Outcome {
    let (told, outcome) = rt::oneshot();
    match additions.enter(&new, Some(told)) {
        Entered::Busy => return refuse(ErrorCode::RequestTimedOut, "Another node is being added".into()),
        Entered::Same => {}
        Entered::First => rt::spawn(additions.run(raft, me, new.clone())),
    }
    match rt::timeout(PATIENCE, outcome).await.flatten() {
        Some(outcome) => outcome,
        None => refuse(
            ErrorCode::RequestTimedOut,
            format!(
                "Node {} is still catching up: it votes once it has, and is taken out again if that takes more than {} s; \
                 describe --replication shows how far it is",
                Voter::from(&new),
                CATCH_UP_PATIENCE.as_secs()
            ),
        ),
    }
}

async fn take_in(raft: &Raft, me: &Arc<Identity>, new: &NewVoter) -> Outcome {
    let membership = membership(raft);
    let known = membership.nodes().find(|(_, voter)| voter.node == new.node);
    let known = known.map(|(id, voter)| (*id, directory_of(*id, voter)));
    // Whatever else changes: whoever asks again because of a change under way must not take that for his own.
    if let Some((id, directory)) = known
        && votes_throughout(&membership, id)
    {
        let message = format!("Node {} is a voter already, with directory id {directory}", new.node.0);
        return refuse(ErrorCode::DuplicateVoter, message);
    }
    if membership.membership().get_joint_config().len() > 1 {
        let message = "Another change of the voters is under way";
        return refuse(ErrorCode::RequestTimedOut, message.into());
    }
    let id = match known {
        Some((id, directory)) if directory == new.directory => id,
        Some((_, directory)) => {
            let message = format!("Node {} is being added with directory id {directory}", new.node.0);
            return refuse(ErrorCode::InvalidRequest, message);
        }
        None => learn(raft, me, &membership, new).await?,
    };
    catch_up(raft, id, new).await?;
    let votes = ChangeMembers::AddVoterIds(BTreeSet::from([id]));
    let changed = raft.change_membership(votes, false).await;
    changed.map(|_| ()).map_err(|error| not_changed(&error))
}

/// Its number, once a majority knows that it is there.
async fn learn(
    raft: &Raft,
    me: &Arc<Identity>,
    membership: &StoredMembership,
    new: &NewVoter,
) -> Result<u64, CommandError> {
    let voter = Voter::from(new);
    let theirs = match Link::ask_identity(me.clone(), voter.clone()).await {
        Ok(theirs) => theirs,
        Err(error) => {
            let message = format!("Node {voter} cannot be added: {error}. It must run, and wait to be added");
            return refuse(ErrorCode::InvalidRequest, message);
        }
    };
    if let Err(why) = check(membership, new, &theirs) {
        return refuse(
            ErrorCode::InvalidRequest,
            format!("Node {voter} cannot be added: {why}"),
        );
    }
    warn_of_loopback(membership.membership().get_node(&me.voter), &voter);
    match rt::timeout(LEARN_PATIENCE, raft.add_learner(theirs.voter, voter, false)).await {
        Some(Ok(_)) => Ok(theirs.voter),
        Some(Err(error)) => Err(not_changed(&error)),
        None => refuse(ErrorCode::RequestTimedOut, "No majority has answered yet".into()),
    }
}

/// `itself`: this node, as the new one gets to know it.
fn warn_of_loopback(itself: Option<&Voter>, new: &Voter) {
    if let Some(itself) = itself.filter(|itself| is_loopback(&itself.host) && !is_loopback(&new.host)) {
        tracing::warn!(
            node = %new,
            itself = %itself,
            "the quorum knows this node by an address of its own machine only, at which the node that is added does not reach it: \
             give its controller listener, or advertised.listeners, a host that the others reach"
        );
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host == "::1" || host.starts_with("127.")
}

/// Err: what speaks against the node.
fn check(membership: &StoredMembership, new: &NewVoter, theirs: &Identity) -> Result<(), String> {
    let directory = theirs.directory.unwrap_or_else(|| directory_id(theirs.voter));
    if theirs.cluster.is_none() {
        return Err("it does not know its cluster yet".to_owned());
    }
    if directory != new.directory {
        return Err(format!("its directory id is {directory}, not {}", new.directory));
    }
    // One that was in this quorum before goes on from what it has.
    let is_ours = membership.nodes().any(|(id, _)| theirs.members.contains(id));
    if theirs.has_metadata && !is_ours {
        return Err("it has metadata of its own and would lose them: give it empty log directories".to_owned());
    }
    Ok(())
}

async fn catch_up(raft: &Raft, id: u64, new: &NewVoter) -> Outcome {
    match caught_up(raft, id, CATCH_UP_PATIENCE).await {
        Some(metrics) if leads(&metrics) => Ok(()),
        Some(_) => refuse(ErrorCode::NotController, "Another node leads the quorum by now".into()),
        None => {
            let gone = ChangeMembers::RemoveNodes(BTreeSet::from([id]));
            let removed = raft.change_membership(gone, false).await;
            removed.map_err(|error| not_changed(&error))?;
            let (node, seconds) = (Voter::from(new), CATCH_UP_PATIENCE.as_secs());
            let message =
                format!("Node {node} did not catch up within {seconds} s, and is out again: see its log, then add it");
            refuse(ErrorCode::RequestTimedOut, message)
        }
    }
}

/// Once the node has what there is now and was heard of late, or this one leads no more; `None`: not in time.
pub async fn caught_up(raft: &Raft, id: u64, within: Duration) -> Option<RaftMetrics<Types>> {
    let behind = raft
        .metrics()
        .borrow_watched()
        .last_log_index
        .map_or(0, |last| last + 1);
    let has_all = |metrics: &RaftMetrics<Types>| {
        !leads(metrics) || (log_end(metrics, id) >= Some(behind) && is_heard_in(metrics, id))
    };
    let wait = raft.wait(Some(within));
    wait.metrics(has_all, "a node that is added has caught up").await.ok()
}

pub fn leads(metrics: &RaftMetrics<Types>) -> bool {
    metrics.state == ServerState::Leader
}

pub fn votes(membership: &StoredMembership, id: u64) -> bool {
    membership.voter_ids().any(|voter| voter == id)
}

/// Before and after a change that is under way.
fn votes_throughout(membership: &StoredMembership, id: u64) -> bool {
    let mut majorities = membership.membership().get_joint_config().iter();
    majorities.all(|voters| voters.contains(&id))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::metadata::engine::quorum::types::Membership;
    use crate::model::DirId;

    fn new_voter(node: i32) -> NewVoter {
        NewVoter {
            node: BrokerId(node),
            directory: DirId([node as u8; 16]),
            host: "h".to_owned(),
            port: 9093,
        }
    }

    fn theirs(members: &[u64], has_metadata: bool) -> Identity {
        Identity {
            cluster: Some("c".to_owned()),
            directory: Some(DirId([4; 16])),
            has_metadata,
            members: members.to_vec(),
            ..Identity::new(BrokerId(4), 40, [1; 16])
        }
    }

    /// One that was in this quorum may come again with what it has; one of another must have nothing.
    #[test]
    fn who_has_other_metadata_is_not_added() {
        let nodes = BTreeMap::from([(10, Voter::at("h", 1)), (20, Voter::at("h", 2))]);
        let membership = StoredMembership::new(None, Membership::new(vec![[10, 20].into()], nodes).unwrap());
        let refusal = |theirs: &Identity| check(&membership, &new_voter(4), theirs).err().unwrap_or_default();
        assert_eq!(refusal(&theirs(&[], false)), "");
        assert_eq!(refusal(&theirs(&[40, 20], true)), "");
        assert!(refusal(&theirs(&[40, 50], true)).contains("metadata of its own"));
        let mut other = theirs(&[], false);
        other.directory = None;
        assert!(
            refusal(&other).contains("its directory id is"),
            "its number's, since it names none"
        );
        other.cluster = None;
        assert!(refusal(&other).contains("does not know its cluster"));
    }

    /// One that comes in, or goes, with the change that is under way does not.
    #[test]
    fn who_votes_before_and_after_a_change_votes_throughout() {
        let nodes = BTreeMap::from([10, 20, 30].map(|id| (id, Voter::at("h", 1))));
        let majorities = vec![[10, 20].into(), [10, 30].into()];
        let changing = StoredMembership::new(None, Membership::new(majorities, nodes).unwrap());
        let votes = [10, 20, 30, 40].map(|id| votes_throughout(&changing, id));
        assert_eq!(votes, [true, false, false, false]);
    }

    /// A second request for the same node waits with the first; another node has to wait its turn.
    #[test]
    fn one_node_is_added_at_a_time() {
        let additions = Additions::default();
        let (told, first) = rt::oneshot();
        assert!(matches!(additions.enter(&new_voter(4), Some(told)), Entered::First));
        let (told, second) = rt::oneshot();
        let elsewhere = NewVoter {
            host: "another".to_owned(),
            ..new_voter(4)
        };
        assert!(matches!(additions.enter(&elsewhere, Some(told)), Entered::Same));
        assert!(additions.is_adding(BrokerId(4)) && !additions.is_adding(BrokerId(5)));
        assert!(matches!(additions.enter(&new_voter(5), None), Entered::Busy));
        additions.leave(&Ok(()));
        let done = futures_lite::future::block_on(async { (first.await, second.await) });
        assert_eq!(done, (Some(Ok(())), Some(Ok(()))));
        assert!(matches!(additions.enter(&new_voter(5), None), Entered::First));
    }

    #[test]
    fn an_address_of_its_own_machine_is_known() {
        assert!(
            ["localhost", "127.0.0.1", "127.0.1.1", "::1"]
                .into_iter()
                .all(is_loopback)
        );
        assert!(!["broker-1", "10.127.0.1", "::"].into_iter().any(is_loopback));
    }
}

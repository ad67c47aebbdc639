//! A node's place in a controller quorum: `process.roles`, `controller.quorum.voters`, the controller listener.

use super::broker::ListenerSpec;
use super::listeners::parse_address;
use super::properties::ConfigProblem;
use super::values::Values;

const VOTERS: &str = "controller.quorum.voters";
const NAMES: &str = "controller.listener.names";
/// Most controllers: more only slow each other down.
const VOTERS_MAX: usize = 15;

/// One of `controller.quorum.voters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterSpec {
    pub id: i32,
    pub host: String,
    pub port: u16,
}

/// Of a node that keeps the metadata together with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumConfig {
    /// All of them, this node among them, by their numbers.
    pub voters: Vec<VoterSpec>,
    /// Where this node listens for the others.
    pub listener: ListenerSpec,
    pub election_timeout_ms: u64,
    pub request_timeout_ms: u64,
}

/// `None`: this node keeps its metadata alone, since nobody else is named. `controllers`: the listeners that are meant for
/// the quorum.
pub(super) fn read(
    values: &Values<'_>,
    broker_id: i32,
    controllers: &[ListenerSpec],
    report: &mut impl FnMut(&str, ConfigProblem),
) -> Option<QuorumConfig> {
    let mut error = |key: &str, message: String| report(key, ConfigProblem::error(None, message));
    let voters = voters(values, &mut error);
    let is_alone = voters.iter().all(|voter| voter.id == broker_id);
    check_roles(values, is_alone, &mut error);
    if is_alone {
        return None;
    }
    if !voters.iter().any(|voter| voter.id == broker_id) {
        let message = format!(
            "{VOTERS} does not name this node, {broker_id}: every node of a cluster is a controller so far; name all of \
             them, the same on each"
        );
        error(VOTERS, message);
    }
    let listener = controllers.first().cloned();
    if listener.is_none() {
        let message = format!(
            "{NAMES} names no address in listeners, and {VOTERS} names other nodes: write {NAMES}=CONTROLLER, and add \
             CONTROLLER://:9093 to listeners"
        );
        error(NAMES, message);
    }
    let ms = |key| u64::try_from(values.int(key)).unwrap_or(0);
    Some(QuorumConfig {
        voters,
        listener: listener?,
        election_timeout_ms: ms("controller.quorum.election.timeout.ms"),
        request_timeout_ms: ms("controller.quorum.request.timeout.ms"),
    })
}

/// `id@host:port`, several with commas; each id once.
fn voters(values: &Values<'_>, error: &mut impl FnMut(&str, String)) -> Vec<VoterSpec> {
    let mut voters: Vec<VoterSpec> = Vec::new();
    for item in values.list(VOTERS) {
        match parse(item) {
            Err(why) => error(VOTERS, format!("{VOTERS}: {item:?}: {why}; write id@host:port")),
            Ok(voter) if voters.iter().any(|known| known.id == voter.id) => {
                error(VOTERS, format!("{VOTERS} names node {} twice", voter.id));
            }
            Ok(voter) => voters.push(voter),
        }
    }
    if voters.len() > VOTERS_MAX {
        error(
            VOTERS,
            format!("{VOTERS} names {} nodes, more than {VOTERS_MAX}", voters.len()),
        );
    }
    voters.sort_by_key(|voter| voter.id);
    voters
}

fn parse(item: &str) -> Result<VoterSpec, &'static str> {
    let (id, address) = item.split_once('@').ok_or("no @")?;
    let id: i32 = id.trim().parse().map_err(|_| "the id is not a number")?;
    let (host, port) = parse_address(address)?;
    match (id, host.is_empty(), port) {
        (..0, ..) => Err("the id is negative"),
        (_, true, _) => Err("no host"),
        (_, _, 0) => Err("no port"),
        _ => Ok(VoterSpec { id, host, port }),
    }
}

/// Every node is broker and controller at once so far.
fn check_roles(values: &Values<'_>, is_alone: bool, error: &mut impl FnMut(&str, String)) {
    let roles = values.list("process.roles");
    let is_combined = roles.contains(&"broker") && roles.contains(&"controller");
    if roles.is_empty() || is_combined {
        return;
    }
    let which = match is_alone {
        true => "a single node is both",
        false => "every node of a cluster is both so far",
    };
    let message = format!("process.roles lacks a role: {which}; write broker,controller, or leave the key out");
    error("process.roles", message);
}

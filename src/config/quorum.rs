//! A node's place in a controller quorum: `process.roles`, `controller.quorum.voters`, the controller listener.

use super::broker::ListenerSpec;
use super::listeners::{controller_names, parse_address};
use super::properties::ConfigProblem;
use super::values::Values;

const VOTERS: &str = "controller.quorum.voters";
const SERVERS: &str = "controller.quorum.bootstrap.servers";
const NAMES: &str = "controller.listener.names";
const ROLES: &str = "process.roles";
const SESSION: &str = "broker.session.timeout.ms";
const ELECTION: &str = "controller.quorum.election.timeout.ms";
/// Election timeouts until another controller answers, at most but for bad luck.
const TIMEOUTS_PER_CHANGE: i64 = 3;
const BROKER: &str = "broker";
const CONTROLLER: &str = "controller";
/// Most controllers: more only slow each other down.
const VOTERS_MAX: usize = 15;

/// One of `controller.quorum.voters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterSpec {
    pub id: i32,
    pub host: String,
    pub port: u16,
}

/// `process.roles`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Both,
    Broker,
    Controller,
}

impl Role {
    /// Unset means both.
    pub(super) fn of(values: &Values<'_>) -> Role {
        let roles = values.list(ROLES);
        match (roles.contains(&BROKER), roles.contains(&CONTROLLER)) {
            (true, false) => Role::Broker,
            (false, true) => Role::Controller,
            _ => Role::Both,
        }
    }
}

/// Of a node that keeps the metadata together with others, or follows those who do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumConfig {
    pub role: Role,
    /// All of them, by their numbers. This node is one of them, unless it is an observer.
    pub voters: Vec<VoterSpec>,
    /// Host and port of controllers that tell an observer who votes, in place of the voters.
    pub bootstrap: Vec<(String, u16)>,
    /// By which the controllers' listeners go.
    pub listener_name: String,
    /// Where this node listens for the others; `None`: it is a broker only, and does not vote.
    pub listener: Option<ListenerSpec>,
    pub election_timeout_ms: u64,
    pub request_timeout_ms: u64,
}

impl QuorumConfig {
    pub fn is_observer(&self) -> bool {
        self.role == Role::Broker
    }

    pub fn is_broker(&self) -> bool {
        self.role != Role::Controller
    }
}

/// `None`: this node keeps its metadata alone, since nobody else is named. `controllers`: the listeners that are meant for
/// the quorum.
pub(super) fn read(
    values: &Values<'_>,
    broker_id: i32,
    controllers: &[ListenerSpec],
    report: &mut impl FnMut(&str, ConfigProblem),
) -> Option<QuorumConfig> {
    let role = Role::of(values);
    let mut error = |key: &str, message: String| report(key, ConfigProblem::error(None, message));
    let (voters, bootstrap) = (voters(values, &mut error), servers(values, &mut error));
    let own = voters.iter().find(|voter| voter.id == broker_id);
    let (listener, listener_name) = if role == Role::Broker {
        check_observer(values, own, controllers, &mut error);
        check_named(&voters, &bootstrap, &mut error)?;
        (None, controller_names(values).into_iter().next().unwrap_or_default())
    } else {
        if voters.iter().all(|voter| voter.id == broker_id) {
            check_alone(role, &mut error);
            unused_servers(&bootstrap)
                .into_iter()
                .for_each(|problem| report(SERVERS, problem));
            return None;
        }
        let listener = own_listener(broker_id, own.is_some(), controllers, &mut error)?;
        (Some(listener.clone()), listener.name)
    };
    if !bootstrap.is_empty() && !voters.is_empty() {
        let message = format!("{SERVERS} has no effect: {VOTERS} names the controllers");
        report(SERVERS, ConfigProblem::warning(None, message));
    }
    let ms = |key| u64::try_from(values.int(key)).unwrap_or(0);
    if let Some(problem) = short_session(values.long(SESSION), ms(ELECTION)) {
        report(SESSION, problem);
    }
    Some(QuorumConfig {
        role,
        voters,
        bootstrap,
        listener_name,
        listener,
        election_timeout_ms: ms(ELECTION),
        request_timeout_ms: ms("controller.quorum.request.timeout.ms"),
    })
}

fn own_listener(
    broker_id: i32,
    is_named: bool,
    controllers: &[ListenerSpec],
    error: &mut impl FnMut(&str, String),
) -> Option<ListenerSpec> {
    if !is_named {
        let message = format!(
            "{VOTERS} does not name this node, {broker_id}, which is a controller too: name it there, the same on each; or \
             write {ROLES}={BROKER}, without a controller listener, for a broker that does not vote"
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
    listener
}

/// A broker only is not one of the voters, and has no listener for them; it says how theirs are called. `own`: the voter
/// that has its number.
fn check_observer(
    values: &Values<'_>,
    own: Option<&VoterSpec>,
    controllers: &[ListenerSpec],
    error: &mut impl FnMut(&str, String),
) {
    if let Some(VoterSpec { id, .. }) = own {
        let message = format!(
            "{ROLES}={BROKER} does not vote, and {VOTERS} names this node, {id}: take it out there, on every node, or write \
             {ROLES}={BROKER},{CONTROLLER}"
        );
        error(VOTERS, message);
    }
    if let Some(ListenerSpec { name, .. }) = controllers.first() {
        let message = format!(
            "listeners has {name}, which {NAMES} names, and {ROLES}={BROKER} opens no controller listener: take it out of \
             listeners"
        );
        error("listeners", message);
    }
    if controller_names(values).is_empty() {
        let message = format!(
            "{ROLES}={BROKER} needs {NAMES}, the name of the controllers' listener: write {NAMES}=CONTROLLER, without adding \
             it to listeners"
        );
        error(NAMES, message);
    }
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

/// `host:port`, several with commas.
fn servers(values: &Values<'_>, error: &mut impl FnMut(&str, String)) -> Vec<(String, u16)> {
    let mut servers = Vec::new();
    for item in values.list(SERVERS) {
        match parse_address(item) {
            Ok((host, port)) if !host.is_empty() && port != 0 => servers.push((host, port)),
            Ok(_) => error(
                SERVERS,
                format!("{SERVERS}: {item:?} lacks its host or its port: write host:port"),
            ),
            Err(why) => error(SERVERS, format!("{SERVERS}: {item:?}: {why}; write host:port")),
        }
    }
    servers
}

/// Two thirds of a session are a broker's lease.
fn short_session(session_ms: i64, election_ms: u64) -> Option<ConfigProblem> {
    let change_ms = i64::try_from(election_ms)
        .unwrap_or(i64::MAX)
        .saturating_mul(TIMEOUTS_PER_CHANGE);
    let message = format!(
        "{SESSION}={session_ms}: a broker refuses writes once no controller has answered it for two thirds of that, and another \
         controller may take {change_ms} ms ({ELECTION}={election_ms}): every change of controllers would be felt; make it longer"
    );
    (session_ms / 3 * 2 < change_ms).then(|| ConfigProblem::warning(None, message))
}

/// One is this node itself, as in the file that Kafka comes with.
fn unused_servers(bootstrap: &[(String, u16)]) -> Option<ConfigProblem> {
    let message = format!(
        "{SERVERS} is for brokers that are no controllers ({ROLES}={BROKER}); this node keeps its metadata alone: several are a \
         cluster by {VOTERS}, the same on each"
    );
    match bootstrap.len() {
        0 => None,
        1 => Some(ConfigProblem::warning(None, message)),
        _ => Some(ConfigProblem::error(None, message)),
    }
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

/// A node that has nobody beside it.
fn check_alone(role: Role, error: &mut impl FnMut(&str, String)) {
    if role == Role::Controller {
        let message = format!(
            "{ROLES}={CONTROLLER}, and {VOTERS} names no other node: a single node is a broker too; write \
             {BROKER},{CONTROLLER}, or leave the key out, or name two controllers or more"
        );
        error(ROLES, message);
    }
}

/// What a broker only follows. `None`: nobody.
fn check_named(voters: &[VoterSpec], bootstrap: &[(String, u16)], error: &mut impl FnMut(&str, String)) -> Option<()> {
    if let [only] = voters {
        let message = format!(
            "{VOTERS} names node {} only, which keeps its metadata alone then, and answers no other node: name two or more, the \
             same on each",
            only.id
        );
        error(VOTERS, message);
    }
    if voters.is_empty() && bootstrap.is_empty() {
        let message = format!(
            "{ROLES}={BROKER} follows the controllers, and neither {VOTERS} nor {SERVERS} names any: name them, as \
             id@host:port or as host:port"
        );
        error(VOTERS, message);
        return None;
    }
    Some(())
}

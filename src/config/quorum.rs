//! A node's place in a controller quorum: `process.roles`, `controller.quorum.voters`, `controller.quorum.bootstrap.servers`, the
//! controller listener.

use super::broker::ListenerSpec;
use super::listeners::{Listeners, controller_names, parse_address};
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
    /// This node begins a quorum, or is added to one while the others run: what it knows of the others is in its metadata.
    /// //= KIP-853
    pub is_dynamic: bool,
    /// All of them, by their numbers. This node is one of them, unless it is an observer or the quorum is dynamic.
    pub voters: Vec<VoterSpec>,
    /// Host and port of controllers that tell who votes, in place of the voters.
    pub bootstrap: Vec<(String, u16)>,
    /// By which the controllers' listeners go.
    pub listener_name: String,
    /// Where this node listens for the others; `None`: it is a broker only, and does not vote.
    pub listener: Option<ListenerSpec>,
    /// Where the others find it; "" as the host = this machine's name.
    pub advertised: Option<ListenerSpec>,
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

/// `None`: this node keeps its metadata alone, since nobody else is named.
pub(super) fn read(
    values: &Values<'_>,
    broker_id: i32,
    listeners: &Listeners,
    report: &mut impl FnMut(&str, ConfigProblem),
) -> Option<QuorumConfig> {
    let (role, controllers) = (Role::of(values), listeners.controllers.as_slice());
    let mut error = |key: &str, message: String| report(key, ConfigProblem::error(None, message));
    let (voters, bootstrap) = (voters(values, &mut error), servers(values, &mut error));
    let own = voters.iter().find(|voter| voter.id == broker_id);
    let membership = Membership::of(role, broker_id, &voters, &bootstrap, controllers);
    let (listener, listener_name) = match membership {
        Membership::Observed => {
            check_observer(values, own, controllers, &mut error);
            check_named(&voters, &bootstrap, &mut error)?;
            (None, controller_names(values).into_iter().next().unwrap_or_default())
        }
        Membership::Alone => {
            check_alone(role, &mut error);
            unused_servers(&bootstrap)
                .into_iter()
                .for_each(|problem| report(SERVERS, problem));
            return None;
        }
        Membership::Named => {
            check_own(broker_id, own.is_some(), &mut error);
            let listener = own_listener(VOTERS, controllers, &mut error)?;
            (Some(listener.clone()), listener.name)
        }
        Membership::Dynamic => {
            let listener = own_listener(SERVERS, controllers, &mut error)?;
            (Some(listener.clone()), listener.name)
        }
    };
    let is_dynamic = membership == Membership::Dynamic;
    if !bootstrap.is_empty() && !voters.is_empty() && !is_dynamic {
        let message = format!("{SERVERS} has no effect: {VOTERS} names the controllers");
        report(SERVERS, ConfigProblem::warning(None, message));
    }
    if let (Membership::Observed, [only]) = (membership, voters.as_slice()) {
        report(VOTERS, ConfigProblem::warning(None, note_single(only)));
    }
    let ms = |key| u64::try_from(values.int(key)).unwrap_or(0);
    if let Some(problem) = short_session(values.long(SESSION), ms(ELECTION)) {
        report(SESSION, problem);
    }
    Some(QuorumConfig {
        role,
        is_dynamic,
        voters,
        bootstrap,
        listener_name,
        advertised: listener.as_ref().and(listeners.controllers_advertised.first().cloned()),
        listener,
        election_timeout_ms: ms(ELECTION),
        request_timeout_ms: ms("controller.quorum.request.timeout.ms"),
    })
}

/// What makes a node one of its quorum.
#[derive(Clone, Copy, PartialEq)]
enum Membership {
    /// Nothing: it follows those who are.
    Observed,
    /// There is no quorum.
    Alone,
    /// Every node's configuration names all of them.
    Named,
    /// It begins one, or was added to it. //= KIP-853
    Dynamic,
}

impl Membership {
    fn of(
        role: Role,
        broker_id: i32,
        voters: &[VoterSpec],
        bootstrap: &[(String, u16)],
        controllers: &[ListenerSpec],
    ) -> Membership {
        let is_named = voters.iter().any(|voter| voter.id == broker_id);
        let names_others = voters.iter().any(|voter| voter.id != broker_id);
        match role {
            Role::Broker => Membership::Observed,
            _ if names_others && (is_named || bootstrap.is_empty()) => Membership::Named,
            // A file for one node that opens no listener for others.
            Role::Both if bootstrap.is_empty() || (bootstrap.len() == 1 && controllers.is_empty()) => Membership::Alone,
            Role::Controller if bootstrap.is_empty() && !is_named => Membership::Alone,
            _ => Membership::Dynamic,
        }
    }
}

fn check_own(broker_id: i32, is_named: bool, error: &mut impl FnMut(&str, String)) {
    if !is_named {
        let message = format!(
            "{VOTERS} does not name this node, {broker_id}, which is a controller too: name it there, the same on each; or \
             write {SERVERS} instead, for one that is added while the others run (kafka-metadata-quorum.sh add-controller); or \
             {ROLES}={BROKER}, without a controller listener, for a broker that does not vote"
        );
        error(VOTERS, message);
    }
}

/// `key`: what asks for it.
fn own_listener(key: &str, controllers: &[ListenerSpec], error: &mut impl FnMut(&str, String)) -> Option<ListenerSpec> {
    let listener = controllers.first().cloned();
    if listener.is_none() {
        let message = format!(
            "{NAMES} names no address in listeners, and {key} makes this node one of several: write {NAMES}=CONTROLLER, and add \
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

/// One is this node itself, in a file that lacks the listener for others.
fn unused_servers(bootstrap: &[(String, u16)]) -> Option<ConfigProblem> {
    let message = format!(
        "{SERVERS} has no effect: this node opens no controller listener, and keeps its metadata alone; write {NAMES}=CONTROLLER, \
         and add CONTROLLER://:9093 to listeners, for one to which others can be added"
    );
    (!bootstrap.is_empty()).then(|| ConfigProblem::warning(None, message))
}

/// To a broker only it cannot be told whether that one opens its controller listener.
fn note_single(only: &VoterSpec) -> String {
    format!(
        "{VOTERS} names node {id} only: it answers others if it has {ROLES}={CONTROLLER} or {SERVERS}, and else keeps its metadata \
         alone",
        id = only.id
    )
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
            "{ROLES}={CONTROLLER}, and neither {VOTERS} nor {SERVERS} names a node: name this one in {SERVERS}, as host:port, to \
             begin a quorum, or some that are there"
        );
        error(ROLES, message);
    }
}

/// What a broker only follows. `None`: nobody.
fn check_named(voters: &[VoterSpec], bootstrap: &[(String, u16)], error: &mut impl FnMut(&str, String)) -> Option<()> {
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

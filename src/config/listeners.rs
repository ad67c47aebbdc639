//! `listeners`, `advertised.listeners` and `listener.security.protocol.map`: parsing, and Kafka's rules about them.
//!
//! Hosts stay names here: they are resolved when the listener is bound. Port 0 means a port of the kernel's choice.

use super::broker::ListenerSpec;
use super::keys::list_items;
use super::properties::{ConfigProblem, Properties};
use super::quorum::Role;
use super::shard_nodes::SHARD_MARK;
use super::values::Values;

/// Most listeners of one broker.
const LISTENERS_MAX: usize = 64;
/// The only protocol that is served so far.
const PLAINTEXT: &str = "PLAINTEXT";
const LISTENERS: &str = "listeners";
const ADVERTISED: &str = "advertised.listeners";

/// What to serve and what to tell clients, in the same order. An empty advertised host stands for this machine's name.
pub(super) struct Listeners {
    pub served: Vec<ListenerSpec>,
    pub advertised: Vec<ListenerSpec>,
    /// Those that are meant for the controller quorum, and where the other nodes are told to connect; an empty host stands
    /// for this machine's name.
    pub controllers: Vec<ListenerSpec>,
    pub controllers_advertised: Vec<ListenerSpec>,
}

/// Reads the listeners; what is wrong with them goes to `report`, as (key, problem).
pub(super) fn read(values: &Values<'_>, report: &mut impl FnMut(&str, ConfigProblem)) -> Listeners {
    let mut error = |key: &str, message: String| report(key, ConfigProblem::error(None, message));
    let all = parse_list(LISTENERS, values, &mut error);
    check_distinct(&all, values.text(LISTENERS), &mut error);

    let controllers: Vec<String> = controller_names(values);
    let (of_quorum, served): (Vec<_>, Vec<_>) = all.into_iter().partition(|spec| controllers.contains(&spec.name));
    let map = ProtocolMap::read(values, &mut error);
    for spec in &served {
        if let Err(message) = map.check(&spec.name) {
            error(LISTENERS, message);
        }
    }
    if values.list(LISTENERS).is_empty() {
        error(
            LISTENERS,
            format!("{LISTENERS} names no address: write one, such as PLAINTEXT://:9092"),
        );
    } else if Role::of(values) == Role::Controller && !controllers.is_empty() {
        for spec in &served {
            let name = &spec.name;
            error(
                LISTENERS,
                format!("{LISTENERS} has {name}, and process.roles=controller serves no clients: take it out"),
            );
        }
    } else if served.is_empty() && !of_quorum.is_empty() {
        error(
            LISTENERS,
            format!("{LISTENERS} names controller listeners only: add one for clients, such as PLAINTEXT://:9092"),
        );
    }
    let given = given(&served, &controllers, values, &mut error);
    Listeners {
        advertised: advertised(&served, &given, &mut error),
        controllers_advertised: advertised(&of_quorum, &given, &mut |_, _| {}),
        served,
        controllers: of_quorum,
    }
}

/// The controller quorum speaks a protocol of its own, which is not encrypted: a file that asks for more is refused.
/// `name`: its listener's.
pub(super) fn check_controllers(values: &Values<'_>, name: &str, report: &mut impl FnMut(&str, ConfigProblem)) {
    let map = ProtocolMap::read(values, &mut |_, _| {});
    if map.names(name)
        && let Err(message) = map.check(name)
    {
        report(LISTENERS, ConfigProblem::error(None, message));
    }
}

/// What is said of listeners that a single node does not open.
pub(super) fn note_unserved(controllers: &[ListenerSpec], report: &mut impl FnMut(&str, ConfigProblem)) {
    for spec in controllers {
        let note = format!(
            "listener {} is for the controller quorum; this node keeps its metadata itself and does not open it",
            spec.name
        );
        report(LISTENERS, ConfigProblem::warning(None, note));
    }
}

/// Brokers of a cluster find each other on one listener: named, or the one of that protocol's name.
pub(super) fn check_inter_broker(
    values: &Values<'_>,
    served: &[ListenerSpec],
    report: &mut impl FnMut(&str, ConfigProblem),
) {
    const KEY: &str = "inter.broker.listener.name";
    let named = values
        .explicit(KEY)
        .unwrap_or(values.text("security.inter.broker.protocol"))
        .to_uppercase();
    if !served.iter().any(|spec| spec.name == named) {
        let message = format!("{KEY} is {named}, which is not a listener of this broker: write the name of one");
        report(KEY, ConfigProblem::error(None, message));
    }
}

/// Of a line that lists the hosts of a whole cluster under one listener name (or each of several), keeps this machine's own
/// listener, and says so. Left as it is, and refused later as Kafka refuses it, where not exactly one of the hosts is this
/// machine.
pub fn keep_own_listener(properties: &mut Properties, is_own_host: impl Fn(&str) -> bool) -> Option<ConfigProblem> {
    let written = properties.get(LISTENERS)?.to_owned();
    let specs: Vec<(&str, ListenerSpec)> = list_items(&written)
        .map(|item| Some((item, parse(item).ok()?)))
        .collect::<Option<_>>()?;
    let hosts_of = |name: &str| specs.iter().filter(|(_, spec)| spec.name == name).count();
    let mut listed = specs.iter().filter(|(_, spec)| hosts_of(&spec.name) > 1).peekable();
    let is_own = |(_, spec): &&(&str, ListenerSpec)| hosts_of(&spec.name) == 1 || is_own_host(&spec.host);
    let kept: Vec<_> = specs.iter().filter(is_own).collect();
    let is_kept_once = |name: &str| kept.iter().filter(|(_, spec)| spec.name == name).count() == 1;
    let is_list_of_hosts = |(_, spec): &&(&str, ListenerSpec)| !spec.host.is_empty() && is_kept_once(&spec.name);
    if listed.peek().is_none() || !listed.all(|one| is_list_of_hosts(&one)) {
        return None;
    }
    let line = properties.line_of(LISTENERS);
    let (own, items) = (
        kept.iter().find(|(_, spec)| hosts_of(&spec.name) > 1)?,
        kept.iter().map(|(item, _)| *item).collect::<Vec<_>>().join(","),
    );
    let (hosts, host) = (hosts_of(&own.1.name), &own.1.host);
    let message = format!(
        "{LISTENERS} lists {hosts} hosts: a broker listens on its own only, so this one, on {host}, takes {items}"
    );
    properties.set(LISTENERS, &items);
    Some(ConfigProblem::warning(line, message))
}

/// What `advertised.listeners` says.
fn given(
    served: &[ListenerSpec],
    controllers: &[String],
    values: &Values<'_>,
    error: &mut impl FnMut(&str, String),
) -> Vec<ListenerSpec> {
    let given = match values.explicit(ADVERTISED) {
        Some(_) => parse_list(ADVERTISED, values, error),
        None => Vec::new(),
    };
    for spec in &given {
        let is_served = served.iter().any(|listener| listener.name == spec.name);
        if !is_served && !controllers.contains(&spec.name) {
            error(
                ADVERTISED,
                format!(
                    "{ADVERTISED} names {}, which is not a listener of this broker",
                    spec.name
                ),
            );
        }
    }
    given
}

/// One advertised address per listener: its own if `advertised.listeners` leaves it out.
fn advertised(
    served: &[ListenerSpec],
    given: &[ListenerSpec],
    error: &mut impl FnMut(&str, String),
) -> Vec<ListenerSpec> {
    let address = |listener: &ListenerSpec| {
        let own = given.iter().find(|spec| spec.name == listener.name);
        let mut spec = own.unwrap_or(listener).clone();
        if is_any_address(&spec.host) {
            let key = if own.is_some() { ADVERTISED } else { LISTENERS };
            error(key, unroutable(&spec, own.is_some()));
            spec.host.clear();
        }
        spec
    };
    served.iter().map(address).collect()
}

fn is_any_address(host: &str) -> bool {
    matches!(host, "0.0.0.0" | "::")
}

fn unroutable(spec: &ListenerSpec, is_explicit: bool) -> String {
    let cure = format!("{ADVERTISED}={}://<this host's name>:{}", spec.name, spec.port);
    let any = &spec.host;
    match is_explicit {
        true => format!("{ADVERTISED} cannot use {any}: no client can connect to it; write {cure}"),
        false => format!(
            "{ADVERTISED} cannot use {any}, which it takes from {LISTENERS}: no client can connect to it; \
             write {cure}, or leave the host empty in {LISTENERS} ({}://:{})",
            spec.name, spec.port
        ),
    }
}

fn parse_list(key: &str, values: &Values<'_>, error: &mut impl FnMut(&str, String)) -> Vec<ListenerSpec> {
    let items = values.list(key);
    if items.len() > LISTENERS_MAX {
        error(
            key,
            format!("{key} names {} addresses, more than {LISTENERS_MAX}", items.len()),
        );
    }
    let mut specs = Vec::new();
    for item in items.into_iter().take(LISTENERS_MAX) {
        match parse(item) {
            Ok(spec) => specs.push(spec),
            Err(why) => error(
                key,
                format!("{key}: {item:?} is not an address: {why}; write NAME://host:port"),
            ),
        }
    }
    specs
}

/// `NAME://host:port`, the host empty, a name, an address, or an IPv6 address in brackets.
fn parse(item: &str) -> Result<ListenerSpec, &'static str> {
    let (name, address) = item.split_once("://").ok_or("no ://")?;
    if name.is_empty() {
        return Err("no listener name");
    }
    if name.contains(SHARD_MARK) {
        return Err("a listener's name has no #");
    }
    let (host, port) = parse_address(address)?;
    Ok(ListenerSpec {
        name: name.to_uppercase(),
        host,
        port,
    })
}

/// `host:port`, the host as above.
pub(super) fn parse_address(address: &str) -> Result<(String, u16), &'static str> {
    let (host, port) = address.rsplit_once(':').ok_or("no port")?;
    let port = port.parse().map_err(|_| "the port is not a number from 0 to 65535")?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let is_host_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '%' | ':');
    if !bare.chars().all(is_host_char) {
        return Err("the host has characters that no host has");
    }
    if bare == host && host.contains(':') {
        return Err("an IPv6 address stands in brackets");
    }
    Ok((bare.to_string(), port))
}

/// Each name once, and each port once, except that one IPv4 and one IPv6 listener may share it.
fn check_distinct(specs: &[ListenerSpec], written: &str, error: &mut impl FnMut(&str, String)) {
    for (index, spec) in specs.iter().enumerate() {
        let earlier = || specs.iter().take(index);
        if let Some(first) = earlier().find(|other| other.name == spec.name) {
            return error(LISTENERS, same_name(first, written));
        }
        if earlier().any(|other| clashes(other, spec)) {
            let message = format!(
                "each listener must have a different port (one IPv4 and one IPv6 address may share one), \
                 and {} stands more than once in {written}",
                spec.port
            );
            return error(LISTENERS, message);
        }
    }
}

/// Mostly a line that lists the hosts of a whole cluster, as it stands in many a note.
fn same_name(first: &ListenerSpec, written: &str) -> String {
    let ListenerSpec { name, host, port } = first;
    let on = if host.is_empty() { "each host" } else { host };
    format!(
        "each listener must have a different name, and {name} stands more than once in {written}; a broker listens on \
         its own host only: give each broker one listener, such as {LISTENERS}={name}://{host}:{port} on {on}"
    )
}

fn clashes(one: &ListenerSpec, other: &ListenerSpec) -> bool {
    let is_v6 = |spec: &ListenerSpec| spec.host.contains(':');
    let is_v4 = |spec: &ListenerSpec| spec.host.split('.').filter(|part| part.parse::<u8>().is_ok()).count() == 4;
    let may_share = (is_v4(one) && is_v6(other)) || (is_v6(one) && is_v4(other));
    one.port == other.port && one.port != 0 && !may_share
}

pub(super) fn controller_names(values: &Values<'_>) -> Vec<String> {
    values
        .list("controller.listener.names")
        .into_iter()
        .map(str::to_uppercase)
        .collect()
}

/// Listener name to protocol.
struct ProtocolMap(Vec<(String, String)>);

impl ProtocolMap {
    fn read(values: &Values<'_>, error: &mut impl FnMut(&str, String)) -> ProtocolMap {
        const KEY: &str = "listener.security.protocol.map";
        let mut pairs: Vec<(String, String)> = Vec::new();
        for item in values.list(KEY) {
            match item.split_once(':') {
                Some((name, protocol)) => pairs.push((name.trim().to_uppercase(), protocol.trim().to_uppercase())),
                None => error(KEY, format!("{KEY}: {item:?} is not a pair: write NAME:PROTOCOL")),
            }
        }
        ProtocolMap(pairs)
    }

    fn names(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    fn check(&self, name: &str) -> Result<(), String> {
        match self.0.iter().find(|(known, _)| known == name) {
            Some((_, protocol)) if protocol == PLAINTEXT => Ok(()),
            Some((_, protocol)) => Err(format!(
                "listener {name} asks for {protocol}, and only {PLAINTEXT} is served so far; \
                 take it out of {LISTENERS}, or map it to {PLAINTEXT} in listener.security.protocol.map"
            )),
            None => Err(format!(
                "no security protocol defined for listener {name}: add {name}:{PLAINTEXT} to listener.security.protocol.map"
            )),
        }
    }
}

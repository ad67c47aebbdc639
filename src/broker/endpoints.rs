//! From `listeners` and `advertised.listeners` to addresses that can be bound and endpoints that clients are told.

use anyhow::{Context, bail, ensure};

use crate::config::{BrokerConfig, ListenerSpec, of_shard};
use crate::model::{SHARD_NODES_MAX, ShardId};
use crate::rt::{self, SocketAddr};

/// A listener's name and the address that its shards bind.
#[derive(Clone, Debug)]
pub struct BoundListener {
    pub name: String,
    pub address: SocketAddr,
    /// The only one that binds it; `None`: all do.
    pub shard: Option<ShardId>,
}

/// Resolves every listener, finds its port free, and fills in what `config.advertised` leaves open: port 0 becomes the one
/// that was found, no host becomes this machine's name. The ports of shards that are nodes come behind the others.
pub fn claim(config: &mut BrokerConfig, shards: usize) -> anyhow::Result<Vec<BoundListener>> {
    let mut bound = claim_written(config)?;
    let advertised = config.advertised.clone();
    let written: Vec<_> = config.listeners.iter().cloned().zip(advertised).collect();
    for (listener, advertised) in written {
        if config.shard_nodes.contains(&listener.name) {
            ensure!(
                shards <= usize::from(SHARD_NODES_MAX),
                "shard.nodes.listeners: {shards} shards are more than {SHARD_NODES_MAX}"
            );
            for shard in 0..shards as u16 {
                let (own, known) = claim_for_shard(&listener, &advertised, shard, &bound)?;
                refuse_twice(&own, &bound, config)?;
                bound.push(own);
                config.advertised.push(known);
            }
        }
    }
    Ok(bound)
}

/// A shard's own port, and what clients are told of it. Port 0 is the kernel's choice for each.
fn claim_for_shard(
    listener: &ListenerSpec,
    advertised: &ListenerSpec,
    shard: u16,
    bound: &[BoundListener],
) -> anyhow::Result<(BoundListener, ListenerSpec)> {
    let name = of_shard(&listener.name, shard);
    let spec = |port| ListenerSpec {
        name: name.clone(),
        host: listener.host.clone(),
        port,
    };
    let (address, told) = match listener.port {
        0 => {
            let address = claim_another(&spec(0), bound)?;
            (address, address.port())
        }
        _ => {
            let own = spec(behind(listener, shard)?);
            let address = claim_one(&own).with_context(|| {
                let (port, of) = (own.port, &listener.name);
                format!("shard.nodes.listeners: port {port}, behind those of {of}, is for shard {shard}")
            })?;
            (address, behind(advertised, shard)?)
        }
    };
    let known = ListenerSpec {
        name: name.clone(),
        host: advertised.host.clone(),
        port: told,
    };
    let shard = Some(ShardId(shard));
    Ok((BoundListener { name, address, shard }, known))
}

/// The kernel may give a port again that was found a moment ago.
fn claim_another(listener: &ListenerSpec, bound: &[BoundListener]) -> anyhow::Result<SocketAddr> {
    let mut address = claim_one(listener)?;
    while bound.iter().any(|other| meet(other.address, address)) {
        address = claim_one(listener)?;
    }
    Ok(address)
}

fn behind(listener: &ListenerSpec, shard: u16) -> anyhow::Result<u16> {
    let next = listener.port.checked_add(1).and_then(|first| first.checked_add(shard));
    next.with_context(|| {
        let ListenerSpec { name, port, .. } = listener;
        format!("listener {name}: behind port {port} none is left for shard {shard} (shard.nodes.listeners); set a lower one")
    })
}

/// Whoever has the port already may be bound later than this: the kernel lets sockets of one process share a port, and clients
/// would come to either.
fn refuse_twice(own: &BoundListener, bound: &[BoundListener], config: &BrokerConfig) -> anyhow::Result<()> {
    let mut others: Vec<(&str, SocketAddr)> = bound.iter().map(|other| (other.name.as_str(), other.address)).collect();
    let quorum = config.quorum.as_ref().and_then(|quorum| quorum.listener.as_ref());
    let quorum = quorum.map(|spec| (spec.name.as_str(), &spec.host, spec.port));
    let admin = config
        .admin_listener
        .as_ref()
        .map(|(host, port)| ("admin.listener", host, *port));
    for (name, host, port) in quorum.into_iter().chain(admin) {
        // What cannot be resolved is said where it is bound.
        others.extend(rt::resolve(host, port).ok().map(|address| (name, address)));
    }
    match others.into_iter().find(|(_, address)| meet(*address, own.address)) {
        None => Ok(()),
        Some((name, address)) => bail!(
            "listener {}: {address} is taken by {name}; leave the ports behind a listener of shard.nodes.listeners free",
            own.name
        ),
    }
}

fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (is_any || one.ip() == other.ip())
}

fn claim_written(config: &mut BrokerConfig) -> anyhow::Result<Vec<BoundListener>> {
    let mut bound = Vec::new();
    for (listener, advertised) in config.listeners.iter().zip(&mut config.advertised) {
        let address = claim_one(listener)?;
        if advertised.port == 0 {
            advertised.port = address.port();
        }
        if advertised.host.is_empty() {
            advertised.host = rt::host_name().context("ask for this machine's name")?;
        }
        bound.push(BoundListener {
            name: listener.name.clone(),
            address,
            shard: None,
        });
    }
    Ok(bound)
}

fn claim_one(listener: &ListenerSpec) -> anyhow::Result<SocketAddr> {
    let ListenerSpec { name, host, port } = listener;
    let address = rt::resolve(host, *port).with_context(|| {
        format!("listener {name}: the host {host} cannot be resolved; use a name or address of this machine")
    })?;
    rt::claim(address).with_context(|| {
        format!("listener {name}: cannot listen on {address}; is another broker running there? set another port in listeners")
    })
}

//! From `listeners` and `advertised.listeners` to addresses that can be bound and endpoints that clients are told.

use anyhow::Context;

use crate::config::{BrokerConfig, ListenerSpec};
use crate::rt::{self, SocketAddr};

/// A listener's name and the address that every shard binds.
#[derive(Clone, Debug)]
pub struct BoundListener {
    pub name: String,
    pub address: SocketAddr,
}

/// Resolves every listener, finds its port free, and fills in what `config.advertised` leaves open: port 0 becomes the one
/// that was found, no host becomes this machine's name.
pub fn claim(config: &mut BrokerConfig) -> anyhow::Result<Vec<BoundListener>> {
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

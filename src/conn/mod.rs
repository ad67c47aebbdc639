//! Client connections of one shard: accepting, framing, memory, order, limits, idle close and the way out.
//!
//! It knows bytes and correlation order only; what a request means is [`crate::api`]'s. One task per connection, on the shard
//! that accepted it; no task is ever cancelled: it ends because its socket was shut down or its handle was closed.
//!
//! ```text
//! accept ─► Connection ──► Intake (bytes → frames) ─► RequestMemory (a permit per frame, before its body is read)
//!              ▲  │                                        │
//!              │  └──◄── one vectored write ◄── Pipeline ◄─┴─ api::dispatch (in request order)
//!           OpenConnections: sweeping for idle ones, shutting down
//! ```

mod accept;
mod complaints;
mod connection;
mod intake;
mod limits;
mod memory;
mod open;
mod pipeline;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::api::Services;
use crate::rt;

pub use limits::Limits;

use complaints::Complaints;
use memory::RequestMemory;
use open::OpenConnections;

/// What a shard serves its clients with.
pub struct ServeSpec {
    pub listeners: Vec<NamedListener>,
    pub services: Rc<Services>,
    /// Of the whole broker: the same on every shard.
    pub limits: Arc<Limits>,
}

/// A bound socket under the name that `listeners` gives it.
pub struct NamedListener {
    pub name: String,
    pub listener: rt::Listener,
}

/// A shard's running listeners and connections.
pub struct Server {
    listeners: Vec<Rc<rt::Listener>>,
    shared: Rc<Shared>,
}

/// What the connections of a shard have in common.
struct Shared {
    services: Rc<Services>,
    limits: Arc<Limits>,
    memory: Rc<RequestMemory>,
    open: OpenConnections,
    complaints: Complaints,
}

/// Starts accepting on every listener of this shard.
pub fn serve(spec: ServeSpec) -> Server {
    let config = spec.services.config.clone();
    let metrics = spec.services.metrics.clone();
    let shared = Rc::new(Shared {
        memory: RequestMemory::new(config.shard_request_memory_bytes, metrics.clone()),
        open: OpenConnections::new(config.connections_max_idle_ms, metrics),
        complaints: Complaints::new(rt::now()),
        services: spec.services,
        limits: spec.limits,
    });
    let mut listeners = Vec::with_capacity(spec.listeners.len());
    for NamedListener { name, listener } in spec.listeners {
        let listener = Rc::new(listener);
        rt::spawn(accept::run(listener.clone(), name.into(), shared.clone()));
        listeners.push(listener);
    }
    rt::spawn(open::sweep(shared.clone()));
    Server { listeners, shared }
}

impl Server {
    /// Connections that are open on this shard.
    pub fn connections(&self) -> usize {
        self.shared.open.len()
    }

    /// Takes no more connections and no more requests, gives those in flight until `patience` is over, then cuts what is
    /// left. On return no connection of this shard exists.
    pub async fn shutdown(&self, patience: Duration) {
        self.listeners.iter().for_each(|listener| listener.close());
        self.shared.open.drain();
        let deadline = rt::now().after(patience);
        while self.shared.open.len() > 0 && rt::now() < deadline {
            rt::sleep(SHUTDOWN_POLL).await;
        }
        self.shared.open.close_all();
        while self.shared.open.len() > 0 {
            rt::sleep(SHUTDOWN_POLL).await;
        }
    }
}

const SHUTDOWN_POLL: Duration = Duration::from_millis(2);

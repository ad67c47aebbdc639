//! One listener of one shard: takes connections until it is closed.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::api::Context;
use crate::metrics::{ConnectionCells, Metric};
use crate::rt::{self, Instant, Listener, Stream};

use super::Shared;
use super::connection::Connection;

/// After a failed accept (out of file descriptors, say) the next try waits for connections to go.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Between two remarks about them.
const REMARK_EVERY: Duration = Duration::from_secs(10);

pub async fn run(listener: Rc<Listener>, name: Rc<str>, shared: Rc<Shared>) {
    let mut told: Option<Instant> = None;
    loop {
        match listener.accept().await {
            Ok(stream) => admit(stream, &name, &shared),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return,
            Err(error) => {
                let now = rt::now();
                if told.is_none_or(|at| now.since(at) >= REMARK_EVERY) {
                    tracing::warn!(listener = %name, "connections are not accepted: {error}");
                    told = Some(now);
                }
                rt::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

fn admit(stream: Stream, listener: &Rc<str>, shared: &Rc<Shared>) {
    let metrics = &shared.services.metrics;
    let peer = stream.peer();
    let Some(slot) = shared.limits.enter(peer.ip().to_string()) else {
        metrics.add(Metric::ConnectionsRefused, 1);
        tracing::debug!(%peer, %listener, "connection refused: too many");
        return;
    };
    metrics.add(Metric::ConnectionsAccepted, 1);
    let config = &shared.services.config;
    stream.set_buffer_sizes(
        i64::from(config.socket_send_buffer_bytes),
        i64::from(config.socket_receive_buffer_bytes),
    );
    let peer = peer.to_string();
    let shown = ConnectionCells::new(listener.as_ref().into(), peer.as_str().into(), rt::wall_ms());
    // What has been accepted so far numbers the connections of a shard.
    let key = (metrics.id(), metrics.get(Metric::ConnectionsAccepted) as u64);
    let cx = Context {
        services: shared.services.clone(),
        listener: listener.clone(),
        peer: peer.into(),
        connection: metrics.connections().enter(key, shown),
        share_sessions: shared.services.share_sessions(),
        next_waits: Cell::default(),
        sends_away: Cell::default(),
    };
    rt::spawn(Connection::new(stream, Rc::new(cx), shared.clone(), slot).run());
}

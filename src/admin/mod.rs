//! For operators: metrics, health, read-only JSON and a status page over HTTP, and the talk with the service manager.
//!
//! It has a control thread of its own, so that a disk that hangs in a metadata sync does not silence /livez, and a large
//! scrape does not hold up a topic's creation. It reads what the shards publish in their cells and the newest image; it asks no
//! shard anything, and changes nothing. It asks for no password: it is bound to loopback unless the operator says otherwise.
//!
//! | path | what |
//! |---|---|
//! | `/` | the status page: one file, no outside addresses |
//! | `/metrics` | Prometheus text |
//! | `/livez` | 200 while every shard's pump turns |
//! | `/readyz`, `/readyz?verbose` | 200 from the end of recovery to the beginning of the stop; each check with its reason |
//! | `/v1/status`, `/v1/…` | JSON: what the page and `corelane top` show, and what scripts ask for |

mod findings;
mod groups;
mod guard;
mod health;
mod json;
mod load;
mod page;
mod prometheus;
mod pulse;
mod service_manager;
mod sources;
#[cfg(test)]
mod testing;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;

use crate::rt::{self, HttpPort};

pub use health::Phase;
pub use service_manager::{reloading, stopping};
pub use sources::Sources;

/// How often the shards' signs of life are looked at, and the service manager is told of progress.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Starts the admin thread: with an HTTP port where there is one, with the service manager's in any case.
pub fn start(port: Option<HttpPort>, sources: Arc<Sources>) -> anyhow::Result<()> {
    let thread = rt::run_control("admin", move || async move {
        if let Some(port) = port {
            rt::spawn(serve(port, sources.clone()));
        }
        look_after(&sources).await;
    });
    thread.map(drop).context("start the admin thread")
}

async fn serve(port: HttpPort, sources: Arc<Sources>) {
    let address = port.address();
    tracing::info!(%address, "admin port");
    let is_loopback = address.ip().is_loopback();
    if let Err(error) = port.serve(router(sources, is_loopback)).await {
        tracing::error!(%error, "admin port failed");
    }
}

/// Until the process ends.
async fn look_after(sources: &Sources) {
    let mut manager = service_manager::ServiceManager::new();
    loop {
        let now = rt::now();
        sources.pulse.look(now);
        sources.load.look(&sources.registry, now);
        sources.group_watch.look(sources, now);
        manager.tell(sources);
        rt::sleep(LOOK_EVERY).await;
    }
}

fn router(sources: Arc<Sources>, is_loopback: bool) -> Router {
    let router = Router::new()
        .route("/", get(page::page))
        .route("/metrics", get(prometheus::metrics))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz));
    let router = json::ROUTES.iter().fold(router, |router, (path, give)| {
        router.route(
            path,
            get(move |state: State<Arc<Sources>>, asked: Query<json::Asked>| json::answer(state, asked, *give)),
        )
    });
    guard::guarded(router.with_state(sources), is_loopback)
}

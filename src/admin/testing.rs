//! Sources for tests: one shard that has published an image, without a broker behind it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use super::Sources;
use crate::api::testing::image;
use crate::config::BrokerConfig;
use crate::metrics::Registry;
use crate::shard;
use crate::storage::LogDirs;

/// The sources, and the beats of the one shard. Broker 1 leads every partition of the topics.
pub fn sources(topics: &[(&str, i32)]) -> (Arc<Sources>, Vec<Arc<AtomicU64>>) {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let config = Arc::new(BrokerConfig {
        broker_id: 1,
        set: BTreeMap::from([
            ("ssl.key.password".to_string(), "hush".to_string()),
            ("some.plugin.key".to_string(), "hush".to_string()),
        ]),
        ..BrokerConfig::embedded(scratch.path())
    });
    let (dirs, _) = LogDirs::open(&config.log_dirs, 1).expect("a fresh directory");
    let (handles, _) = shard::mesh(1, &Arc::new(image(topics)));
    let shards = Arc::new(OnceLock::from(handles));
    let beats: Vec<Arc<AtomicU64>> = vec![Arc::default()];
    let sources = Sources::new(config, Registry::new(1), beats.clone(), shards);
    let _ = sources.dirs.set(Arc::new(dirs));
    (Arc::new(sources), beats)
}

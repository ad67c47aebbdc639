//! From a connection's shard to the owners of partitions and back: one message per target shard and pass.
use super::types::*;
use crate::metadata::{Handle, Image};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A handle to all shards, on one shard. Cheap to clone; not Send.
#[derive(Clone)]
pub struct Router {
    _not_send: Rc<()>,
}
impl Router {
    /// This shard's newest image.
    pub fn image(&self) -> Arc<Image> {
        todo!()
    }
    pub fn metadata(&self) -> &Handle {
        todo!()
    }
    /// Waits until this shard's image has reached `epoch`... or the deadline.
    /// Enqueues at once, in call order (before the future is polled); the outcomes come in the order of the items.
    pub fn append(
        &self,
        items: Vec<AppendItem>,
        acks: Acks,
        timeout: Duration,
    ) -> impl Future<Output = Vec<AppendOutcome>> + 'static {
        let _ = (items, acks, timeout);
        async { todo!() }
    }
    pub fn fetch(&self, spec: FetchSpec) -> impl Future<Output = Vec<FetchedPartition>> + 'static {
        let _ = spec;
        async { todo!() }
    }
    pub fn list_offsets(&self, items: Vec<ListOffsetsItem>) -> impl Future<Output = Vec<ListedOffset>> + 'static {
        let _ = items;
        async { todo!() }
    }
    pub fn epoch_ends(&self, items: Vec<EpochItem>) -> impl Future<Output = Vec<EpochEnd>> + 'static {
        let _ = items;
        async { todo!() }
    }
    pub fn delete_records(&self, items: Vec<DeleteRecordsItem>) -> impl Future<Output = Vec<DeletedRecords>> + 'static {
        let _ = items;
        async { todo!() }
    }
    pub fn log_sizes(&self, items: Vec<LogSizeItem>) -> impl Future<Output = Vec<LogSize>> + 'static {
        let _ = items;
        async { todo!() }
    }
}

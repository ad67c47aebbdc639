//! The way to the control thread from any shard: commands there, images back.
use super::*;
use std::sync::Arc;

/// A new image, as each shard gets it over its lane. The whole image: shards reconcile themselves with it.
#[derive(Clone)]
pub struct Published {
    pub image: Arc<Image>,
}
/// Where the control thread sends new images: one callback per shard, given at start.
pub type Updates = Vec<Box<dyn Fn(Published) + Send>>;
/// Cloneable, Send.
#[derive(Clone)]
pub struct Handle {}
impl Handle {
    /// Decides, makes it durable, publishes the image to all shards, then answers. Err: the control thread is gone or the disk failed.
    pub async fn submit(&self, command: Command) -> Result<Reply, CommandError> {
        let _ = command;
        todo!()
    }
}

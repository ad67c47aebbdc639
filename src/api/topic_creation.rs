//! Topics that Metadata creates on the way (auto.create.topics.enable), and waiting until a change is visible on this shard.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use crate::metadata::{Command, CommandError, CreateTopic, CreatedTopic, Image, Reply};
use crate::model::ErrorCode;
use crate::rt;

use super::{Context, cluster_view};

/// Names that are being created on behalf of this shard's clients.
#[derive(Default)]
pub struct TopicCreation {
    names: RefCell<BTreeSet<String>>,
}

/// Beyond this many creations under way, further names wait for the client's next metadata request.
const NAMES_MAX: usize = 256;

impl TopicCreation {
    /// Submits the creation and returns at once: the client retries its metadata request until the topic is there.
    pub fn start(&self, cx: &Rc<Context>, missing: Vec<String>) {
        let fresh = self.claim(missing);
        if fresh.is_empty() {
            return;
        }
        let cx = cx.clone();
        rt::spawn(async move {
            create(&cx, fresh.iter().map(|name| with_defaults(name)).collect()).await;
            let mut names = cx.services.topic_creation.names.borrow_mut();
            names.retain(|name| !fresh.contains(name));
        });
    }

    /// Creates the internal topic that a coordinator needs.
    pub fn start_internal(&self, cx: &Rc<Context>, topic: CreateTopic) {
        let name = topic.name.clone();
        if !self.names.borrow_mut().insert(name.clone()) {
            return;
        }
        let cx = cx.clone();
        rt::spawn(async move {
            create(&cx, vec![topic]).await;
            cx.services.topic_creation.names.borrow_mut().remove(&name);
        });
    }

    /// The names that nobody is creating yet, now claimed. Internal topics are created by their coordinators alone.
    fn claim(&self, missing: Vec<String>) -> Vec<String> {
        let mut names = self.names.borrow_mut();
        let mut fresh = Vec::new();
        for name in missing.into_iter().filter(|name| !cluster_view::is_internal(name)) {
            if names.len() < NAMES_MAX && names.insert(name.clone()) {
                fresh.push(name);
            }
        }
        fresh
    }
}

async fn create(cx: &Context, topics: Vec<CreateTopic>) {
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let reply = cx
        .router()
        .metadata()
        .submit(Command::CreateTopics {
            topics,
            validate_only: false,
        })
        .await;
    match reply {
        Ok(Reply::CreateTopics(results)) => log_results(&names, &results),
        Ok(_) => {}
        Err(error) => tracing::warn!(?names, code = ?error.code, "topics not created: {}", error.message),
    }
}

/// Several shards may create a topic at the same time; one of them does.
fn log_results(names: &[String], results: &[Result<CreatedTopic, CommandError>]) {
    for (name, result) in names.iter().zip(results) {
        match result {
            Ok(_) => tracing::info!(topic = %name, "topic created for a client that asked for it"),
            Err(error) if error.code == ErrorCode::TopicAlreadyExists => {}
            Err(error) => tracing::warn!(topic = %name, code = ?error.code, "topic not created: {}", error.message),
        }
    }
}

fn with_defaults(name: &str) -> CreateTopic {
    CreateTopic {
        name: name.to_string(),
        partitions: -1,
        replication_factor: -1,
        assignments: BTreeMap::new(),
        configs: BTreeMap::new(),
    }
}

/// Waits until this shard's image shows a change that the control thread has already answered for: a client that asks for
/// metadata right after its admin request sees its own change. Gives up after a second; the image is on its way then.
pub async fn until_visible(cx: &Context, is_visible: impl Fn(&Image) -> bool) {
    for _ in 0..VISIBLE_POLLS_MAX {
        if is_visible(&cx.image()) {
            return;
        }
        rt::sleep(VISIBLE_POLL).await;
    }
}

const VISIBLE_POLL: Duration = Duration::from_millis(1);
const VISIBLE_POLLS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    /// A name is submitted once however many clients ask for it, and internal topics never.
    #[test]
    fn a_name_is_claimed_once() {
        let creation = TopicCreation::default();
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        assert_eq!(creation.claim(names(&["a", "b", "__consumer_offsets"])), ["a", "b"]);
        assert_eq!(creation.claim(names(&["b", "c"])), ["c"]);
    }
}

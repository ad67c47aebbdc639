//! A disk, the promises that were made on it, and the processes that live on it one after the other.

use std::cell::RefCell;
use std::rc::Rc;

use super::model::Model;
use super::rig::{LOG_DIR, OpenError, Rig};
use crate::config::TopicConfig;
use crate::rt::blocking;
use crate::rt::sim::{FaultPlan, World};

pub struct Case {
    /// `None` only while it crashes.
    world: Option<World>,
    pub model: Rc<RefCell<Model>>,
    pub config: TopicConfig,
    /// 0: small batches go to the segment too.
    journal_bytes: u64,
}

/// How a process ended.
pub enum Life<T> {
    /// Its work is done; it still runs.
    Done(T),
    /// It waits in vain, or the plan stopped the machine.
    Stuck,
    /// It could not start.
    Refused(OpenError),
}

impl<T> Life<T> {
    pub fn done(self) -> T {
        match self {
            Life::Done(value) => value,
            Life::Stuck => panic!("the process is stuck"),
            Life::Refused(error) => panic!("the process does not start: {error}"),
        }
    }
}

impl Case {
    /// An empty disk with a log directory.
    pub fn new(seed: u64, config: TopicConfig) -> Case {
        let mut world = World::new(seed, FaultPlan::none());
        world.run(async {
            blocking::create_dir_all(LOG_DIR.as_ref()).expect("made");
            blocking::sync_dir("/disk".as_ref()).expect("synced");
            blocking::sync_dir("/".as_ref()).expect("synced");
        });
        Case {
            world: Some(world),
            model: Rc::default(),
            config,
            journal_bytes: 0,
        }
    }

    /// Small batches go to a journal of so many bytes.
    pub fn with_journal(self, journal_bytes: u64) -> Case {
        Case { journal_bytes, ..self }
    }

    pub fn world(&mut self) -> &mut World {
        self.world.as_mut().expect("there is one")
    }

    /// A process starts, is checked against all promises, and does its work.
    pub fn live<T>(&mut self, plan: FaultPlan, work: impl AsyncFnOnce(&mut Rig) -> T) -> Life<T> {
        let (config, model, journal_bytes) = (self.config.clone(), self.model.clone(), self.journal_bytes);
        self.world().set_plan(plan);
        let lived = self.world().run_until_crash(async {
            let mut rig = Rig::open(config, model, journal_bytes).await?;
            Ok(work(&mut rig).await)
        });
        match lived {
            Some(Ok(done)) => Life::Done(done),
            Some(Err(error)) => Life::Refused(error),
            None => Life::Stuck,
        }
    }

    pub fn kill(&mut self) {
        self.world = self.world.take().map(World::kill);
    }

    pub fn power_cut(&mut self) {
        self.world = self.world.take().map(World::power_cut);
        self.model.borrow_mut().power_was_cut = true;
    }

    /// Reopens and gives the end of the log.
    pub fn check(&mut self) -> i64 {
        self.live(FaultPlan::none(), async |rig| rig.log().written()).done()
    }

    pub fn written(&self) -> i64 {
        self.model.borrow().written
    }
}

/// Defaults, but small segments that are kept.
pub fn config() -> TopicConfig {
    TopicConfig {
        file_delete_delay_ms: 0,
        retention_ms: -1,
        segment_bytes: 32 << 10,
        segment_ms: i64::MAX,
        ..TopicConfig::default()
    }
}

/// Every write is synced as it is made.
pub fn flush_each() -> TopicConfig {
    TopicConfig {
        flush_messages: 1,
        ..config()
    }
}

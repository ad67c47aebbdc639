//! What the quorum has agreed on, as this node has applied it: an image for snapshots, and each change handed on to the
//! control loop in order.
//!
//! Invariants: a commit changes the state only if it was decided on the epoch that the state has; the snapshot on disk
//! never goes back.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_lite::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder};

use super::super::frame::{self, Kind};
use super::super::{Delta, Event, StartError};
use super::codec::{self, Reader};
use super::feed::Feed;
use super::follow::Passed;
use super::log::read_sealed;
use super::outcome::Outcomes;
use super::types::{Applied, Commit, LogId, Payload, Snapshot, SnapshotMeta, StoredMembership, Types};
use crate::metadata::image::{Image, ImageEpoch};
use crate::metadata::record::{self, Record};
#[cfg(test)]
use crate::rt;
use crate::rt::{Tx, blocking};

const SNAPSHOT: &str = "quorum-snapshot";

pub struct Machine {
    files: SnapshotFile,
    events: Tx<Event>,
    feed: Feed,
    outcomes: Outcomes,
    /// For a state without records.
    empty: Image,
    state: State,
}

/// Cheap to clone: an image shares its structure.
#[derive(Clone)]
struct State {
    applied: Option<LogId>,
    membership: StoredMembership,
    image: Image,
}

impl Machine {
    /// The state of the last snapshot. What the log holds behind it is applied once the quorum is known to have it.
    pub fn open(dir: &Path, empty: Image, events: Tx<Event>) -> Result<Machine, StartError> {
        let files = SnapshotFile::new(dir);
        let mut state = State {
            applied: None,
            membership: StoredMembership::default(),
            image: empty.clone(),
        };
        if let Some((meta, data)) = files.read()? {
            let path = files.path.clone();
            state = restored(&empty, &meta, &data).map_err(|cause| StartError::Io { path, cause })?;
            files.note(state.applied);
        }
        let feed = Feed::default();
        feed.restart(state.image.epoch, end_of(state.applied));
        Ok(Machine {
            files,
            events,
            feed,
            outcomes: Outcomes::default(),
            empty,
            state,
        })
    }

    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }

    pub fn outcomes(&self) -> Outcomes {
        self.outcomes.clone()
    }

    pub fn image(&self) -> &Image {
        &self.state.image
    }

    pub fn applied(&self) -> Option<LogId> {
        self.state.applied
    }

    /// Entries that have been applied.
    pub fn end(&self) -> u64 {
        end_of(self.state.applied)
    }

    /// The commit's turn has come, in the next entry.
    pub fn take(&mut self, commit: &Commit) -> io::Result<Applied> {
        let end = self.end() + 1;
        let image = &mut self.state.image;
        let is_due = commit.base == image.epoch.0;
        #[cfg(test)]
        let is_due = is_due || rt::sim::is_off(rt::sim::Rule::CommitBase);
        if !is_due {
            self.feed.pass(end);
            return Ok(Applied {
                epoch: image.epoch.0,
                is_taken: false,
            });
        }
        let records = record::decode_all(&commit.records).map_err(io::Error::other)?;
        image.apply_all(&records);
        image.epoch = ImageEpoch(commit.epoch);
        self.feed.push(Passed {
            epoch: commit.epoch,
            end,
            records: commit.records.clone(),
        });
        self.hand_on(Event::Delta(Delta {
            epoch: ImageEpoch(commit.epoch),
            records,
        }));
        Ok(Applied {
            epoch: commit.epoch,
            is_taken: true,
        })
    }

    /// The lane has no limit: what was agreed on cannot be left out. It is gone only when the control loop is.
    fn hand_on(&self, event: Event) {
        let _ = self.events.try_send(event);
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.state.applied, self.state.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let mut applied = Applied {
                epoch: self.state.image.epoch.0,
                is_taken: true,
            };
            let mut taken = None;
            match &entry.payload {
                Payload::Blank => self.feed.pass(self.end() + 1),
                Payload::Normal(commit) => {
                    applied = self.take(commit)?;
                    taken = applied.is_taken.then_some(commit.base);
                }
                Payload::Membership(membership) => {
                    self.feed.pass(self.end() + 1);
                    self.state.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                }
            }
            self.state.applied = Some(entry.log_id);
            self.outcomes.note(**entry.log_id.committed_leader_id(), taken);
            if let Some(responder) = responder {
                responder.send(applied);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            files: self.files.clone(),
            state: self.state.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Bytes) -> Result<(), io::Error> {
        let state = restored(&self.empty, meta, &snapshot)?;
        self.files.write(meta, &snapshot)?;
        self.state = state;
        let image = &self.state.image;
        self.feed.restart(image.epoch, end_of(self.state.applied));
        self.outcomes.forget();
        self.hand_on(Event::Reset(Delta {
            epoch: image.epoch,
            records: image.to_records(),
        }));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let read = self.files.read().map_err(io::Error::other)?;
        Ok(read.map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

/// Writes one state down.
pub struct Builder {
    files: SnapshotFile,
    state: State,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let meta = SnapshotMeta {
            last_log_id: self.state.applied,
            last_membership: self.state.membership.clone(),
        };
        let snapshot = encoded(self.state.image.epoch, &self.state.image.to_records());
        self.files.write(&meta, &snapshot)?;
        Ok(Snapshot { meta, snapshot })
    }
}

fn end_of(applied: Option<LogId>) -> u64 {
    applied.map_or(0, |last| last.index() + 1)
}

fn encoded(epoch: ImageEpoch, records: &[Record]) -> Bytes {
    let mut data = Vec::new();
    codec::put_u64(&mut data, epoch.0);
    record::encode_all(records, &mut data);
    data.into()
}

fn restored(empty: &Image, meta: &SnapshotMeta, data: &Bytes) -> io::Result<State> {
    let mut data = Reader::new(data.clone());
    let epoch = data.u64()?;
    let records = record::decode_all(&data.rest()).map_err(io::Error::other)?;
    let mut image = empty.clone();
    image.apply_all(&records);
    image.epoch = ImageEpoch(epoch);
    Ok(State {
        applied: meta.last_log_id,
        membership: meta.last_membership.clone(),
        image,
    })
}

/// The one snapshot on disk, replaced as a whole.
#[derive(Clone)]
struct SnapshotFile {
    path: PathBuf,
    /// The last entry in it. One may be built while a later one arrives.
    last: Arc<Mutex<Option<LogId>>>,
}

impl SnapshotFile {
    fn new(dir: &Path) -> SnapshotFile {
        SnapshotFile {
            path: dir.join(SNAPSHOT),
            last: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<LogId>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, last: Option<LogId>) {
        *self.lock() = last;
    }

    fn read(&self) -> Result<Option<(SnapshotMeta, Bytes)>, StartError> {
        let Some(mut payload) = read_sealed(&self.path, Kind::QuorumSnapshot)? else {
            return Ok(None);
        };
        let path = self.path.clone();
        let meta = payload.meta().map_err(|cause| StartError::Io { path, cause })?;
        Ok(Some((meta, payload.rest())))
    }

    fn write(&self, meta: &SnapshotMeta, data: &[u8]) -> io::Result<()> {
        let mut last = self.lock();
        if *last > meta.last_log_id {
            return Ok(());
        }
        let index = meta.last_log_id.map_or(0, |id| id.index());
        let bytes = frame::seal(Kind::QuorumSnapshot, index, |out| {
            codec::put_meta(out, meta);
            out.extend_from_slice(data);
        });
        #[cfg(test)]
        if rt::sim::is_off(rt::sim::Rule::KeptSnapshot) {
            return Ok(());
        }
        blocking::write_file_atomic(&self.path, &bytes)?;
        *last = meta.last_log_id;
        Ok(())
    }
}

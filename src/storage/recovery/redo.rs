//! What a crash left in the journals goes where it belongs: behind the log's end, batch by batch.
//!
//! Entries below the end were placed in time. Those that begin behind it are worth nothing without what is missing in
//! between (a power cut may take that, where batches took turns in being written to journal and segment): they are
//! dropped, and the log begins another life, so that no later start takes them for the successors of other batches.

use super::*;
use crate::model::PartitionId;
use crate::rt::{Buf, Sync};
use crate::storage::journal::Entry;
use crate::storage::run::next_header;
use crate::storage::segment::write_end;

/// Batches for one segment.
struct Piece {
    segment: i64,
    batches: Vec<u8>,
}

/// What of the entries follows the log's end.
struct Plan {
    pieces: Vec<Piece>,
    is_gap: bool,
}

impl Recovery<'_> {
    /// Appends what journals hold beyond the log's end. Gives the number of the log's life.
    pub(super) async fn redo(&mut self, life: Option<Life>, replay: &mut dyn Replay) -> Result<u32, StorageError> {
        let life = life.map(|life| life.number);
        let partition = PartitionId {
            topic: self.options.topic_id,
            index: self.options.index,
        };
        let entries = self.options.log_dir.journaled(partition);
        let plan = plan(entries, life, self.end);
        for piece in plan.pieces {
            self.redo_piece(piece, replay).await?;
        }
        if let (Some(life), false) = (life, plan.is_gap) {
            return Ok(life);
        }
        let end = self.end;
        tracing::warn!(path = %self.options.dir.display(), end, "what the journal holds of a log does not follow its end: it is dropped");
        Life::begin(&self.options.dir, self.end).await
    }

    async fn redo_piece(&mut self, piece: Piece, replay: &mut dyn Replay) -> Result<(), StorageError> {
        let mut good = self.take_segment(piece.segment).await?;
        let mut segment = OpenSegment::open(&self.options.dir, good.base_offset).await?;
        let mut aborted = match good.has_aborted {
            true => txn_index::load(&self.options.dir, good.base_offset).await?,
            false => Vec::new(),
        };
        // Until it is whole again the segment must not look sealed.
        remove_indexes(&segment.handle).await?;
        segment.append(good.size, &piece.batches).await?;
        let interval = self.index_interval();
        let mut rest = &piece.batches[..];
        while let Ok(header) = next_header(rest) {
            let (batch, later) = rest.split_at(header.total_len());
            let seen = Seen {
                header: &header,
                batch,
                position: good.size,
            };
            good.indexes.note(place(&seen), interval);
            self.epochs.note(header.leader_epoch, header.base_offset);
            aborted.extend(replay.batch(&header, batch));
            good.size += batch.len() as u64;
            self.end = header.next_offset();
            rest = later;
        }
        segment.finish(good.size, &good.indexes).await?;
        txn_index::write(&self.options.dir, good.base_offset, &aborted).await?;
        good.has_aborted = !aborted.is_empty();
        let bytes = piece.batches.len();
        tracing::info!(path = %segment.path.display(), bytes, "batches from the journal");
        self.segments.push(good);
        // Whatever a broken write left there, the journal had it.
        self.cut_bytes = 0;
        Ok(())
    }

    /// The log's newest segment, or a new one if the batches were staged to one that is not there.
    async fn take_segment(&mut self, base_offset: i64) -> Result<Good, StorageError> {
        let is_there = |last: &Good| last.base_offset >= base_offset;
        if let Some(last) = self.segments.pop_if(|last| is_there(last)) {
            return Ok(last);
        }
        let path = segment_path(&self.options.dir, self.end, LOG);
        let made = File::open(&path, Open::CreateNew).await;
        made.map_err(|source| StorageError::io("create", &path, source))?;
        Ok(Good {
            base_offset: self.end,
            size: 0,
            indexes: Indexes::new(self.end),
            has_aborted: false,
        })
    }
}

impl OpenSegment {
    /// Writes `bytes` at `position`, the end of the segment's batches.
    async fn append(&mut self, position: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let skip = (position % ALIGN as u64) as usize;
        let front = self.read(position - skip as u64, skip as u64).await?;
        let end = write_end(position + bytes.len() as u64);
        let given = self.file.preallocate(end).await;
        given.map_err(|source| StorageError::io("preallocate", &self.path, source))?;
        self.len = self.len.max(end);
        let mut buf = Buf::with_capacity((end - (position - skip as u64)) as usize);
        buf.append(&front);
        buf.append(bytes);
        let len = buf.capacity();
        let written = self
            .file
            .write_at(buf.freeze(), 0..len, position - skip as u64, Sync::No)
            .await;
        written.map_err(|source| StorageError::io("write", &self.path, source))
    }
}

/// Sorts out what follows a log's end. Every start redoes it from the disk, so it need not remember how far it came.
fn plan(mut entries: Vec<Entry>, life: Option<u32>, end: i64) -> Plan {
    entries.retain(|entry| Some(entry.life) == life);
    entries.sort_by_key(|entry| next_header(&entry.batches).map_or(i64::MAX, |header| header.base_offset));
    let mut plan = Plan {
        pieces: Vec::new(),
        is_gap: false,
    };
    let mut next = end;
    for entry in entries {
        let mut rest = &entry.batches[..];
        while let Ok(header) = next_header(rest) {
            let Some((batch, later)) = rest.split_at_checked(header.total_len()) else {
                break;
            };
            rest = later;
            if header.next_offset() <= next {
                continue;
            }
            if header.base_offset != next || header.check_crc(batch).is_err() {
                plan.is_gap = true;
                return plan;
            }
            match plan.pieces.last_mut().filter(|piece| piece.segment == entry.segment) {
                Some(piece) => piece.batches.extend_from_slice(batch),
                None => plan.pieces.push(Piece {
                    segment: entry.segment,
                    batches: batch.to_vec(),
                }),
            }
            next = header.next_offset();
        }
    }
    plan
}

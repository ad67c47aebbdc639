//! Reads ahead of whoever takes a log from the disk piece by piece: while a piece is on its way to the reader, the next one
//! is read into the cache.
//!
//! Nobody has asked for it yet, so it takes only what others leave: a read that would be free, memory to spare. A fetch
//! that comes before such a read has ended waits for it.

use std::collections::VecDeque;
use std::time::Duration;

use super::catchup::{Class, Planned};
use super::message::Life;
use crate::rt::Instant;

/// This part of the cache for what was read may be filled ahead: the rest is for several readers of one log.
const CACHE_SHARE: usize = 2;
/// What nobody has asked for by then belongs to a reader that went away.
const UNREAD_MAX: Duration = Duration::from_secs(2);

/// Where a piece begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) life: Life,
    pub(super) offset: i64,
}

/// A read of a fetch that another one makes for it.
pub(super) struct Waiting {
    pub(super) part: u64,
    pub(super) planned: Planned,
}

#[derive(Default)]
pub(super) struct ReadAheads {
    /// To be read when there is room, at the end of the turn.
    wanted: Vec<(Piece, Class)>,
    running: Vec<Running>,
    /// Read, and not asked for so far; the oldest first.
    unread: VecDeque<Unread>,
}

struct Running {
    piece: Piece,
    bytes: usize,
    waiting: Vec<Waiting>,
}

struct Unread {
    piece: Piece,
    bytes: usize,
    since: Instant,
}

impl ReadAheads {
    /// A reader has taken all in front of the piece.
    pub(super) fn want(&mut self, piece: Piece, class: Class) {
        if self.running(piece).is_some() {
            return;
        }
        match self.wanted.iter_mut().find(|(wanted, _)| *wanted == piece) {
            Some((_, wanted_by)) => *wanted_by = class.min(*wanted_by),
            None => self.wanted.push((piece, class)),
        }
    }

    pub(super) fn take_wanted(&mut self) -> Vec<(Piece, Class)> {
        std::mem::take(&mut self.wanted)
    }

    /// Whether as many bytes more may be read ahead into a cache for `limit` bytes of what was read.
    pub(super) fn has_room(&mut self, bytes: usize, limit: usize, now: Instant) -> bool {
        while self
            .unread
            .front()
            .is_some_and(|oldest| now.since(oldest.since) >= UNREAD_MAX)
        {
            self.unread.pop_front();
        }
        let running: usize = self.running.iter().map(|running| running.bytes).sum();
        let unread: usize = self.unread.iter().map(|unread| unread.bytes).sum();
        running + unread + bytes <= limit / CACHE_SHARE
    }

    pub(super) fn begin(&mut self, piece: Piece, bytes: usize) {
        self.running.push(Running {
            piece,
            bytes,
            waiting: Vec::new(),
        });
    }

    pub(super) fn is_running(&self, piece: Piece) -> bool {
        self.running(piece).is_some()
    }

    /// The read waits for that of the piece, which is running.
    pub(super) fn wait(&mut self, piece: Piece, waiting: Waiting) {
        let at = self.running(piece).expect("the piece is being read");
        self.running[at].waiting.push(waiting);
    }

    /// The read of the piece has ended: who waits for it. What nobody waits for is unread.
    pub(super) fn end(&mut self, piece: Piece, now: Instant) -> Vec<Waiting> {
        let Some(at) = self.running(piece) else {
            return Vec::new();
        };
        let Running { bytes, waiting, .. } = self.running.swap_remove(at);
        if waiting.is_empty() {
            self.unread.push_back(Unread {
                piece,
                bytes,
                since: now,
            });
        }
        waiting
    }

    /// A reader was served from the cache up to `next_offset`: if by what was read ahead of it, it will want more.
    pub(super) fn on_cached(&mut self, piece: Piece, next_offset: i64, class: Class) {
        let Some(at) = self.unread.iter().position(|unread| unread.piece == piece) else {
            return;
        };
        if next_offset <= piece.offset {
            return;
        }
        self.unread.remove(at);
        let next = Piece {
            offset: next_offset,
            ..piece
        };
        self.want(next, class);
    }

    fn running(&self, piece: Piece) -> Option<usize> {
        self.running.iter().position(|running| running.piece == piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Incarnation, PartitionId, TopicId};
    use crate::storage::ReadPlan;

    fn piece(offset: i64) -> Piece {
        let partition = PartitionId {
            topic: TopicId::ZERO,
            index: 0,
        };
        let incarnation = Incarnation(1);
        Piece {
            life: Life { partition, incarnation },
            offset,
        }
    }

    /// What was read and not asked for bounds what is read more, until it is asked for or too old.
    #[test]
    fn what_is_unread_makes_no_room() {
        let mut aheads = ReadAheads::default();
        let now = Instant(0);
        assert!(aheads.has_room(50, 100, now));
        aheads.begin(piece(1), 50);
        assert!(!aheads.has_room(1, 100, now));
        assert!(aheads.end(piece(1), now).is_empty());
        assert!(!aheads.has_room(1, 100, now));
        aheads.on_cached(piece(1), 2, Class::Awaited);
        assert_eq!(aheads.take_wanted(), [(piece(2), Class::Awaited)]);
        assert!(aheads.has_room(50, 100, now));
        aheads.begin(piece(2), 50);
        aheads.end(piece(2), now);
        assert!(!aheads.has_room(1, 100, Instant(0).after(UNREAD_MAX - Duration::from_nanos(1))));
        assert!(aheads.has_room(50, 100, Instant(0).after(UNREAD_MAX)));
    }

    /// A piece is wanted once, and not while it is being read; who waits for it comes back with its end.
    #[test]
    fn a_piece_is_read_once() {
        let mut aheads = ReadAheads::default();
        aheads.want(piece(1), Class::Awaited);
        aheads.want(piece(1), Class::Awaited);
        assert_eq!(aheads.take_wanted(), [(piece(1), Class::Awaited)]);
        aheads.begin(piece(1), 10);
        aheads.want(piece(1), Class::Awaited);
        assert!(aheads.take_wanted().is_empty());
        let waiting = Waiting {
            part: 7,
            planned: Planned {
                class: Class::Awaited,
                slot: 3,
                life: piece(1).life,
                plan: ReadPlan::of_disk_bytes(10),
                mark: 0,
            },
        };
        aheads.wait(piece(1), waiting);
        let ended = aheads.end(piece(1), Instant(0));
        assert_eq!(
            ended.iter().map(|one| (one.part, one.planned.slot)).collect::<Vec<_>>(),
            [(7, 3)]
        );
        aheads.on_cached(piece(1), 2, Class::Awaited);
        assert!(
            aheads.take_wanted().is_empty(),
            "somebody has it, and says what he wants"
        );
    }
}

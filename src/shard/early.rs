//! Questions that come before a log is open: they wait a little for it, so that whoever creates a topic, or meets a broker
//! that has just started, can go on at once. Each log is waited for only for a moment after its opening was asked for: a
//! long recovery must not hold back questions that are about other partitions too.

use std::time::Duration;

use super::hosted::{Hosted, PARKED_MAX};
use super::message::{Ask, Question};
use super::state::Shard;
use super::timers::Due;
use crate::model::{ErrorCode, PartitionId};
use crate::rt::{Instant, Now};

/// How long after its opening was asked for a log is waited for.
const OPENING_WAIT: Duration = Duration::from_secs(1);

/// Those who wait for one log, and until when.
pub(super) struct Early {
    asks: Vec<Ask>,
    until: Instant,
}

impl Early {
    pub(super) fn new(now: Now) -> Early {
        Early {
            asks: Vec::new(),
            until: now.instant.after(OPENING_WAIT),
        }
    }

    pub(super) fn take(&mut self) -> Early {
        Early {
            asks: std::mem::take(&mut self.asks),
            until: self.until,
        }
    }

    fn takes_more(&self, now: Now) -> bool {
        now.instant < self.until && self.asks.len() < PARKED_MAX
    }
}

impl Shard {
    pub(super) fn on_ask(&mut self, ask: Ask, now: Now) {
        let Ask { from, request, .. } = ask;
        if self.stopping.is_some() {
            let refused = ask.question.refused(ErrorCode::NotLeaderOrFollower);
            return self.answer(from, request, refused);
        }
        // Nearly always no log is being opened; then the question is not looked through.
        if !self.openings.is_empty() {
            let awaited = partitions(&ask.question).find(|id| self.is_awaited(*id, now));
            if let Some(id) = awaited
                && let Some(Hosted::Opening(opening)) = self.hosted.get_mut(&id)
            {
                self.timers.add(opening.early.until, Due::Opening(id));
                return opening.early.asks.push(ask);
            }
        }
        self.take_question(from, request, ask.question, now);
    }

    fn is_awaited(&self, id: PartitionId, now: Now) -> bool {
        match self.hosted.get(&id) {
            Some(Hosted::Opening(opening)) => !opening.doomed && opening.early.takes_more(now),
            _ => false,
        }
    }

    /// The log is open, or will not be: each question is answered, or waits for another log that it is about.
    pub(super) fn release_early(&mut self, id: PartitionId, early: Early, now: Now) {
        self.timers.remove(early.until, Due::Opening(id));
        for ask in early.asks {
            self.on_ask(ask, now);
        }
    }

    /// The log takes longer than it is waited for: who waited is answered as things are.
    pub(super) fn on_opening_due(&mut self, id: PartitionId, now: Now) {
        if let Some(Hosted::Opening(opening)) = self.hosted.get_mut(&id) {
            let early = opening.early.take();
            self.release_early(id, early, now);
        }
    }
}

/// The partitions that a question waits for. Appends wait one by one, in the log's own queue; sizes are told as they are,
/// and coordinators have an answer for those who come too early.
fn partitions(question: &Question) -> Box<dyn Iterator<Item = PartitionId> + '_> {
    match question {
        Question::Append(_) | Question::LogSizes(_) | Question::Coordinate(..) => Box::new(std::iter::empty()),
        Question::Share(id, _) => Box::new(std::iter::once(*id)),
        Question::Fetch(part) => Box::new(part.items.iter().map(|item| item.partition)),
        Question::ListOffsets(items) => Box::new(items.iter().map(|item| item.partition)),
        Question::EpochEnds(items) => Box::new(items.iter().map(|item| item.partition)),
        Question::DeleteRecords(part) => Box::new(part.items.iter().map(|item| item.partition)),
        Question::Producers(items) => Box::new(items.iter().map(|item| item.partition)),
    }
}

//! Questions that come before the log of a partition that was just created: they wait a little for it, so that whoever
//! creates a topic can use it at once. Logs that were there at start are not waited for: their recovery may take long, and
//! a question about many partitions must not wait for one of them.

use std::time::Duration;

use super::hosted::{Hosted, PARKED_MAX};
use super::message::{Ask, Question};
use super::state::Shard;
use super::timers::Due;
use crate::model::{ErrorCode, PartitionId};
use crate::rt::{Instant, Now};

/// How long a question waits for new logs, all of its partitions together.
const NEW_LOG_WAIT: Duration = Duration::from_secs(1);

/// A question that waits for a new log.
pub(super) struct Early {
    ask: Ask,
    until: Instant,
}

impl Shard {
    pub(super) fn on_ask(&mut self, ask: Ask, now: Now) {
        let until = now.instant.after(NEW_LOG_WAIT);
        self.hold_or_take(Early { ask, until }, now);
    }

    /// Asks whose log is open now, or will not be: some may have to wait for another one.
    pub(super) fn release_early(&mut self, id: PartitionId, early: Vec<Early>, now: Now) {
        for one in early {
            self.timers.remove(one.until, Due::Early(id));
            self.hold_or_take(one, now);
        }
    }

    /// What has waited long enough for this log is answered as things are.
    pub(super) fn on_early_timeout(&mut self, id: PartitionId, now: Now) {
        let Some(Hosted::Opening(opening)) = self.hosted.get_mut(&id) else {
            return;
        };
        let due: Vec<Early> = opening.early.extract_if(.., |one| one.until <= now.instant).collect();
        for one in due {
            self.hold_or_take(one, now);
        }
    }

    fn hold_or_take(&mut self, early: Early, now: Now) {
        let Ask { from, request, .. } = early.ask;
        if self.stopping.is_some() {
            let refused = early.ask.question.refused(ErrorCode::NotLeaderOrFollower);
            return self.answer(from, request, refused);
        }
        // No log is being opened nearly always; then the question is not looked through.
        if self.openings.is_empty() || now.instant >= early.until {
            return self.take_question(from, request, early.ask.question, now);
        }
        let new_log = partitions(&early.ask.question).find(|id| self.is_held_for(*id));
        match new_log.and_then(|id| Some((id, self.hosted.get_mut(&id)?))) {
            Some((id, Hosted::Opening(opening))) => {
                self.timers.add(early.until, Due::Early(id));
                opening.early.push(early);
            }
            _ => self.take_question(from, request, early.ask.question, now),
        }
    }

    fn is_held_for(&self, id: PartitionId) -> bool {
        match self.hosted.get(&id) {
            Some(Hosted::Opening(opening)) => opening.is_new && !opening.doomed && opening.early.len() < PARKED_MAX,
            _ => false,
        }
    }
}

/// The partitions that a question waits for. Appends wait one by one, in the log's own queue; sizes are
/// told as they are, and coordinators have an answer for those who come too early.
fn partitions(question: &Question) -> Box<dyn Iterator<Item = PartitionId> + '_> {
    match question {
        Question::Append(_) | Question::LogSizes(_) | Question::Coordinate(..) => Box::new(std::iter::empty()),
        Question::Fetch(part) => Box::new(part.items.iter().map(|item| item.partition)),
        Question::ListOffsets(items) => Box::new(items.iter().map(|item| item.partition)),
        Question::EpochEnds(items) => Box::new(items.iter().map(|item| item.partition)),
        Question::DeleteRecords(items) => Box::new(items.iter().map(|item| item.partition)),
        Question::Producers(items) => Box::new(items.iter().map(|item| item.partition)),
    }
}

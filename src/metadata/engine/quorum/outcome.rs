//! What became of a commit whose entry the consensus lost sight of: a leader that was deposed is told that its entry is out of
//! its log, and another node may still hold it, lead next, and bring it through. The entries that follow tell.
//!
//! A term has one leader, and a leader makes one commit at a time: the commit of that term on that base is the one, unless it
//! has given up another before. Terms only grow along the log: once an entry of a later one is applied, it will never come.

use std::sync::{Arc, Mutex, PoisonError};

use crate::rt::{OneshotRx, OneshotTx, oneshot};

/// On which a quorum makes its first commit beside the loop, by itself (`form`).
const FIRST_BASE: u64 = 0;

/// What the state machine tells whoever commits, on the same thread. Cheap to clone.
#[derive(Clone, Default)]
pub struct Outcomes(Arc<Mutex<Option<Watched>>>);

struct Watched {
    term: u64,
    base: u64,
    /// Whether it was taken. `None`: another one on the same base may come before, and cannot be told apart.
    tell: Option<OneshotTx<bool>>,
}

impl Outcomes {
    /// Whether the commit is taken that the leader of that term is about to make on that base. It gives `None` where nothing
    /// tells: where another one is like it, or a snapshot comes in place of the entries.
    pub fn watch(&self, term: u64, base: u64) -> OneshotRx<bool> {
        let (tell, outcome) = oneshot();
        self.change(|watched| {
            let is_same = |earlier: &Watched| (earlier.term, earlier.base) == (term, base);
            let has_double = base == FIRST_BASE || watched.as_ref().is_some_and(is_same);
            let tell = (!has_double).then_some(tell);
            *watched = Some(Watched { term, base, tell });
        });
        outcome
    }

    /// An entry of that term was applied. `taken`: it holds a commit on that base, which has changed the state.
    pub fn note(&self, term: u64, taken: Option<u64>) {
        self.change(|watched| {
            let is_told = |watched: &mut Watched| term > watched.term || taken == Some(watched.base);
            let Some(told) = watched.take_if(is_told) else { return };
            if let Some(tell) = told.tell {
                tell.send(term == told.term);
            }
        });
    }

    /// The last one was refused. One before it may come yet.
    pub fn withdraw(&self) {
        self.change(|watched| drop(watched.take_if(|watched| watched.tell.is_some())));
    }

    /// The state is another one, and which entries led to it is not known.
    pub fn forget(&self) {
        self.change(|watched| *watched = None);
    }

    fn change(&self, change: impl FnOnce(&mut Option<Watched>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    /// The term of an entry that was applied, and the base of its commit if that was taken.
    type Noted = (u64, Option<u64>);

    fn told(outcome: &mut OneshotRx<bool>) -> Option<Option<bool>> {
        block_on(poll_once(outcome))
    }

    /// Each row: the entries that follow a commit of term 3 on base 10, and what the last of them tells.
    #[test]
    fn the_entries_that_follow_tell() {
        let rows: [(&[Noted], Option<bool>); 7] = [
            (&[(3, None)], None),
            (&[(3, Some(9))], None),
            (&[(3, Some(9)), (3, Some(10))], Some(true)),
            (&[(2, None), (3, Some(10))], Some(true)),
            (&[(2, Some(10))], Some(false)),
            (&[(4, None)], Some(false)),
            (&[(4, Some(10))], Some(false)),
        ];
        for (entries, expected) in rows {
            let outcomes = Outcomes::default();
            let mut outcome = outcomes.watch(3, 10);
            for (term, taken) in entries {
                assert_eq!(told(&mut outcome), None, "{entries:?}");
                outcomes.note(*term, *taken);
            }
            assert_eq!(told(&mut outcome), expected.map(Some), "{entries:?}");
        }
    }

    /// The first of the two may be what the entry holds.
    #[test]
    fn of_two_on_one_base_nothing_is_told() {
        let outcomes = Outcomes::default();
        let mut first = outcomes.watch(3, 10);
        let mut second = outcomes.watch(3, 10);
        outcomes.note(3, Some(10));
        assert_eq!((told(&mut first), told(&mut second)), (Some(None), Some(None)));
        let refused = outcomes.watch(3, 11);
        outcomes.withdraw();
        let mut next = outcomes.watch(3, 11);
        outcomes.note(3, Some(11));
        assert_eq!((told(&mut next), block_on(refused)), (Some(Some(true)), None));
    }

    #[test]
    fn of_the_first_commit_nothing_is_told() {
        let outcomes = Outcomes::default();
        let mut outcome = outcomes.watch(1, FIRST_BASE);
        outcomes.note(1, Some(FIRST_BASE));
        assert_eq!(told(&mut outcome), Some(None));
    }

    #[test]
    fn a_refusal_says_nothing_of_the_one_before() {
        let outcomes = Outcomes::default();
        let (first, second) = (outcomes.watch(3, 10), outcomes.watch(3, 10));
        outcomes.withdraw();
        let third = outcomes.watch(3, 10);
        outcomes.note(3, Some(10));
        for of in [first, second, third] {
            assert_eq!(block_on(of), None);
        }
    }

    #[test]
    fn a_state_in_place_of_the_entries_tells_nothing() {
        let outcomes = Outcomes::default();
        let mut outcome = outcomes.watch(3, 10);
        outcomes.forget();
        assert_eq!(told(&mut outcome), Some(None));
    }
}

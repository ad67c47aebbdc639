//! Safety rules that a test may switch off on its thread, to see whether a simulation notices that they are gone.

use std::cell::Cell;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The high watermark waits for those who may be in the ISR, not only for those who surely are.
    MaximalIsr,
    /// A follower cuts what its leader's log has not, as the epochs say.
    EpochTruncation,
    /// The high watermark stands still while the ISR is smaller than min.insync.replicas.
    HeldHighWatermark,
    /// Who joins an ISR has an active broker: neither fenced nor about to stop.
    ActiveMember,
    /// Who joins an ISR has not been started again since it fetched.
    SameLife,
    /// A request counts in the leader epoch only that it was made in.
    RequestEpoch,
    /// A broker that did not end in order is eligible for nothing by what it held before.
    UncleanEnd,
    /// A broker leads on a lease of the controller only.
    Lease,
    /// Entries of the quorum's log are synced before they count.
    SyncedLog,
    /// A vote in the quorum is on disk before it counts.
    KeptVote,
    /// A snapshot of the quorum is on disk before the entries in it are let go.
    KeptSnapshot,
    /// A commit counts only on the image that it was decided on.
    CommitBase,
    /// A broker that does not vote is given only commits that follow on what it has.
    CommitsFollow,
    /// Who answers without a commit is sure to lead the quorum still.
    Confirmation,
    /// Who would lead the quorum asks first whether a majority would have it.
    PreVote,
}

impl Rule {
    /// Of the controllers among themselves.
    pub fn is_of_consensus(self) -> bool {
        use Rule::{CommitBase, CommitsFollow, Confirmation, KeptSnapshot, KeptVote, PreVote, SyncedLog};
        matches!(
            self,
            SyncedLog | KeptVote | KeptSnapshot | CommitBase | CommitsFollow | Confirmation | PreVote
        )
    }
}

thread_local! {
    static OFF: Cell<Option<Rule>> = const { Cell::new(None) };
}

pub fn is_off(rule: Rule) -> bool {
    OFF.get() == Some(rule)
}

/// `None`: all hold.
pub fn switch_off(rule: Option<Rule>) {
    OFF.set(rule);
}

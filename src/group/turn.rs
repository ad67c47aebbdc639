//! What the handling of one call brings together: the clock, the settings, and what is to come of it.

use std::sync::Arc;

use super::catalog::Catalog;
use super::classic::{Member, MemberId};
use super::consumer::Search;
use super::deadlines::{Deadlines, Timer};
use super::request::GroupReply;
use crate::config::GroupConfig;
use crate::model::{Effects, Ticket};
use crate::rt::{Instant, Now};

pub(super) struct Turn<'a> {
    pub(super) now: Now,
    pub(super) config: &'a GroupConfig,
    pub(super) catalog: &'a dyn Catalog,
    pub(super) deadlines: &'a mut Deadlines,
    /// Orders of searches for topics.
    pub(super) searches: &'a mut Vec<Search>,
    pub(super) effects: &'a mut Effects<GroupReply>,
}

impl Turn<'_> {
    /// Looks at the member then.
    pub(super) fn remind_of_member(&mut self, group: &Arc<str>, id: &MemberId, at: Instant) {
        self.deadlines.add(at, Timer::Member(group.clone(), id.clone()));
    }

    pub(super) fn reply(&mut self, ticket: Ticket, reply: GroupReply) {
        self.effects.reply(ticket, reply);
    }

    /// Moves the member's deadline. One reminder stands at or before it, so that a heartbeat costs none.
    pub(super) fn expire_member_at(&mut self, group: &Arc<str>, id: &MemberId, member: &mut Member, deadline: Instant) {
        member.set_deadline(deadline);
        if member.needs_reminder() {
            self.forget_reminder(group, id, member);
            member.remind_at(deadline);
            self.deadlines.add(deadline, Timer::Member(group.clone(), id.clone()));
        }
    }

    /// Nobody needs to look at the member under this id any more.
    pub(super) fn forget_reminder(&mut self, group: &Arc<str>, id: &MemberId, member: &mut Member) {
        if let Some(at) = member.take_reminder() {
            self.deadlines.remove(at, Timer::Member(group.clone(), id.clone()));
        }
    }
}

//! What others may know of the groups without asking: looked at in passing.

use std::ops::Bound;
use std::sync::Arc;

use super::coordinator::GroupCoordinator;
use super::one::Group;
use super::request::ListFilter;

/// One group at a glance.
#[derive(Clone, Copy)]
pub struct GroupLook<'a>(&'a Group);

impl GroupCoordinator {
    /// The groups whose ids come behind `after`, in their order.
    pub fn look(&self, after: Option<&str>) -> impl Iterator<Item = GroupLook<'_>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let groups = self.groups.range::<str, _>((from, Bound::Unbounded));
        groups.map(|(_, group)| GroupLook(group))
    }
}

impl<'a> GroupLook<'a> {
    pub fn id(&self) -> &'a Arc<str> {
        &self.0.id
    }

    pub fn state(&self) -> &'static str {
        self.0
            .list(&ListFilter::default())
            .map_or("Unknown", |listed| listed.state)
    }

    pub fn members(&self) -> usize {
        self.0.kind.member_count()
    }

    /// Topic, partition and offset, in this order; without what open transactions will bring.
    pub fn offsets(&self) -> impl Iterator<Item = (&'a Arc<str>, i32, i64)> {
        self.0.offsets.committed()
    }
}

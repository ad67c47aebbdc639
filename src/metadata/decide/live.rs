//! What a decision looks at besides the image: known to the active controller only, and of this moment.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::metadata::image::{Image, ImageEpoch};
use crate::model::{BrokerId, DirId};
use crate::rt::Instant;

/// Who lives, as the active controller has heard. A node that becomes the controller gives every broker that is not
/// fenced a contact of that moment, so that nobody loses a session by a change of controllers. A broker without a cluster
/// has one contact, itself, which is always of now.
#[derive(Clone, Debug)]
pub struct Live {
    /// CLOCK_BOOTTIME: it goes on in suspend.
    pub now_ns: u64,
    pub contacts: BTreeMap<BrokerId, Contact>,
}

/// The last that a broker said.
#[derive(Clone, Debug)]
pub struct Contact {
    /// When its last registration or heartbeat was accepted.
    pub last_ns: u64,
    /// Its process has ended since.
    pub has_ended: bool,
    /// The image that it showed then.
    pub image_epoch: ImageEpoch,
    /// Its log directories that take new partitions.
    pub online_dirs: Vec<DirId>,
}

impl Live {
    /// Whether this broker was heard within broker.session.timeout.ms, and may be heard again.
    pub fn has_session(&self, image: &Image, broker: BrokerId) -> bool {
        let contact = self.contacts.get(&broker);
        contact.is_some_and(|contact| !contact.has_ended && self.now_ns < session_end(image, contact).0)
    }
}

fn session_end(image: &Image, contact: &Contact) -> Instant {
    let timeout_ms = u64::try_from(image.config().broker_session_timeout_ms).unwrap_or(0);
    Instant(contact.last_ns).after(Duration::from_millis(timeout_ms))
}

/// When the first of the brokers that are not fenced is silent, if it is not heard until then.
pub fn next_session_end(image: &Image, contacts: &BTreeMap<BrokerId, Contact>) -> Option<Instant> {
    let is_active = |id: &BrokerId| image.brokers.get(id).is_some_and(|broker| !broker.fenced);
    let of_active = contacts
        .iter()
        .filter(|(id, contact)| is_active(id) && !contact.has_ended);
    of_active.map(|(_, contact)| session_end(image, contact)).min()
}

/// Brokers that are to be fenced by `FenceSilent`: those that are not fenced and have no session, with their epochs.
pub fn silent_brokers(image: &Image, live: &Live) -> Vec<(BrokerId, i64)> {
    let is_silent = |id: &BrokerId| !live.has_session(image, *id);
    let unfenced = image.brokers.values().filter(|broker| !broker.fenced);
    unfenced
        .filter(|broker| is_silent(&broker.id))
        .map(|broker| (broker.id, broker.epoch))
        .collect()
}

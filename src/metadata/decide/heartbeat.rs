//! Heartbeats: a broker becomes active once it knows enough, and goes once nobody needs it.

use super::brokers::{
    begin_shutdown, check_epoch, fence, fill_directories, lose_directories, replace_lost_directories, unfence,
};
use super::{Live, Scratch};
use crate::metadata::command::{CommandError, Heartbeat, Reply};
use crate::metadata::image::{BrokerState, Image};
use crate::model::BrokerId;

/// Where a broker stands after its heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Fenced,
    Active,
    /// It hands over, then closes its connections. Until its last heartbeat clients are told of it: one that finds its
    /// leader missing among the brokers, before it knows the next, may take a second to ask again.
    ShuttingDown,
    /// Fenced, and it may end.
    Ended,
}

pub fn heartbeat(scratch: &mut Scratch<'_>, beat: &Heartbeat) -> Result<Reply, CommandError> {
    let broker = check_epoch(&scratch.image, beat.id, beat.epoch)?.clone();
    let is_caught_up = is_caught_up(&scratch.image, &broker, beat);
    let has_disk = broker.log_dirs.is_empty() || broker.log_dirs.iter().any(|dir| !beat.offline_dirs.contains(dir));
    let now = standing(&broker);
    let next = match now {
        Standing::Fenced if beat.want_shutdown => Standing::Ended,
        Standing::Fenced if beat.want_fence || !has_disk || !is_caught_up => Standing::Fenced,
        Standing::Fenced => Standing::Active,
        Standing::Active | Standing::ShuttingDown if beat.want_shutdown && beat.want_fence => Standing::Ended,
        Standing::Active if beat.want_shutdown && leads_nothing(&scratch.image, beat.id) => Standing::Ended,
        Standing::Active if beat.want_shutdown => Standing::ShuttingDown,
        Standing::Active if beat.want_fence || !has_disk => Standing::Fenced,
        unchanged => unchanged,
    };
    if has_disk {
        // First, so that nothing on a failed disk is elected.
        lose_directories(scratch, beat.id, &beat.offline_dirs);
    }
    step(scratch, beat.id, now, next);
    if next == Standing::Active {
        fill_directories(scratch, beat.id, &beat.full_dirs);
        if beat.offline_dirs.is_empty() {
            replace_lost_directories(scratch, beat.id);
        }
    }
    Ok(Reply::Heartbeat {
        is_caught_up,
        is_fenced: matches!(next, Standing::Fenced | Standing::Ended),
        should_shut_down: next == Standing::Ended
            || next == Standing::ShuttingDown && may_end(&scratch.image, scratch.live, beat.id),
    })
}

fn standing(broker: &BrokerState) -> Standing {
    match (broker.fenced, broker.in_controlled_shutdown) {
        (true, _) => Standing::Fenced,
        (false, Some(_)) => Standing::ShuttingDown,
        (false, None) => Standing::Active,
    }
}

fn step(scratch: &mut Scratch<'_>, id: BrokerId, now: Standing, next: Standing) {
    match (now, next) {
        (Standing::Active | Standing::ShuttingDown, Standing::Fenced | Standing::Ended) => fence(scratch, id),
        (Standing::Fenced, Standing::Active) => unfence(scratch, id),
        (Standing::Active, Standing::ShuttingDown) => begin_shutdown(scratch, id),
        _ => {}
    }
}

/// Its image holds its registration, or is as new as there is one.
fn is_caught_up(image: &Image, broker: &BrokerState, beat: &Heartbeat) -> bool {
    let registered = u64::try_from(broker.epoch).unwrap_or(0);
    beat.image_epoch.0 >= registered.min(image.epoch.0)
}

fn leads_nothing(image: &Image, id: BrokerId) -> bool {
    image.leaderships_of(id) == 0
}

/// It leads nothing, and every active broker shows an image in which that is so.
fn may_end(image: &Image, live: &Live, id: BrokerId) -> bool {
    let since = image.brokers.get(&id).and_then(|broker| broker.in_controlled_shutdown);
    let knows = |other: &BrokerState| {
        let contact = live.contacts.get(&other.id);
        contact.is_some_and(|contact| Some(contact.image_epoch) >= since)
    };
    let mut active = image.brokers.values().filter(|other| other.is_active());
    leads_nothing(image, id) && active.all(|other| knows(other))
}

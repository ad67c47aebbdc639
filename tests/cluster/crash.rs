//! What a single node's clients are promised through kill -9, on a cluster in which one broker after the other falls: some
//! for a moment, some until others have taken over. And brokers that stand still and then go on as if nothing had been.
//! `ROUNDS` says how often, `SEED` replays.

use super::Cluster;
use super::failover::{Load, TOPIC};
use crate::crash::groups::groups_come_back;
use crate::crash::transactions::transactions_end_as_a_whole;
use crate::support::wait_until;

impl Cluster {
    /// A broker falls and comes back: every other time at once, else when nothing waits for it any more.
    fn fall(&mut self, round: u64) {
        let victim = (round % 3) as usize;
        let other = (victim + 1) % 3;
        let at_once = round % 2 == 1;
        if !at_once {
            wait_until("all replicas are in sync", || self.in_sync(other, None, 3));
        }
        self.nodes[victim].kill_9();
        if !at_once {
            wait_until("others lead", || self.is_led_without(other, victim));
        }
        self.nodes[victim].restart();
    }
}

#[test]
fn transactions_end_as_a_whole_when_brokers_fall() {
    let mut cluster = Cluster::start();
    let bootstrap = cluster.bootstrap();
    transactions_end_as_a_whole(&bootstrap, 5, |round| cluster.fall(round));
}

#[test]
fn groups_come_back_when_brokers_fall() {
    let mut cluster = Cluster::start();
    let bootstrap = cluster.bootstrap();
    groups_come_back(&bootstrap, 5, |round| cluster.fall(round));
}

/// What is in the sockets of a broker that stands still is answered when it goes on, after others have led: its lease is
/// over, and nothing that it takes then may be acknowledged and lost.
#[test]
fn brokers_that_stood_still_lose_nothing() {
    let cluster = Cluster::start();
    let load = Load::start(&cluster);
    for victim in 0..3 {
        load.ledger.await_more();
        let other = (victim + 1) % 3;
        cluster.nodes[victim].signal("STOP");
        wait_until("others lead", || cluster.is_led_without(other, victim));
        load.ledger.await_more();
        cluster.nodes[victim].signal("CONT");
        wait_until("it is in sync again", || cluster.in_sync(other, Some(TOPIC), 3));
    }
    load.stop_and_check(&cluster);
}

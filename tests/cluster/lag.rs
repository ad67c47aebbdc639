//! A follower that lags is out of sync long before its broker would be given up.

use super::Cluster;
use super::failover::{Load, TOPIC};
use super::tools_partitions::{create, ours};
use crate::support::wait_until;

/// It stands still for longer than `replica.lag.time.max.ms` and shorter than its session: the leaders put it out of the ISR
/// while it counts as alive, acks=all goes on with the others, and it comes back once it goes on.
#[test]
fn a_follower_that_lags_leaves_the_isr_and_comes_back() {
    let cluster = Cluster::start_with(&[
        ("replica.lag.time.max.ms", "2000"),
        ("broker.session.timeout.ms", "60000"),
    ]);
    // So that nothing but the follower is missed.
    let leader = cluster.controller();
    let [other, lagging] = [(leader + 1) % 3, (leader + 2) % 3];
    let [first, second, last] = [leader, other, lagging].map(|node| node + 1);
    create(
        &cluster,
        &format!(
            "--topic {TOPIC} --replica-assignment {first}:{second}:{last},{second}:{last}:{first},{first}:{last}:{second}"
        ),
    );
    let load = Load::onto_topic(&cluster, 3);
    load.ledger.await_more();

    cluster.nodes[lagging].signal("STOP");
    let others = |isr: &[i32]| isr.len() == 2 && !isr.contains(&(last as i32));
    wait_until("it is out of the ISR", || {
        let partitions = cluster.replicas_in_sync(leader, Some(TOPIC));
        partitions.len() == 3 && partitions.iter().all(|(_, isr)| others(isr))
    });
    load.ledger.await_more();
    let listed = ours(&cluster, "cluster list-endpoints", "--include-fenced-brokers");
    assert!(listed.lines().count() == 4 && !listed.contains(" fenced "), "{listed}");

    cluster.nodes[lagging].signal("CONT");
    wait_until("it is in sync again", || cluster.in_sync(leader, Some(TOPIC), 3));
    load.ledger.await_more();
    load.stop_and_check(&cluster).check_none_failed();
}

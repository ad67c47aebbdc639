//! A rebalance of a large group: from the last member's join until every member has its assignment.

use std::thread;
use std::time::{Duration, Instant};

use super::member::{Member, settle};
use super::{Goal, Row, connect, fresh};
use crate::brokers::Broker;

const MEMBERS: usize = 100;
const PARTITIONS: usize = 1_000;
const TIMES: usize = 5;
const GOAL_MS: f64 = 1_000.0;
/// Until all joins but the last have been read.
const GATHERING: Duration = Duration::from_millis(200);

pub fn measure(broker: &mut Broker, _: Duration) -> anyhow::Result<Vec<Row>> {
    let mut connections = (0..MEMBERS).map(|_| connect(broker)).collect::<Result<Vec<_>, _>>()?;
    let group = fresh("rebalance");
    let mut members = Member::join_all(&mut connections, |_| group.clone(), "a-topic")?;
    let mut worst = Duration::ZERO;
    for _ in 0..TIMES {
        // The leader's join begins the rebalance; a follower without news would be answered at once.
        let leader = members.iter().position(|member| member.leads).unwrap_or_default();
        let last = (leader + 1) % MEMBERS;
        connections[leader].send(&members[leader].join_request())?;
        thread::sleep(GATHERING);
        for at in (0..MEMBERS).filter(|at| *at != leader && *at != last) {
            connections[at].send(&members[at].join_request())?;
        }
        thread::sleep(GATHERING);
        let begun = Instant::now();
        connections[last].send(&members[last].join_request())?;
        settle(&mut members, &mut connections, PARTITIONS)?;
        worst = worst.max(begun.elapsed());
    }
    Ok(vec![Row {
        what: "rebalance of 100 members over 1,000 partitions, after the last join",
        value: worst.as_secs_f64() * 1_000.0,
        unit: "ms",
        goal: Some(Goal::AtMost(GOAL_MS)),
        note: format!("the worst of {TIMES}"),
    }])
}

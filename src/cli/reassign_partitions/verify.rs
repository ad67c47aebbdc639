//! `--verify`: how far the moves of a file are, and the end of throttles once all are over; and waiting for that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Args;
use super::dirs;
use super::plan::Move;
use super::progress::Progress;
use super::throttle;
use crate::cli::connect::list_of;
use crate::cli::partitions::{self, Moving, Named, name_of};
use crate::client::Cluster;
use crate::rt::tool;

/// Between two looks while waiting.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) fn run(cluster: &mut Cluster, args: &Args, moves: &[Move]) -> anyhow::Result<()> {
    if args.wait {
        wait(cluster, moves.iter().map(|one| &one.id))?;
    }
    let moving = partitions::moving(cluster)?;
    let states = states(cluster, moves, &moving)?;
    let wanted = dirs::wanted(moves);
    let disks = dirs::look(cluster, wanted.keys().map(|(_, id)| id));
    println!("{}\n{}", told(&states), disks.told(&wanted));
    match moving.is_empty() && !args.preserve_throttles {
        true => throttle::clear(cluster, moves),
        false => Ok(()),
    }
}

/// Returns once none of the partitions is being moved any more.
pub(super) fn wait<'a>(cluster: &mut Cluster, partitions: impl Iterator<Item = &'a Named>) -> anyhow::Result<()> {
    let partitions: BTreeSet<&Named> = partitions.collect();
    let mut progress = Progress::new(partitions.len());
    loop {
        let mut moving = partitions::moving(cluster)?;
        moving.retain(|id, _| partitions.contains(id));
        if moving.is_empty() {
            progress.end();
            return Ok(());
        }
        progress.show(cluster, &moving);
        tool::sleep(PAUSE);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Moving,
    Done,
    /// Nothing moves it, and it is not where it is to be.
    Elsewhere {
        is: Vec<i32>,
        to_be: Vec<i32>,
    },
}

fn states(
    cluster: &mut Cluster,
    moves: &[Move],
    moving: &BTreeMap<Named, Moving>,
) -> anyhow::Result<BTreeMap<Named, State>> {
    let still: BTreeSet<&str> = moves
        .iter()
        .filter(|one| !moving.contains_key(&one.id))
        .map(|one| one.id.0.as_str())
        .collect();
    let topics = partitions::describe(cluster, &still.into_iter().collect::<Vec<_>>())?;
    let replicas = |(topic, index): &Named| {
        let partitions = topics.get(topic).map_or(&[][..], |topic| &topic.partitions);
        let found = partitions.iter().find(|partition| partition.index == *index);
        found.map(|partition| partition.replicas.clone()).unwrap_or_default()
    };
    let state = |one: &Move| {
        let is = replicas(&one.id);
        let state = match (moving.contains_key(&one.id), is == one.replicas) {
            (true, _) => State::Moving,
            (false, true) => State::Done,
            (false, false) => State::Elsewhere {
                is,
                to_be: one.replicas.clone(),
            },
        };
        (one.id.clone(), state)
    };
    Ok(moves.iter().map(state).collect())
}

fn told(states: &BTreeMap<Named, State>) -> String {
    let mut lines = vec!["Status of partition reassignment:".to_owned()];
    for (id, state) in states {
        let id = name_of(id);
        lines.push(match state {
            State::Moving => format!("Reassignment of partition {id} is still in progress."),
            State::Done => format!("Reassignment of partition {id} is completed."),
            State::Elsewhere { is, to_be } => format!(
                "There is no active reassignment of partition {id}, but replica set is {} rather than {}.",
                list_of(is),
                list_of(to_be)
            ),
        });
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of Kafka 4.3.1's tool.
    #[test]
    fn states_are_told_in_kafkas_sentences() {
        let id = |index| ("foo".to_owned(), index);
        let elsewhere = State::Elsewhere {
            is: vec![0, 1],
            to_be: vec![2, 1],
        };
        let states = BTreeMap::from([(id(2), State::Moving), (id(0), State::Done), (id(10), elsewhere)]);
        assert_eq!(
            told(&states),
            "Status of partition reassignment:\n\
             Reassignment of partition foo-0 is completed.\n\
             Reassignment of partition foo-2 is still in progress.\n\
             There is no active reassignment of partition foo-10, but replica set is 0,1 rather than 2,1."
        );
    }
}

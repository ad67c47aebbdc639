//! What every assignment keeps, whatever the group; and what each assignor promises beyond that.

use super::*;

const TOPICS: u8 = 4;

fn id(topic: u8) -> TopicId {
    TopicId([topic; 16])
}

fn subscriber(topics: &[u8]) -> Subscriber<'static> {
    Subscriber {
        instance_id: None,
        topics: topics.iter().map(|topic| id(*topic)).collect(),
        target: None,
    }
}

fn counts(of: &[(u8, i32)]) -> BTreeMap<TopicId, i32> {
    of.iter().map(|(topic, count)| (id(*topic), *count)).collect()
}

fn size(target: &Assignment) -> usize {
    target.values().map(BTreeSet::len).sum()
}

fn sizes(targets: &Targets) -> Vec<usize> {
    targets.values().map(size).collect()
}

/// How many partitions have another owner than before.
fn moves(before: &Targets, after: &Targets) -> usize {
    let kept = |(member, target): (&MemberId, &Assignment)| {
        let of_topic = |(topic, partitions): (&TopicId, &BTreeSet<i32>)| {
            let old = before.get(member).and_then(|old| old.get(topic));
            partitions
                .iter()
                .filter(|index| !old.is_some_and(|old| old.contains(index)))
                .count()
        };
        target.iter().map(of_topic).sum::<usize>()
    };
    after.iter().map(kept).sum()
}

#[test] // Goal: the shares differ by one at most, and a change moves no more than it has to.
fn equal_readers_have_equal_shares() {
    let counts = counts(&[(1, 5), (2, 6)]);
    let both = [1, 2];
    let mut before = Targets::new();
    for members in [1, 2, 3, 4, 3, 5, 1] {
        let names: Vec<MemberId> = (0..members).map(|at| format!("m{at}").into()).collect();
        let subscribers = names.iter().map(|name| {
            let member = Subscriber {
                target: before.get(name),
                ..subscriber(&both)
            };
            (name.clone(), member)
        });
        let after = Assignor::Uniform.assign(&subscribers.collect(), &counts);
        let share = 11 / members;
        assert!(
            sizes(&after).iter().all(|size| (share..=share + 1).contains(size)),
            "{after:?}"
        );
        // Those who come take their shares, those who go leave theirs.
        let gone: usize = before
            .iter()
            .filter(|(name, _)| !after.contains_key(*name))
            .map(|(_, of)| size(of))
            .sum();
        let came: usize = after
            .iter()
            .filter(|(name, _)| !before.contains_key(*name))
            .map(|(_, of)| size(of))
            .sum();
        assert!(moves(&before, &after) <= gone.max(came), "{members} members");
        before = after;
    }
}

#[test] // Goal: where members read different topics no single move would make two of them more equal.
fn unlike_readers_are_balanced() {
    let counts = counts(&[(1, 6), (2, 6), (3, 3)]);
    let subscribers: Subscribers<'_> = [
        ("a".into(), subscriber(&[1])),
        ("b".into(), subscriber(&[1, 2])),
        ("c".into(), subscriber(&[2, 3])),
    ]
    .into();
    let targets = Assignor::Uniform.assign(&subscribers, &counts);
    for (giver, target) in &targets {
        for (taker, other) in &targets {
            let could_take = target.keys().any(|topic| subscribers[taker].topics.contains(topic));
            assert!(
                !could_take || size(target) <= size(other) + 1,
                "{giver} to {taker}: {:?}",
                sizes(&targets)
            );
        }
    }
}

#[test] // Goal: range gives runs, the longer ones first, and an instance its place under any member id.
fn range_gives_runs() {
    let counts = counts(&[(1, 5), (2, 5)]);
    let named = |instance_id| Subscriber {
        instance_id: Some(instance_id),
        ..subscriber(&[1, 2])
    };
    let subscribers: Subscribers<'_> = [("z".into(), named("first")), ("a".into(), named("second"))].into();
    let targets = Assignor::Range.assign(&subscribers, &counts);
    for topic in [1, 2] {
        assert_eq!(targets["z"][&id(topic)], [0, 1, 2].into());
        assert_eq!(targets["a"][&id(topic)], [3, 4].into());
    }
}

/// A small generator, so that a seed says all.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[test] // Goal: over random groups that change: every partition with a reader has one owner, and that is a reader.
fn every_partition_has_one_owner() {
    for seed in 1..2_000_u64 {
        let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let assignor = [Assignor::Uniform, Assignor::Range][draw.below(2) as usize];
        let mut before = Targets::new();
        for _ in 0..4 {
            let counts: BTreeMap<TopicId, i32> = (0..TOPICS).map(|topic| (id(topic), draw.below(7) as i32)).collect();
            let members = draw.below(5);
            let subscribers: Subscribers<'_> = (0..members)
                .map(|at| {
                    let name: MemberId = format!("m{at}").into();
                    let topics: Vec<u8> = (0..TOPICS).filter(|_| draw.below(2) == 0).collect();
                    let target = before.get(&name);
                    (
                        name,
                        Subscriber {
                            target,
                            ..subscriber(&topics)
                        },
                    )
                })
                .collect();
            let after = assignor.assign(&subscribers, &counts);
            check(&subscribers, &counts, &after, seed);
            assert_eq!(
                after,
                assignor.assign(&subscribers, &counts),
                "seed {seed}: the same answer"
            );
            before = after;
        }
    }
}

fn check(subscribers: &Subscribers<'_>, counts: &BTreeMap<TopicId, i32>, targets: &Targets, seed: u64) {
    assert!(
        subscribers.keys().eq(targets.keys()),
        "seed {seed}: every member has its place"
    );
    let mut owned = BTreeSet::new();
    for (member, target) in targets {
        for (topic, partitions) in target {
            assert!(
                subscribers[member].topics.contains(topic),
                "seed {seed}: {member} does not read it"
            );
            for index in partitions {
                assert!(
                    (0..counts[topic]).contains(index),
                    "seed {seed}: there is no such partition"
                );
                assert!(owned.insert((*topic, *index)), "seed {seed}: two owners");
            }
        }
    }
    let is_read = |topic: &TopicId| subscribers.values().any(|member| member.topics.contains(topic));
    let wanted: i32 = counts
        .iter()
        .filter(|(topic, _)| is_read(topic))
        .map(|(_, count)| count)
        .sum();
    assert_eq!(owned.len() as i32, wanted, "seed {seed}: every partition has an owner");
}

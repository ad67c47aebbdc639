//! Members of a consumer group that join, lag, lose answers, die, leave and come back in any order, while topics come,
//! grow and go, and the coordinator is loaded again; over thousands of seeds.
//!
//! Held against every seed: no partition is held by two members at once, and none is given on before who had it has said
//! that it let go; epochs grow; what a client of the group believes to have is held for it; a reload changes nothing that
//! anybody sees. And in the end, when all is quiet, every partition that is read has one owner.

use std::collections::BTreeSet;

use super::consumer::{beating, joining, rig};
use super::*;
use crate::group::one::Kind;

const SEEDS: u64 = 500;
const STEPS: usize = 80;
const CLIENTS: usize = 4;
const TOPICS: [&str; 4] = ["t", "log-a", "log-b", "other"];

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

/// What one client believes.
#[derive(Clone, Default)]
struct Client {
    id: String,
    epoch: i32,
    topics: BTreeSet<String>,
    owned: Assignment,
    /// What it was told to have, as far as it has not caught up.
    told: Option<Assignment>,
    /// It has lost an answer, and says all at its next heartbeat.
    is_unsure: bool,
}

struct World {
    rig: Rig,
    draw: Draw,
    clients: Vec<Client>,
    ids: usize,
    epoch: i32,
}

impl World {
    fn step(&mut self) {
        let at = self.draw.below(CLIENTS as u64) as usize;
        let is_member = self.clients[at].epoch > 0;
        match self.draw.below(16) {
            0..=2 if !is_member => self.join(at),
            3..=8 if is_member => self.beat(at, None),
            9 if is_member => self.resubscribe(at),
            10 if is_member => self.leave(at),
            11 => self.clients[at] = Client::default(),
            12 => drop(self.rig.search()),
            13 => self.change_topics(),
            14 => self.reload(),
            _ => {
                let ms = [500, 5_000, 11_000, 46_000][self.draw.below(4) as usize];
                self.rig.pass(ms);
            }
        }
        self.check();
    }

    fn subscription(&mut self) -> (Option<BTreeSet<String>>, Option<String>) {
        let names = TOPICS.iter().filter(|_| self.draw.below(2) == 0);
        let names: BTreeSet<String> = names.map(|name| (*name).to_owned()).collect();
        let regex = ["", "log-.*", ".*"][self.draw.below(3) as usize].to_owned();
        match names.is_empty() && regex.is_empty() {
            true => (Some(["t".to_owned()].into()), Some(regex)),
            false => (Some(names), Some(regex)),
        }
    }

    /// The first client is an instance that comes back under other ids.
    fn join(&mut self, at: usize) {
        self.ids += 1;
        let id = format!("m{}", self.ids);
        let (topics, regex) = self.subscription();
        let heartbeat = ConsumerHeartbeat {
            sender: sender(&id, (at == 0).then_some("i"), 0),
            topics,
            regex,
            assignor: [None, Some("range".to_owned())][self.draw.below(2) as usize].clone(),
            ..joining(&id)
        };
        self.clients[at] = Client {
            id,
            ..Client::default()
        };
        self.send(at, heartbeat);
    }

    /// Catches up with what it was told, and says what it has then.
    fn beat(&mut self, at: usize, subscription: Option<(Option<BTreeSet<String>>, Option<String>)>) {
        let lags = self.draw.below(4) == 0;
        let client = &mut self.clients[at];
        let mut owned = None;
        if let Some(told) = client.told.take_if(|_| !lags) {
            client.owned = told;
            owned = Some(client.owned.clone());
        }
        let (topics, regex) = subscription.unwrap_or_default();
        let mut heartbeat = ConsumerHeartbeat {
            sender: sender(&client.id, (at == 0).then_some("i"), client.epoch),
            owned,
            topics,
            regex,
            ..beating(&client.id, client.epoch)
        };
        if std::mem::take(&mut client.is_unsure) {
            heartbeat.owned = Some(client.owned.clone());
            heartbeat.rebalance_timeout_ms = Some(30_000);
            heartbeat.topics = heartbeat.topics.or_else(|| Some(client.topics.clone()));
        }
        self.send(at, heartbeat);
    }

    fn resubscribe(&mut self, at: usize) {
        let subscription = self.subscription();
        self.beat(at, Some(subscription));
    }

    fn send(&mut self, at: usize, heartbeat: ConsumerHeartbeat) {
        let was_full = heartbeat.sender.epoch == 0;
        if let Some(topics) = &heartbeat.topics {
            self.clients[at].topics = topics.clone();
        }
        let heard = self.rig.hear(heartbeat);
        // The answer is lost: the client asks for all again, and does nothing until then.
        if self.draw.below(10) == 0 {
            self.clients[at].is_unsure = true;
            self.clients[at].told = None;
            if was_full {
                self.clients[at] = Client::default();
            }
            return;
        }
        let client = &mut self.clients[at];
        match heard {
            Ok(heard) => {
                assert!(heard.epoch >= client.epoch, "a member's epochs grow");
                client.epoch = heard.epoch;
                if let Some(assignment) = heard.assignment {
                    client.told = Some(assignment);
                }
            }
            Err(refused) => {
                let expected = [
                    ErrorCode::FencedMemberEpoch,
                    ErrorCode::UnknownMemberId,
                    ErrorCode::FencedInstanceId,
                    ErrorCode::UnreleasedInstanceId,
                    ErrorCode::GroupIdNotFound,
                ];
                assert!(expected.contains(&refused.error), "{refused:?}");
                *client = Client::default();
            }
        }
    }

    fn leave(&mut self, at: usize) {
        let client = std::mem::take(&mut self.clients[at]);
        let epoch = match at {
            0 if self.draw.below(2) == 0 => -2,
            _ => -1,
        };
        let leaving = ConsumerHeartbeat {
            sender: sender(&client.id, (at == 0).then_some("i"), epoch),
            ..beating(&client.id, epoch)
        };
        drop(self.rig.hear(leaving));
    }

    fn change_topics(&mut self) {
        let name = TOPICS[self.draw.below(TOPICS.len() as u64) as usize];
        let (goes, more) = (self.draw.below(4) == 0, self.draw.below(3) as i32);
        self.rig
            .change_cluster(&[name], |cluster| match cluster.topics.get_mut(name) {
                Some(_) if goes => {
                    cluster.topics.remove(name);
                }
                Some(topic) => topic.partitions += more,
                None => cluster.create(name, 1 + more),
            });
    }

    fn reload(&mut self) {
        let before = self.rig.consumers();
        let held = self.held();
        let now_ms = self.rig.now_ms;
        self.rig = self.rig.reloaded();
        assert_eq!(
            (self.rig.consumers(), self.held(), self.rig.now_ms),
            (before, held, now_ms)
        );
    }

    fn held(&self) -> BTreeMap<String, Vec<(TopicId, i32)>> {
        match self.rig.coordinator.groups.get("g").map(|group| &group.kind) {
            Some(Kind::Consumer(consumer)) => consumer.held(),
            _ => BTreeMap::new(),
        }
    }

    fn check(&mut self) {
        let held = self.held();
        let mut all = BTreeSet::new();
        for partition in held.values().flatten() {
            assert!(all.insert(*partition), "{partition:?} is held by two");
        }
        for client in self.clients.iter().filter(|client| client.epoch > 0) {
            let Some(mine) = held.get(&client.id) else { continue };
            for (topic, partitions) in &client.owned {
                for index in partitions {
                    assert!(
                        mine.contains(&(*topic, *index)),
                        "{} has what is not held for it",
                        client.id
                    );
                }
            }
        }
        let epoch = self.rig.consumers().map_or(0, |group| group.epoch);
        assert!(epoch >= self.epoch || epoch == 0, "the group's epochs grow");
        self.epoch = epoch;
    }

    /// Everybody behaves, and nothing else happens: the group comes to rest.
    fn end(&mut self) {
        for _ in 0..40 {
            for at in 0..CLIENTS {
                match self.clients[at].epoch {
                    0 => self.join(at),
                    _ => self.beat(at, None),
                }
                self.check();
            }
            self.rig.search();
            self.rig.pass(5_000);
        }
        let group = self.rig.consumers().unwrap();
        assert_eq!(group.state, "Stable", "{group:?}");
        let reads = |topic: &str| {
            let matches = |regex: &String| Pattern::new(regex).unwrap().matches(topic);
            let one = |member: &DescribedConsumerMember| {
                member.topics.contains(topic) || member.regex.as_ref().is_some_and(matches)
            };
            group.members.iter().any(one)
        };
        let read = self.rig.cluster.topics.iter().filter(|(name, _)| reads(name));
        let wanted: i32 = read.map(|(_, topic)| topic.partitions).sum();
        let held: usize = self.held().values().map(Vec::len).sum();
        assert_eq!(held as i32, wanted, "every partition that is read has an owner");
        self.reload();
    }
}

#[test] // Goal: see the top of this file.
fn consumers_in_any_order_keep_the_rules() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("SEED is a number");
            seed..seed + 1
        }
        Err(_) => 1..SEEDS,
    };
    for seed in seeds {
        let run = std::panic::catch_unwind(|| {
            let mut world = World {
                rig: rig(),
                draw: Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
                clients: vec![Client::default(); CLIENTS],
                ids: 0,
                epoch: 0,
            };
            (0..STEPS).for_each(|_| world.step());
            world.end();
        });
        if let Err(panic) = run {
            eprintln!("SEED={seed} cargo test --lib consumers_in_any_order");
            std::panic::resume_unwind(panic);
        }
    }
}

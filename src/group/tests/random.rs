//! Members that join, sync, fall silent, leave and come back in any order, over thousands of seeds.
//!
//! Held against every seed: every join and sync is answered; generations grow; within one generation everyone who has
//! an assignment has what its leader gave it, so no partition has two owners; what the log holds after each step is
//! what the coordinator says.

use super::*;

const SEEDS: u64 = 3_000;
const STEPS: usize = 60;
const CLIENTS: usize = 5;

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
    member_id: String,
    generation: i32,
    leads: Vec<String>,
    /// Its join or its sync that is not answered yet.
    joining: Option<u64>,
    syncing: Option<u64>,
    assigned: Option<Bytes>,
}

struct World {
    rig: Rig,
    draw: Draw,
    clients: Vec<Client>,
    ids: usize,
    newest: i32,
}

impl World {
    fn step(&mut self) {
        let at = self.draw.below(CLIENTS as u64) as usize;
        let busy = self.clients[at].joining.is_some() || self.clients[at].syncing.is_some();
        match self.draw.below(10) {
            0..=3 if !busy => self.join(at),
            4..=5 if !busy && !self.clients[at].member_id.is_empty() => self.sync(at),
            6 if !busy => self.leave(at),
            7 => self.forget(at),
            8 => {
                let id = self.clients[at].member_id.clone();
                self.rig.heartbeat(&id, self.clients[at].generation);
            }
            _ => {
                let ms = [100, 1_000, 3_000, 11_000][self.draw.below(4) as usize];
                self.rig.pass(ms);
            }
        }
        self.collect();
    }

    fn join(&mut self, at: usize) {
        self.ids += 1;
        let instance = (at == 0).then_some("i");
        let known = self.clients[at].member_id.clone();
        let join = Join {
            sender: sender(&known, instance, -1),
            version: 3 + self.draw.below(7) as i16,
            ..new_join(&format!("m{}", self.ids))
        };
        self.clients[at].joining = Some(self.rig.put(GroupRequest::Join(join)));
    }

    /// The leader gives every member a part that is its alone in this generation.
    fn sync(&mut self, at: usize) {
        let Client {
            member_id,
            generation,
            leads,
            ..
        } = self.clients[at].clone();
        let parts: Vec<(String, String)> = leads
            .iter()
            .map(|id| (id.clone(), format!("{generation}/{id}")))
            .collect();
        let parts: Vec<(&str, &str)> = parts.iter().map(|(id, part)| (id.as_str(), part.as_str())).collect();
        self.clients[at].syncing = Some(self.rig.sync(&member_id, generation, &parts));
    }

    fn leave(&mut self, at: usize) {
        let id = std::mem::take(&mut self.clients[at]).member_id;
        if !id.is_empty() && self.rig.state() != "none" {
            self.rig.leave(Leaver {
                member_id: id,
                ..Leaver::default()
            });
        }
    }

    /// The client dies. Its requests may yet be answered to nobody.
    fn forget(&mut self, at: usize) {
        self.clients[at] = Client::default();
    }

    fn collect(&mut self) {
        let mut clients = std::mem::take(&mut self.clients);
        for client in &mut clients {
            if let Some(GroupReply::Joined(reply)) = client.joining.and_then(|ticket| self.rig.replies.remove(&ticket))
            {
                client.joining = None;
                self.on_joined(client, reply);
            }
            if let Some(GroupReply::Synced(reply)) = client.syncing.and_then(|ticket| self.rig.replies.remove(&ticket))
            {
                client.syncing = None;
                match reply.error {
                    ErrorCode::None => client.assigned = Some(reply.assignment),
                    ErrorCode::UnknownMemberId => *client = Client::default(),
                    _ => {}
                }
            }
        }
        self.clients = clients;
        self.check_owners();
    }

    fn on_joined(&mut self, client: &mut Client, reply: JoinReply) {
        match reply.error {
            ErrorCode::None => {
                assert!(reply.generation >= self.newest, "generations grow");
                self.newest = reply.generation;
                client.assigned = None;
                client.generation = reply.generation;
                client.leads = reply.members.into_iter().map(|member| member.member_id).collect();
                client.member_id = reply.member_id;
                if client.leads.contains(&client.member_id) {
                    assert_eq!(reply.leader, client.member_id, "only the leader is told of the members");
                }
            }
            ErrorCode::MemberIdRequired => client.member_id = reply.member_id,
            _ => *client = Client::default(),
        }
    }

    /// An assignment is one that was made for this member (or for the static one that it replaces), in this generation.
    fn check_owners(&self) {
        let mut owned = std::collections::BTreeSet::new();
        for client in self.clients.iter().filter(|client| client.assigned.is_some()) {
            let part = client.assigned.clone().unwrap_or_default();
            if !part.is_empty() {
                let text = String::from_utf8_lossy(&part).into_owned();
                assert!(
                    text.starts_with(&format!("{}/", client.generation)),
                    "{text} in {}",
                    client.generation
                );
                assert!(owned.insert(text.clone()), "{text} has two owners");
            }
        }
    }

    /// Whoever waits is answered once the time of every phase has passed.
    fn end(&mut self) {
        self.rig.pass(1_000_000);
        self.collect();
        for client in &self.clients {
            assert!(client.joining.is_none(), "a join is never answered");
            assert!(client.syncing.is_none(), "a sync is never answered");
        }
        assert_eq!(self.rig.coordinator.take_waiting(), []);
        let (now, then) = (self.rig.describe(), self.rig.reloaded().describe());
        assert_eq!(
            then.as_ref().map(|group| group.state),
            now.as_ref().map(|group| group.state)
        );
        assert_eq!(then, now, "the log says the same");
    }
}

#[test] // Goal: see the top of this file.
fn members_in_any_order_keep_the_rules() {
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
                rig: Rig::new(),
                draw: Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
                clients: vec![Client::default(); CLIENTS],
                ids: 0,
                newest: 0,
            };
            (0..STEPS).for_each(|_| world.step());
            world.end();
        });
        if let Err(panic) = run {
            eprintln!("SEED={seed} cargo test --lib members_in_any_order");
            std::panic::resume_unwind(panic);
        }
    }
}

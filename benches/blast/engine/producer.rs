//! A thread that produces over its share of the connections: takes what is due, sends it, and times the answers.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Context;
use hdrhistogram::Histogram;

use super::arrival::{Arrival, Schedule};
use super::clock::now_ns;
use super::epoll::{Epoll, Ready, wake_on_time};
use super::random::Random;
use super::recorder::{Recorder, new_histogram};
use super::request::Request;
use super::sender::{Done, Sender};
use super::shared::Shared;

/// No further request is encoded for a connection that has this much waiting for its socket.
const UNSENT_BYTES_MAX: usize = 512 << 10;
/// The longest sleep before the thread looks at the clock again.
const NAP_NS: u64 = 50_000_000;

/// What a thread does.
pub struct Plan {
    /// Replayed in turn by each sender.
    pub requests: Vec<Request>,
    pub window: usize,
    /// A whole window at once, then all its answers.
    pub burst: bool,
    pub acks: i16,
    pub version: i16,
    pub seed: u64,
}

/// What a thread has seen.
pub struct Report {
    /// From the intended time to the answer.
    pub latency: Recorder,
    /// From the sending to the answer, in µs: what a closed loop would have called its latency.
    pub service: Histogram<u64>,
    /// How late the client itself came to a request that was due, in µs.
    pub lateness: Histogram<u64>,
    /// Answered within the measurement.
    pub requests: u64,
    pub batches: u64,
    pub records: u64,
    pub payload_bytes: u64,
    pub errors: BTreeMap<i16, u64>,
    pub unanswered: u64,
    /// Batches acknowledged since the beginning, per (producer, partition).
    pub acked: Vec<((u32, i32), u64)>,
}

/// An open loop with a schedule, closed windows without one.
pub fn run(plan: Plan, schedule: Option<Schedule>, senders: Vec<Sender>, shared: &Shared) -> anyhow::Result<Report> {
    wake_on_time();
    let mut producer = Producer {
        random: Random::new(plan.seed),
        epoll: Epoll::new().context("make an epoll")?,
        report: Report {
            latency: Recorder::new(shared.from_ns),
            service: new_histogram(),
            lateness: new_histogram(),
            requests: 0,
            batches: 0,
            records: 0,
            payload_bytes: 0,
            errors: BTreeMap::new(),
            unanswered: 0,
            acked: Vec::new(),
        },
        is_open: schedule.is_some(),
        next_turn: 0,
        plan,
        senders,
        shared,
    };
    for (token, sender) in producer.senders.iter().enumerate() {
        producer.epoll.add(sender.link.fd(), token)?;
    }
    producer.work(schedule)?;
    Ok(producer.finish())
}

struct Producer<'a> {
    plan: Plan,
    is_open: bool,
    /// Whose turn it is when requests come at a constant pace.
    next_turn: usize,
    senders: Vec<Sender>,
    epoll: Epoll,
    random: Random,
    report: Report,
    shared: &'a Shared,
}

impl Producer<'_> {
    fn work(&mut self, mut schedule: Option<Schedule>) -> anyhow::Result<()> {
        let mut ready: Vec<Ready> = Vec::new();
        let mut begun = false;
        loop {
            let now = now_ns();
            let sending = now < self.shared.until_ns();
            match &mut schedule {
                Some(schedule) if sending => self.take_due(schedule, now)?,
                None if sending && !begun && now >= self.shared.begin_ns => {
                    begun = true;
                    (0..self.senders.len()).try_for_each(|at| self.push(at))?;
                }
                _ => {}
            }
            if !sending && (self.is_idle() || now > self.shared.give_up_ns) {
                return Ok(());
            }
            let endless = begun && sending && self.plan.acks == 0 && !self.is_open;
            if endless {
                (0..self.senders.len()).try_for_each(|at| self.push(at))?;
            }
            let next = match &schedule {
                // Nothing answers: only a full socket is worth waiting for.
                None if endless && !self.senders.iter().all(|sender| sender.waits_to_write) => now,
                Some(schedule) if sending => schedule.next_ns(),
                _ if !begun => self.shared.begin_ns,
                _ => u64::MAX,
            };
            ready.extend(self.epoll.wait(next.min(now + NAP_NS), now)?);
            for event in ready.drain(..) {
                self.on_ready(event)?;
            }
        }
    }

    /// Gives every request that is due to a connection, and sends it if that connection may.
    fn take_due(&mut self, schedule: &mut Schedule, now: u64) -> anyhow::Result<()> {
        while let Some(intended) = schedule.take_due(now) {
            if !self.shared.take_budget(now) {
                return Ok(());
            }
            if self.shared.measures(intended) {
                self.report.lateness.saturating_record((now - intended) / 1_000 + 1);
            }
            let at = self.pick(schedule.arrival());
            self.senders[at].due.push_back(intended);
            self.push(at)?;
        }
        Ok(())
    }

    fn pick(&mut self, arrival: Arrival) -> usize {
        let senders = self.senders.len();
        match arrival {
            // Independent clients: each connection has a Poisson row of its own.
            Arrival::Poisson => self.random.below(senders as u64) as usize,
            Arrival::Constant => {
                self.next_turn += 1;
                self.next_turn % senders
            }
        }
    }

    fn on_ready(&mut self, event: Ready) -> anyhow::Result<()> {
        let sender = &mut self.senders[event.token];
        let mut frames = Vec::new();
        sender.link.receive(|frame| {
            frames.push(frame);
            Ok(())
        })?;
        let now = now_ns();
        for frame in frames {
            let done = self.senders[event.token].on_answer(frame, self.plan.version)?;
            self.account(&done, now);
        }
        self.push(event.token)
    }

    /// Encodes as many requests as this connection may have in flight, and sends them.
    fn push(&mut self, at: usize) -> anyhow::Result<()> {
        let now = now_ns();
        while let Some(intended) = self.next_of(at, now) {
            self.senders[at].append(&self.plan.requests, intended, now);
        }
        let sender = &mut self.senders[at];
        let sent = sender.link.flush()?;
        if sent == sender.waits_to_write {
            sender.waits_to_write = !sent;
            self.epoll.want_write(sender.link.fd(), at, !sent)?;
        }
        if self.plan.acks == 0 && sent {
            while let Some(done) = self.senders[at].settle_oldest() {
                self.account(&done, now_ns());
            }
        }
        Ok(())
    }

    /// The intended time of the request that this connection may send now.
    fn next_of(&mut self, at: usize, now: u64) -> Option<u64> {
        let sender = &mut self.senders[at];
        if self.plan.burst && !sender.fills_window(self.plan.window) {
            return None;
        }
        if sender.link.unsent() >= UNSENT_BYTES_MAX || sender.in_flight() >= self.plan.window {
            return None;
        }
        if self.is_open {
            return sender.due.pop_front();
        }
        (now < self.shared.until_ns() && self.shared.take_budget(now)).then_some(now)
    }

    fn account(&mut self, done: &Done, now: u64) {
        let request = &self.plan.requests[done.request];
        for (partition, error, base_offset) in &done.partitions {
            match error {
                0 => {
                    let records = request.records / request.batches() as u64;
                    self.shared.acked_until(*partition, base_offset + records as i64);
                }
                _ => *self.report.errors.entry(*error).or_default() += 1,
            }
        }
        if done.partitions.iter().any(|(_, error, _)| *error != 0) {
            return;
        }
        self.shared.acked_records.fetch_add(request.records, Relaxed);
        self.shared.acked_bytes.fetch_add(request.payload_bytes, Relaxed);
        if self.shared.measures(now) {
            self.report.requests += 1;
            self.report.batches += request.batches() as u64;
            self.report.records += request.records;
            self.report.payload_bytes += request.payload_bytes;
        }
        if self.shared.measures(done.intended_ns) && self.plan.acks != 0 {
            self.report.latency.record(done.intended_ns, now);
            self.report
                .service
                .saturating_record(now.saturating_sub(done.sent_ns).div_ceil(1_000));
        }
    }

    fn is_idle(&self) -> bool {
        self.senders
            .iter()
            .all(|sender| sender.in_flight() == 0 && sender.due.is_empty())
    }

    fn finish(mut self) -> Report {
        let waiting = |sender: &Sender| (sender.in_flight() + sender.due.len()) as u64;
        self.report.unanswered = self.senders.iter().map(waiting).sum();
        self.report.acked = self.senders.iter().flat_map(Sender::acknowledged).collect();
        self.report
    }
}

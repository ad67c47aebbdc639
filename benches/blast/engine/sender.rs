//! One producing connection: its share of the partitions, the numbers of its batches, and what it waits for.

use std::collections::VecDeque;

use anyhow::Context;
use bytes::Bytes;
use corelane::wire::produce::ProduceResponse;
use corelane::wire::{ApiKey, is_response_header_flexible, parse_response};

use super::link::Link;
use super::request::Request;
use super::stamp::Stamp;

pub struct Sender {
    producer: u32,
    pub link: Link,
    partitions: Vec<i32>,
    /// Of each partition: the next number, and how many batches were acknowledged.
    sequences: Vec<u64>,
    acked: Vec<u64>,
    next_partition: usize,
    next_request: usize,
    correlation_id: i32,
    in_flight: VecDeque<InFlight>,
    /// Intended times of requests that could not be sent yet.
    pub due: VecDeque<u64>,
    /// Whether the poll has been asked to tell when the socket takes bytes again.
    pub waits_to_write: bool,
    /// Bursts: whether the window is being filled, or being answered.
    fills: bool,
}

struct InFlight {
    correlation_id: i32,
    intended_ns: u64,
    sent_ns: u64,
    request: usize,
    first_partition: usize,
}

/// What an answer, or a request without one, amounts to.
pub struct Done {
    pub intended_ns: u64,
    pub sent_ns: u64,
    pub request: usize,
    /// (partition, error code, base offset)
    pub partitions: Vec<(i32, i16, i64)>,
}

impl Sender {
    pub fn new(producer: u32, link: Link, partitions: Vec<i32>) -> Sender {
        Sender {
            producer,
            link,
            next_partition: producer as usize % partitions.len(),
            sequences: vec![0; partitions.len()],
            acked: vec![0; partitions.len()],
            partitions,
            next_request: producer as usize,
            correlation_id: 0,
            in_flight: VecDeque::new(),
            due: VecDeque::new(),
            waits_to_write: false,
            fills: false,
        }
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Bursts: whether another request belongs to the window that is being sent.
    pub fn fills_window(&mut self, window: usize) -> bool {
        self.fills = match self.in_flight.len() {
            0 => true,
            in_flight if in_flight >= window => false,
            _ => self.fills,
        };
        self.fills
    }

    /// Puts the next request behind what is to be sent.
    pub fn append(&mut self, requests: &[Request], intended_ns: u64, now_ns: u64) {
        let index = self.next_request % requests.len();
        let (count, first_partition, producer) = (self.partitions.len(), self.next_partition, self.producer);
        let (partitions, sequences) = (&self.partitions, &mut self.sequences);
        requests[index].append_to(&mut self.link.out, self.correlation_id, |batch| {
            let at = (first_partition + batch) % count;
            sequences[at] += 1;
            let stamp = Stamp {
                producer,
                sequence: sequences[at] - 1,
                intended_ns,
            };
            (partitions[at], stamp)
        });
        self.in_flight.push_back(InFlight {
            correlation_id: self.correlation_id,
            intended_ns,
            sent_ns: now_ns,
            request: index,
            first_partition,
        });
        self.correlation_id = self.correlation_id.wrapping_add(1) & i32::MAX;
        self.next_partition = (first_partition + requests[index].batches()) % count;
        self.next_request += 1;
    }

    /// The answer to the oldest request. Answers come in order; anything else is a defect worth stopping for.
    pub fn on_answer(&mut self, frame: Bytes, version: i16) -> anyhow::Result<Done> {
        let oldest = self.in_flight.pop_front().context("an answer that nobody waits for")?;
        let flexible = is_response_header_flexible(ApiKey::PRODUCE, version);
        let (correlation_id, body) = parse_response(frame, flexible)?;
        anyhow::ensure!(
            correlation_id == oldest.correlation_id,
            "answer {correlation_id} came before answer {}",
            oldest.correlation_id
        );
        let answer = ProduceResponse::decode(body, version)?;
        let rows = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let partitions: Vec<_> = rows.map(|row| (row.index, row.error_code, row.base_offset)).collect();
        for (batch, (_, error, _)) in partitions.iter().enumerate() {
            let at = (oldest.first_partition + batch) % self.partitions.len();
            self.acked[at] += u64::from(*error == 0);
        }
        Ok(Done {
            intended_ns: oldest.intended_ns,
            sent_ns: oldest.sent_ns,
            request: oldest.request,
            partitions,
        })
    }

    /// The oldest request is done without an answer (acks=0).
    pub fn settle_oldest(&mut self) -> Option<Done> {
        let oldest = self.in_flight.pop_front()?;
        Some(Done {
            intended_ns: oldest.intended_ns,
            sent_ns: oldest.sent_ns,
            request: oldest.request,
            partitions: Vec::new(),
        })
    }

    /// Batches acknowledged, per (producer, partition).
    pub fn acknowledged(&self) -> impl Iterator<Item = ((u32, i32), u64)> + '_ {
        let producer = self.producer;
        self.partitions
            .iter()
            .zip(&self.acked)
            .filter(|(_, acked)| **acked > 0)
            .map(move |(partition, acked)| ((producer, *partition), *acked))
    }
}

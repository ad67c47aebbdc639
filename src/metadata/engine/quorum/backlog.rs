//! What has happened and was not handed out yet.

use std::collections::VecDeque;

use super::super::Event;
use crate::rt::{Rx, Tx, lane};

pub struct Backlog {
    events: Rx<Event>,
    sender: Tx<Event>,
    /// Taken from the lane.
    taken: VecDeque<Event>,
    burst: Vec<Event>,
}

impl Backlog {
    pub fn new() -> Backlog {
        // What was committed must reach the loop, however long it is busy: its number is bounded by what was asked for.
        let (sender, events) = lane(usize::MAX);
        Backlog {
            events,
            sender,
            taken: VecDeque::new(),
            burst: Vec::new(),
        }
    }

    pub fn sender(&self) -> Tx<Event> {
        self.sender.clone()
    }

    /// A call that is dropped takes nothing.
    pub async fn next(&mut self) -> Event {
        if self.taken.is_empty() && self.events.recv_burst(&mut self.burst, usize::MAX).await {
            self.taken.extend(self.burst.drain(..));
        }
        match self.taken.pop_front() {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

//! The requests of one connection that are in flight, in the order in which they came and in which they are answered.
//!
//! Requests that may run beside each other do; any other waits for those before it and holds back those behind it, so that a
//! client reads what it has written. //= protocol: a channel is muted until its response is written

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::api::{Frame, Refused};

use super::memory::Permit;

pub struct Pipeline<F> {
    queue: VecDeque<InFlight<F>>,
}

struct InFlight<F> {
    answer: F,
    pipelined: bool,
    /// The request's memory, held until it is answered.
    _permit: Permit,
}

/// Requests in flight on one connection. At a commit of 0.3 ms this is far more than one connection can bring.
pub const PIPELINE_MAX: usize = 128;

impl<F: Future<Output = Result<Frame, Refused>> + Unpin> Pipeline<F> {
    pub fn new() -> Pipeline<F> {
        Pipeline { queue: VecDeque::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether a request may start now.
    pub fn admits(&self, pipelined: bool) -> bool {
        match self.queue.back() {
            None => true,
            Some(last) => pipelined && last.pipelined && self.queue.len() < PIPELINE_MAX,
        }
    }

    /// Adds a started request that was admitted.
    pub fn push(&mut self, answer: F, pipelined: bool, permit: Permit) {
        self.queue.push_back(InFlight {
            answer,
            pipelined,
            _permit: permit,
        });
    }

    /// Moves the answers that are ready at the front into `frames`. Ready when at least one request has been answered, or
    /// none is in flight; only the front one is polled, since no other can be sent before it.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>, frames: &mut Vec<Bytes>) -> Poll<Result<(), Refused>> {
        let mut answered = false;
        while let Some(front) = self.queue.front_mut() {
            match Pin::new(&mut front.answer).poll(cx) {
                Poll::Ready(Ok(frame)) => frames.extend(frame.into_iter().flatten()),
                Poll::Ready(Err(refused)) => return Poll::Ready(Err(refused)),
                Poll::Pending if answered => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
            answered = true;
            self.queue.pop_front();
        }
        if answered { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::task::Waker;

    use super::*;
    use crate::api::Refusal;
    use crate::conn::memory::RequestMemory;
    use crate::metrics::Registry;

    /// An answer that is ready once its flag is set.
    struct Later(Rc<Cell<bool>>, &'static str);

    impl Future for Later {
        type Output = Result<Frame, Refused>;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            match (self.0.get(), self.1) {
                (false, _) => Poll::Pending,
                (true, "") => Poll::Ready(Ok(None)),
                (true, "refused") => Poll::Ready(Err(Refused {
                    api: "Produce",
                    cause: Refusal::SilentProduceFailed,
                })),
                (true, text) => Poll::Ready(Ok(Some(vec![Bytes::from_static(text.as_bytes())]))),
            }
        }
    }

    struct Fixture {
        memory: Rc<RequestMemory>,
        pipeline: Pipeline<Later>,
        frames: Vec<Bytes>,
    }

    impl Fixture {
        fn new() -> Fixture {
            let memory = RequestMemory::new(1000, Registry::new(1).shard(0));
            Fixture {
                memory,
                pipeline: Pipeline::new(),
                frames: Vec::new(),
            }
        }

        fn push(&mut self, text: &'static str, pipelined: bool) -> Rc<Cell<bool>> {
            let flag = Rc::new(Cell::new(false));
            let permit = self.memory.try_admit(1).expect("room");
            self.pipeline.push(Later(flag.clone(), text), pipelined, permit);
            flag
        }

        fn poll(&mut self) -> Poll<Result<(), Refused>> {
            self.pipeline
                .poll_ready(&mut Context::from_waker(Waker::noop()), &mut self.frames)
        }
    }

    /// Behaviour 5: answers leave in request order, however they become ready; the ready prefix leaves at once.
    #[test]
    fn answers_leave_in_request_order() {
        let mut fixture = Fixture::new();
        let [a, b, c, d] = ["a", "b", "", "d"].map(|text| fixture.push(text, true));
        b.set(true);
        c.set(true);
        assert!(fixture.poll().is_pending());
        a.set(true);
        assert!(matches!(fixture.poll(), Poll::Ready(Ok(()))));
        assert_eq!(fixture.frames, ["a", "b"]);
        d.set(true);
        assert!(fixture.poll().is_ready() && fixture.poll().is_pending());
        assert_eq!(fixture.frames, ["a", "b", "d"]);
        assert!(fixture.pipeline.is_empty());
    }

    /// Produce requests share the pipeline up to its limit; any other request has it for itself.
    #[test]
    fn only_pipelined_requests_share() {
        let mut fixture = Fixture::new();
        assert!(fixture.pipeline.admits(false));
        let flag = fixture.push("fetch", false);
        assert!(!fixture.pipeline.admits(true) && !fixture.pipeline.admits(false));
        flag.set(true);
        assert!(fixture.poll().is_ready());
        for _ in 0..PIPELINE_MAX {
            assert!(fixture.pipeline.admits(true) && (fixture.pipeline.is_empty() || !fixture.pipeline.admits(false)));
            fixture.push("produce", true);
        }
        assert!(!fixture.pipeline.admits(true));
    }

    /// A refusal comes after the answers before it, so that these are still sent.
    #[test]
    fn answers_before_a_refusal_are_kept() {
        let mut fixture = Fixture::new();
        for text in ["a", "refused", "c"] {
            fixture.push(text, true).set(true);
        }
        assert!(matches!(fixture.poll(), Poll::Ready(Err(_))));
        assert_eq!(fixture.frames, ["a"]);
    }
}

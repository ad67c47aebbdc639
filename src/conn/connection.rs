//! One client connection: one task that reads, starts requests and writes their answers.
//!
//! Each turn starts what may start, sends what is ready in one write, and waits for whatever comes next: bytes, an answer,
//! memory, or the order to end. While requests are in flight it goes on reading as far as its buffer has room, so that a
//! client that goes away frees what its long poll holds. The read owns the intake; no frame is whole while a read is under
//! way, so nobody else needs it then.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use crate::api::{self, Context, Pending, Refused};
use crate::metrics::{Metric, Stage};
use crate::rt::{self, Instant, Stream};
use crate::wire::FrameError;

use super::Shared;
use super::intake::Intake;
use super::limits::Slot;
use super::memory::{Admission, Permit};
use super::open::{Handle, State};
use super::pipeline::Pipeline;

pub struct Connection {
    stream: Stream,
    cx: Rc<Context>,
    shared: Rc<Shared>,
    handle: Rc<Handle>,
    pipeline: Pipeline<Pending>,
    /// For the frame at the front of the intake.
    permit: Option<Permit>,
    admission: Option<Admission>,
    /// Bytes of a frame that have come since the last sign of activity.
    quiet_bytes: usize,
    _slot: Slot,
}

/// Why a connection ends from our side.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// The client has gone, or the connection was told to end.
    #[error("closed")]
    Gone,
}

/// What the next request waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// More bytes, up to this whole frame where it is known and admitted.
    Bytes(Option<usize>),
    /// Requests in flight have to be answered first.
    Turn,
    Memory,
}

enum Event {
    Read(Intake, io::Result<usize>),
    Answers(Result<(), Refused>),
    Admitted(Permit),
    End,
}

/// After so much work without waiting for anything, others get their turn.
const TURN_MAX: Duration = Duration::from_micros(200);
/// A client that sends its frame by the byte is as good as idle: only so many bytes are a sign of life.
const PROGRESS_BYTES: usize = 4 << 10;

impl Connection {
    pub fn new(stream: Stream, cx: Rc<Context>, shared: Rc<Shared>, slot: Slot) -> Connection {
        let handle = shared.open.enter(stream.clone());
        Connection {
            stream,
            cx,
            shared,
            handle,
            pipeline: Pipeline::new(),
            permit: None,
            admission: None,
            quiet_bytes: 0,
            _slot: slot,
        }
    }

    /// Serves the connection to its end.
    pub async fn run(mut self) {
        match self.serve().await {
            Err(End::Refused(refused)) => {
                api::on_refused(&self.cx, &refused);
                self.shared.complaints.closed(&self.cx, &refused);
            }
            Err(End::Frame(error)) => {
                self.cx.metrics().add(Metric::BadFrames, 1);
                self.shared.complaints.closed(&self.cx, &error);
            }
            Err(End::Gone) | Ok(()) => {}
        }
        self.stream.shutdown();
    }

    async fn serve(&mut self) -> Result<(), End> {
        let mut intake = Some(Intake::new(self.cx.config().socket_request_max_bytes));
        let mut reading = pin!(None);
        let mut frames = Vec::new();
        let mut turn = Turn::begin();
        loop {
            if let Some(mut idle) = intake.take() {
                let need = self.start_requests(&mut idle)?;
                match make_ready(&mut idle, need) {
                    true => reading.set(Some(read(self.stream.clone(), idle))),
                    false => intake = Some(idle),
                }
            }
            self.handle.set_state(self.state());
            let event = self.next_event(reading.as_mut(), &mut frames, &mut turn).await;
            match event {
                Event::Read(back, read) => {
                    reading.set(None);
                    intake = Some(self.on_read(back, read)?);
                }
                Event::Answers(answered) => {
                    self.send(&mut frames).await?;
                    answered?;
                }
                Event::Admitted(permit) => {
                    self.admission = None;
                    self.permit = Some(permit);
                }
                Event::End => return Ok(()),
            }
            turn.pause_if_long().await;
        }
    }

    /// Starts the requests at the front of the intake, in order, until one has to wait.
    fn start_requests(&mut self, intake: &mut Intake) -> Result<Need, End> {
        loop {
            if self.is_draining() {
                return Ok(Need::Turn);
            }
            let Some(len) = intake.announced()? else {
                return Ok(Need::Bytes(None));
            };
            let Some(header) = intake.header(len) else {
                return Ok(Need::Bytes(None));
            };
            let pipelined = api::is_pipelined(header);
            if !self.pipeline.admits(pipelined) {
                self.cx.next_waits.set(true);
                return Ok(Need::Turn);
            }
            let Some(permit) = self.admit(len) else {
                return Ok(Need::Memory);
            };
            if !intake.holds(len) {
                self.permit = Some(permit);
                return Ok(Need::Bytes(Some(len)));
            }
            self.handle.on_activity();
            self.cx.next_waits.set(false);
            let pending = api::dispatch(&self.cx, intake.take(len))?;
            self.pipeline.push(pending, pipelined, permit);
        }
    }

    /// What is in flight is answered, and nothing more begun.
    fn is_draining(&self) -> bool {
        self.shared.open.is_draining() || self.cx.sends_away.get()
    }

    /// The permit of the frame at the front, taken out; without one, the connection queues for it.
    fn admit(&mut self, len: usize) -> Option<Permit> {
        if self.permit.is_none() && self.admission.is_none() {
            self.permit = self.shared.memory.try_admit(len);
        }
        if self.permit.is_none() && self.admission.is_none() {
            self.admission = Some(self.shared.memory.admit(len));
        }
        self.permit.take()
    }

    fn state(&self) -> State {
        match (&self.permit, &self.admission) {
            _ if !self.pipeline.is_empty() => State::Broker,
            (_, Some(_)) => State::Broker,
            (Some(_), None) => State::Upload,
            (None, None) => State::Client,
        }
    }

    async fn next_event<R>(
        &mut self,
        mut reading: Pin<&mut Option<R>>,
        frames: &mut Vec<Bytes>,
        turn: &mut Turn,
    ) -> Event
    where
        R: Future<Output = (Intake, io::Result<usize>)>,
    {
        let mut waited = false;
        let event = poll_fn(|cx| {
            let is_drained = self.is_draining() && self.pipeline.is_empty();
            if self.handle.poll_closed(cx) || is_drained {
                return Poll::Ready(Event::End);
            }
            if let Poll::Ready(answered) = self.pipeline.poll_ready(cx, frames) {
                return Poll::Ready(Event::Answers(answered));
            }
            if let Some(reading) = reading.as_mut().as_pin_mut()
                && let Poll::Ready((intake, read)) = reading.poll(cx)
            {
                return Poll::Ready(Event::Read(intake, read));
            }
            if let Some(admission) = &mut self.admission
                && let Poll::Ready(permit) = Pin::new(admission).poll(cx)
            {
                return Poll::Ready(Event::Admitted(permit));
            }
            waited = true;
            Poll::Pending
        })
        .await;
        if waited {
            *turn = Turn::begin();
        }
        event
    }

    fn on_read(&mut self, mut intake: Intake, read: io::Result<usize>) -> Result<Intake, End> {
        let read = read.map_err(|_| End::Gone)?;
        if read == 0 {
            return Err(End::Gone);
        }
        intake.on_read(read);
        self.quiet_bytes += read;
        if self.quiet_bytes >= PROGRESS_BYTES {
            self.quiet_bytes = 0;
            self.handle.on_activity();
        }
        Ok(intake)
    }

    /// One write for all answers that are ready. A client that does not take them is idle.
    async fn send(&mut self, frames: &mut Vec<Bytes>) -> Result<(), End> {
        if frames.is_empty() {
            return Ok(());
        }
        let began = self.handle.on_activity();
        self.handle.set_state(State::Client);
        let bytes: usize = frames.iter().map(Bytes::len).sum();
        let written = self.stream.write_all(frames).await;
        frames.clear();
        let ended = self.handle.on_activity();
        self.cx.connection.on_sent(bytes as u64);
        if self.cx.metrics().is_timed() {
            self.cx
                .metrics()
                .record(Stage::Send, ended.since(began).as_nanos() as u64);
        }
        written.map_err(|_| End::Gone)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.open.leave(&self.handle);
    }
}

/// Whether to read now, with room made for what is needed.
fn make_ready(intake: &mut Intake, need: Need) -> bool {
    match need {
        Need::Bytes(frame) => {
            intake.make_room(frame);
            true
        }
        Need::Turn | Need::Memory => {
            if intake.is_empty() {
                intake.make_room(None);
            }
            let whole = matches!(intake.announced(), Ok(Some(len)) if intake.holds(len));
            !whole && intake.has_room()
        }
    }
}

async fn read(stream: Stream, mut intake: Intake) -> (Intake, io::Result<usize>) {
    let read = stream.read(intake.room()).await;
    (intake, read)
}

/// The time since this connection last waited for something.
struct Turn {
    since: Instant,
}

impl Turn {
    fn begin() -> Turn {
        Turn { since: rt::now() }
    }

    async fn pause_if_long(&mut self) {
        if rt::now().since(self.since) > TURN_MAX {
            rt::yield_now().await;
            *self = Turn::begin();
        }
    }
}

//! The runtime of the consensus library in tests: tokio's on a control thread, as in the product, and that of a simulated
//! machine in a simulation. Channels are tokio's in both: they ask for no runtime.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use openraft::{AsyncRuntime, OptionalSend};
use openraft_rt_tokio::{TokioMpsc, TokioMutex, TokioOneshot, TokioRuntime, TokioWatch};

use crate::rt::{self, OneshotRx, sim};

#[derive(Debug)]
pub struct Runtime(TokioRuntime);

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

impl AsyncRuntime for Runtime {
    type JoinError = Ended;
    type JoinHandle<T: OptionalSend + 'static> = Join<T>;
    type Sleep = Boxed;
    type Instant = Instant;
    type TimeoutError = Late;
    type Timeout<R, F: Future<Output = R> + OptionalSend> = Timeout<F>;
    type ThreadLocalRng = Draws;
    type Mpsc = TokioMpsc;
    type Watch = TokioWatch;
    type Oneshot = TokioOneshot;
    type Mutex<T: OptionalSend + 'static> = TokioMutex<T>;

    fn spawn<T>(future: T) -> Join<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        let (done, is_done) = rt::oneshot();
        let task = async move { done.send(future.await) };
        match sim::is_here() {
            true => rt::spawn(task),
            false => drop(TokioRuntime::spawn(task)),
        }
        Join(is_done)
    }

    fn sleep(duration: Duration) -> Boxed {
        match sim::is_here() {
            true => Box::pin(sim::sleep_until(rt::now().after(duration))),
            false => Box::pin(TokioRuntime::sleep(duration)),
        }
    }

    fn sleep_until(deadline: Instant) -> Boxed {
        Runtime::sleep(deadline.0.since(rt::now()))
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Timeout<F> {
        Timeout {
            future: Box::pin(future),
            deadline: Runtime::sleep(duration),
        }
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Instant, future: F) -> Timeout<F> {
        Runtime::timeout(deadline.0.since(rt::now()), future)
    }

    /// A panic ends the process, or the test.
    fn is_panic(_: &Ended) -> bool {
        false
    }

    fn thread_rng() -> Draws {
        Draws
    }

    fn new(threads: usize) -> Runtime {
        Runtime(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

/// A task's output.
pub struct Join<T>(OneshotRx<T>);

impl<T: Send> Future for Join<T> {
    type Output = Result<T, Ended>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Ended>> {
        Pin::new(&mut self.0).poll(cx).map(|output| output.ok_or(Ended))
    }
}

/// The task was dropped before its end.
#[derive(Debug)]
pub struct Ended;

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was dropped")
    }
}

pub struct Timeout<F> {
    future: Pin<Box<F>>,
    deadline: Boxed,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Late>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<F::Output, Late>> {
        match self.future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.deadline.as_mut().poll(cx).map(|()| Err(Late)),
        }
    }
}

/// The time of a call is over.
#[derive(Debug)]
pub struct Late;

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it has taken too long")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(rt::Instant);

impl openraft::Instant for Instant {
    fn now() -> Instant {
        Instant(rt::now())
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.after(duration))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, duration: Duration) -> Instant {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Instant(rt::Instant(self.0.0.saturating_sub(nanos)))
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Instant) -> Duration {
        self.0.since(earlier.0)
    }
}

/// Random numbers of this thread's world.
pub struct Draws;

impl rand_core::TryRng for Draws {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(rt::random_u64() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(rt::random_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let drawn = rt::random_u64().to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
        Ok(())
    }
}

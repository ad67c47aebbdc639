//! An HTTP port on a control thread, bounded against clients that are slow, many, do not read, or send without end.
//!
//! Whoever comes is let in: when all places are taken, the connection that has moved no byte for the longest time is cut.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};

/// Connections at a time.
const CONNECTIONS_MAX: usize = 64;
/// A whole request, head and body.
const REQUEST_BYTES_MAX: usize = 64 << 10;
/// For the first request of a connection.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);
/// For the next request behind an answer.
const IDLE_PATIENCE: Duration = Duration::from_secs(60);
/// For each piece of an answer that waits for its reader.
const READER_PATIENCE: Duration = Duration::from_secs(10);
/// A reader that takes less than this in that time is cut off.
const RESPONSE_PIECE_BYTES: usize = 64 << 10;
/// After a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound port that nobody serves yet.
#[derive(Debug)]
pub struct HttpPort {
    listener: TcpListener,
    address: SocketAddr,
}

impl HttpPort {
    /// Fails where another process listens already.
    pub fn bind(address: SocketAddr) -> io::Result<HttpPort> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(HttpPort { listener, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves for as long as the process lives. To be called on a control thread.
    pub async fn serve(self, router: axum::Router) -> io::Result<()> {
        let bounded = Bounded {
            listener: tokio::net::TcpListener::from_std(self.listener)?,
            places: Arc::default(),
        };
        axum::serve(bounded, router).await
    }
}

struct Bounded {
    listener: tokio::net::TcpListener,
    places: Arc<Places>,
}

impl axum::serve::Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (Connection::new(stream, self.places.clone()), peer),
                Err(error) => {
                    tracing::debug!(%error, "admin connection not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The connections that are let in, by their numbers.
#[derive(Default)]
struct Places {
    next: AtomicU64,
    taken: Mutex<BTreeMap<u64, Place>>,
}

struct Place {
    /// When a byte last moved.
    moved: Arc<AtomicU64>,
    /// Dropped with the place: the connection then ends.
    _keep: oneshot::Sender<()>,
}

impl Places {
    fn take(&self, moved: Arc<AtomicU64>) -> (u64, oneshot::Receiver<()>) {
        let (keep, cut) = oneshot::channel();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut taken = self.lock();
        if taken.len() >= CONNECTIONS_MAX {
            let stillest = taken
                .iter()
                .min_by_key(|(_, place)| place.moved.load(Ordering::Relaxed));
            if let Some(number) = stillest.map(|(number, _)| *number) {
                taken.remove(&number);
            }
        }
        taken.insert(number, Place { moved, _keep: keep });
        (number, cut)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Place>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection under a deadline, with a limit to what it may send before it is answered.
struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    /// Bytes read since the last answer began.
    read: usize,
    /// Bytes written since the deadline was last moved.
    written: usize,
    /// The answer waits for its reader, or did.
    is_awaited: bool,
    moved: Arc<AtomicU64>,
    number: u64,
    /// Ready once the place was given to another.
    cut: oneshot::Receiver<()>,
    places: Arc<Places>,
}

impl Connection {
    fn new(stream: TcpStream, places: Arc<Places>) -> Connection {
        let moved = Arc::new(AtomicU64::new(super::now().0));
        let (number, cut) = places.take(moved.clone());
        Connection {
            stream,
            deadline: Box::pin(sleep(REQUEST_PATIENCE)),
            read: 0,
            written: 0,
            is_awaited: false,
            moved,
            number,
            cut,
            places,
        }
    }

    /// An error once the time is over or the place is another's.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let is_over = self.deadline.as_mut().poll(cx).is_ready();
        match is_over || Pin::new(&mut self.cut).poll(cx).is_ready() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(()),
        }
    }

    fn move_deadline(&mut self, patience: Duration) {
        (self.read, self.written) = (0, 0);
        self.deadline.as_mut().reset(Instant::now() + patience);
    }

    fn on_moved(&self) {
        self.moved.store(super::now().0, Ordering::Relaxed);
    }

    fn on_written(&mut self, bytes: usize) {
        self.on_moved();
        self.written += bytes;
        if self.read > 0 {
            self.is_awaited = false;
            self.move_deadline(IDLE_PATIENCE);
        } else if self.written >= RESPONSE_PIECE_BYTES {
            let patience = if self.is_awaited {
                READER_PATIENCE
            } else {
                IDLE_PATIENCE
            };
            self.move_deadline(patience);
        }
    }

    /// The reader does not keep up.
    fn on_full(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.is_awaited {
            self.is_awaited = true;
            self.move_deadline(READER_PATIENCE);
        }
        self.check(cx)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.places.lock().remove(&self.number);
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            self.on_moved();
        }
        self.read += bytes;
        if self.read > REQUEST_BYTES_MAX {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "request too large")));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        match &written {
            Poll::Ready(Ok(bytes)) => self.on_written(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.on_full(cx)?,
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

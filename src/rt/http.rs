//! An HTTP port on a control thread, bounded against clients that are slow, many, or send without end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at a time; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// A whole request, head and body.
const REQUEST_BYTES_MAX: usize = 64 << 10;
/// For the first request of a connection.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);
/// For each piece of a response, and for the next request behind one.
const RESPONSE_PATIENCE: Duration = Duration::from_secs(60);
/// A client that takes less than this in that time is cut off.
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
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        };
        axum::serve(bounded, router).await
    }
}

struct Bounded {
    listener: tokio::net::TcpListener,
    places: Arc<Semaphore>,
}

impl axum::serve::Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let place = self.places.clone().acquire_owned().await;
            match (place, self.listener.accept().await) {
                (Ok(place), Ok((stream, peer))) => return (Connection::new(stream, place), peer),
                (_, refused) => {
                    tracing::debug!(error = ?refused.err(), "admin connection not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
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
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Connection {
        Connection {
            stream,
            deadline: Box::pin(sleep(REQUEST_PATIENCE)),
            read: 0,
            written: 0,
            _place: place,
        }
    }

    fn check_deadline(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    fn on_written(&mut self, bytes: usize) {
        self.written += bytes;
        if self.read > 0 || self.written >= RESPONSE_PIECE_BYTES {
            (self.read, self.written) = (0, 0);
            self.deadline.as_mut().reset(Instant::now() + RESPONSE_PATIENCE);
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check_deadline(cx)?;
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.read += buf.filled().len() - before;
        if self.read > REQUEST_BYTES_MAX {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "request too large")));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_deadline(cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(bytes)) = &written {
            self.on_written(*bytes);
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

//! Sockets of this shard's executor.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::io_error;
use crate::rt::host;
use crate::rt::task::{now, yield_now};

/// Connections that the kernel completes before we accept them (it caps this by net.core.somaxconn).
const BACKLOG: i32 = 1024;
/// Slices of one sendmsg: the kernel's IOV_MAX.
const SLICES_MAX: usize = 1024;
/// A full-speed peer may keep a writer busy for ever: after this long it lets the shard's other work in.
const WRITE_RUN: Duration = Duration::from_micros(200);

pub(in crate::rt) struct Listener {
    /// A duplicate of the listening descriptor, for `close`: glommio does not show its own.
    handle: Socket,
    listener: TcpListener,
    closed: Cell<bool>,
}

impl Listener {
    pub(in crate::rt) fn bind(addr: SocketAddr) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        let handle = socket.try_clone()?;
        // SAFETY: the descriptor is a listening socket that nothing else owns; the listener takes it over.
        let listener = unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) };
        Ok(Listener {
            handle,
            listener,
            closed: Cell::new(false),
        })
    }

    pub(in crate::rt) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr().map_err(io_error)
    }

    pub(in crate::rt) async fn accept(&self) -> io::Result<Stream> {
        if self.closed.get() {
            return Err(closed());
        }
        match self.listener.accept().await {
            Ok(_) if self.closed.get() => Err(closed()),
            // Closed again. Descriptors are given out from the lowest on: its number says how many are taken.
            Ok(stream) if stream.as_raw_fd() >= host::first_descriptor_for_files() => {
                Err(io::Error::from_raw_os_error(libc::EMFILE))
            }
            Ok(stream) => Stream::new(stream),
            Err(_) if self.closed.get() => Err(closed()),
            Err(error) => Err(io_error(error)),
        }
    }

    /// A listening socket that is shut down fails its accepts, the waiting one too.
    pub(in crate::rt) fn close(&self) {
        self.closed.set(true);
        if let Err(error) = self.handle.shutdown(Shutdown::Both) {
            tracing::debug!(%error, "listener was not open");
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "listener is closed")
}

#[derive(Clone)]
pub(in crate::rt) struct Stream(Rc<Connection>);

struct Connection {
    peer: SocketAddr,
    fd: RawFd,
    /// Borrowed within one poll only.
    stream: RefCell<TcpStream>,
}

impl Stream {
    pub(in crate::rt) async fn connect(addr: SocketAddr, timeout: Duration) -> io::Result<Stream> {
        Stream::new(TcpStream::connect_timeout(addr, timeout).await.map_err(io_error)?)
    }

    fn new(stream: TcpStream) -> io::Result<Stream> {
        let fd = stream.as_raw_fd();
        stream.set_nodelay(true).map_err(io_error)?;
        Ok(Stream(Rc::new(Connection {
            peer: stream.peer_addr().map_err(io_error)?,
            fd,
            stream: RefCell::new(stream),
        })))
    }

    pub(in crate::rt) fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    pub(in crate::rt) async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| Pin::new(&mut *self.0.stream.borrow_mut()).poll_read(cx, buf)).await
    }

    pub(in crate::rt) async fn write_all(&self, slices: &[Bytes]) -> io::Result<()> {
        let mut unsent = Unsent::new(slices);
        let mut run_start = now();
        while !unsent.is_empty() {
            let sent = match self.send(&unsent) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let sent = self.wait_and_send(unsent.head()).await?;
                    run_start = now();
                    sent
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                other => other?,
            };
            unsent.advance(sent);
            if now().since(run_start) >= WRITE_RUN {
                yield_now().await;
                run_start = now();
            }
        }
        Ok(())
    }

    /// One sendmsg of what fits into it: glommio's vectored write sends the first slice only.
    fn send(&self, unsent: &Unsent<'_>) -> io::Result<usize> {
        let slices = unsent.io_slices();
        // SAFETY: an all-zero msghdr is valid: no name, no control data, no slices.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = slices.as_ptr().cast_mut().cast(); // an IoSlice has the layout of an iovec, by its contract
        message.msg_iovlen = slices.len() as _;
        // SAFETY: `self` keeps the descriptor open; `slices` borrows the bytes for longer than this call, which only
        // reads them and the slices.
        let sent = unsafe { libc::sendmsg(self.0.fd, &message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(sent as usize)
    }

    /// Waits until the socket takes bytes again, by giving glommio the first slice to send.
    async fn wait_and_send(&self, head: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| Pin::new(&mut *self.0.stream.borrow_mut()).poll_write(cx, head)).await
    }

    pub(in crate::rt) fn shutdown(&self) {
        if let Err(error) = SockRef::from(&self.fd()).shutdown(Shutdown::Both) {
            tracing::trace!(%error, peer = %self.0.peer, "connection was gone already");
        }
    }

    pub(in crate::rt) fn set_buffer_sizes(&self, send: i64, receive: i64) {
        let size = |value: i64| usize::try_from(value).ok().filter(|value| *value > 0);
        let fd = self.fd();
        let socket = SockRef::from(&fd);
        let send = size(send).map_or(Ok(()), |value| socket.set_send_buffer_size(value));
        let receive = size(receive).map_or(Ok(()), |value| socket.set_recv_buffer_size(value));
        if let Err(error) = send.and(receive) {
            tracing::debug!(%error, peer = %self.0.peer, "socket buffer size was not set");
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the connection keeps the descriptor open for at least as long as `self` is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.0.fd) }
    }
}

/// The slices not yet sent, and how much of the first one is.
struct Unsent<'a> {
    slices: &'a [Bytes],
    sent_of_first: usize,
}

impl<'a> Unsent<'a> {
    fn new(slices: &'a [Bytes]) -> Unsent<'a> {
        let mut unsent = Unsent {
            slices,
            sent_of_first: 0,
        };
        unsent.advance(0); // skips leading empty slices
        unsent
    }

    fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    fn head(&self) -> &[u8] {
        self.slices.first().map_or(&[], |slice| &slice[self.sent_of_first..])
    }

    /// The unsent bytes, as far as one call takes them.
    fn io_slices(&self) -> Vec<IoSlice<'_>> {
        let rest = self.slices.iter().skip(1).map(|slice| IoSlice::new(slice));
        std::iter::once(IoSlice::new(self.head()))
            .chain(rest)
            .take(SLICES_MAX)
            .collect()
    }

    fn advance(&mut self, sent: usize) {
        self.sent_of_first += sent;
        while let Some(first) = self.slices.first()
            && self.sent_of_first >= first.len()
        {
            self.sent_of_first -= first.len();
            self.slices = &self.slices[1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the kernel cuts the sends, each byte is offered exactly once and in order.
        #[test]
        fn partial_sends_lose_and_repeat_nothing(
            slices in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..40),
            cuts in prop::collection::vec(1_usize..60, 1..50),
        ) {
            let expected = slices.concat();
            let slices: Vec<Bytes> = slices.into_iter().map(Bytes::from).collect();
            let mut unsent = Unsent::new(&slices);
            let mut received = Vec::new();
            let mut cuts = cuts.into_iter().cycle();
            while !unsent.is_empty() {
                let offered = unsent.io_slices().iter().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>();
                prop_assert!(offered.starts_with(unsent.head()) && !unsent.head().is_empty());
                let sent = cuts.next().unwrap_or(1).min(offered.len());
                received.extend_from_slice(&offered[..sent]);
                unsent.advance(sent);
            }
            prop_assert_eq!(received, expected);
        }
    }

    #[test]
    fn one_call_gets_no_more_slices_than_the_kernel_takes() {
        let slices = vec![Bytes::from_static(b"x"); SLICES_MAX + 1];
        assert_eq!(Unsent::new(&slices).io_slices().len(), SLICES_MAX);
    }
}

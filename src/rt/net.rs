//! TCP on a shard.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::real;
#[cfg(test)]
use super::sim;
use super::world::{World, current};

/// A listening socket with SO_REUSEPORT: every shard opens its own on the same address.
///
/// Another process of the same user can bind the same port too, without an error on either side: what keeps two brokers
/// apart is the lock in each log directory.
pub struct Listener(ListenerArm);

enum ListenerArm {
    Real(real::net::Listener),
    #[cfg(test)]
    Sim(sim::net::Listener),
}

impl Listener {
    pub fn bind(addr: SocketAddr) -> io::Result<Listener> {
        match current() {
            World::Shard => Ok(Listener(ListenerArm::Real(real::net::Listener::bind(addr)?))),
            World::Control | World::Plain => Err(io::Error::other("a listener needs a shard")),
            #[cfg(test)]
            World::Sim => Ok(Listener(ListenerArm::Sim(sim::net::Listener::bind(addr)))),
        }
    }
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            ListenerArm::Real(listener) => listener.local_addr(),
            #[cfg(test)]
            ListenerArm::Sim(listener) => Ok(listener.local_addr()),
        }
    }
    /// The next connection, with TCP_NODELAY set. After an error (too many open files, a connection that broke before
    /// it was accepted) call again, after a pause; `NotConnected` means that the listener is closed.
    pub async fn accept(&self) -> io::Result<Stream> {
        match &self.0 {
            ListenerArm::Real(listener) => Ok(Stream(StreamArm::Real(listener.accept().await?))),
            #[cfg(test)]
            ListenerArm::Sim(listener) => Ok(Stream(StreamArm::Sim(listener.accept().await?))),
        }
    }
    /// From now on no connection is taken, and `accept` fails, the pending one too: this is how an accept loop ends.
    pub fn close(&self) {
        match &self.0 {
            ListenerArm::Real(listener) => listener.close(),
            #[cfg(test)]
            ListenerArm::Sim(listener) => listener.close(),
        }
    }
}

/// One TCP connection. Clones share it: one task reads while another writes. Closed when the last clone goes.
///
/// At most one task reads and one writes at a time: a second reader would take over the first one's wake-up.
#[derive(Clone)]
pub struct Stream(StreamArm);

#[derive(Clone)]
enum StreamArm {
    Real(real::net::Stream),
    #[cfg(test)]
    Sim(sim::net::Stream),
}

impl Stream {
    pub async fn connect(addr: SocketAddr, timeout: Duration) -> io::Result<Stream> {
        match current() {
            World::Shard => Ok(Stream(StreamArm::Real(
                real::net::Stream::connect(addr, timeout).await?,
            ))),
            World::Control | World::Plain => Err(io::Error::other("a stream needs a shard")),
            #[cfg(test)]
            World::Sim => Ok(Stream(StreamArm::Sim(
                sim::net::Stream::connect(sim::Plane::Data, addr, timeout).await?,
            ))),
        }
    }
    pub fn peer(&self) -> SocketAddr {
        match &self.0 {
            StreamArm::Real(stream) => stream.peer(),
            #[cfg(test)]
            StreamArm::Sim(stream) => stream.peer(),
        }
    }
    /// Up to `buf.len()` bytes; 0 at the end of the stream. Cancel-safe.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            StreamArm::Real(stream) => stream.read(buf).await,
            #[cfg(test)]
            StreamArm::Sim(stream) => stream.read(buf).await,
        }
    }
    /// All slices, in order, by as few sendmsg calls as possible. Not cancel-safe: a dropped call may have sent a part.
    pub async fn write_all(&self, slices: &[Bytes]) -> io::Result<()> {
        match &self.0 {
            StreamArm::Real(stream) => stream.write_all(slices).await,
            #[cfg(test)]
            StreamArm::Sim(stream) => stream.write_all(slices).await,
        }
    }
    /// Both directions: wakes a pending read with 0, and fails a pending write.
    pub fn shutdown(&self) {
        match &self.0 {
            StreamArm::Real(stream) => stream.shutdown(),
            #[cfg(test)]
            StreamArm::Sim(stream) => stream.shutdown(),
        }
    }
    /// Sets SO_SNDBUF / SO_RCVBUF where the value is positive.
    pub fn set_buffer_sizes(&self, send: i64, receive: i64) {
        match &self.0 {
            StreamArm::Real(stream) => stream.set_buffer_sizes(send, receive),
            #[cfg(test)]
            StreamArm::Sim(_) => {}
        }
    }
}

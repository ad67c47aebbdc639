//! TCP on a shard.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;

/// A listening socket with SO_REUSEPORT: every shard opens its own on the same address.
pub struct Listener {}
impl Listener {
    pub fn bind(addr: SocketAddr) -> io::Result<Listener> {
        let _ = addr;
        todo!()
    }
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        todo!()
    }
    pub async fn accept(&self) -> io::Result<Stream> {
        todo!()
    }
}

/// One TCP connection. Clones share it: one task reads while another writes. Closed when the last clone goes.
#[derive(Clone)]
pub struct Stream {}
impl Stream {
    pub fn peer(&self) -> SocketAddr {
        todo!()
    }
    /// Up to `buf.len()` bytes; 0 at the end of the stream. Cancel-safe.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let _ = buf;
        todo!()
    }
    /// All slices, in order, by as few sendmsg calls as possible.
    pub async fn write_all(&self, slices: &[Bytes]) -> io::Result<()> {
        let _ = slices;
        todo!()
    }
    /// Both directions: wakes a pending read with 0.
    pub fn shutdown(&self) {}
    /// Sets SO_SNDBUF / SO_RCVBUF where the value is positive.
    pub fn set_buffer_sizes(&self, send: i64, receive: i64) {
        let _ = (send, receive);
    }
}

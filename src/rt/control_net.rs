//! TCP on a control thread: connections that are written and read in whole pieces, each under a deadline. Unlike the rest of
//! this module's futures, these may be sent between threads.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A listening socket of one control thread.
pub struct ControlListener(TcpListener);

impl ControlListener {
    /// Fails where another process listens already.
    pub fn bind(address: SocketAddr) -> io::Result<ControlListener> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(ControlListener(TcpListener::from_std(listener)?))
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The next connection. After an error call again, after a pause.
    pub async fn accept(&self) -> io::Result<ControlStream> {
        let (stream, peer) = self.0.accept().await?;
        ControlStream::new(stream, peer)
    }
}

/// One connection. Closed when the last clone goes. A call that is dropped or fails may have moved a part of its bytes:
/// then the connection is of no further use.
#[derive(Clone)]
pub struct ControlStream {
    stream: Arc<TcpStream>,
    peer: SocketAddr,
}

impl ControlStream {
    fn new(stream: TcpStream, peer: SocketAddr) -> io::Result<ControlStream> {
        stream.set_nodelay(true)?;
        let stream = Arc::new(stream);
        Ok(ControlStream { stream, peer })
    }

    pub async fn connect(host: &str, port: u16, within: Duration) -> io::Result<ControlStream> {
        let stream = limited(within, TcpStream::connect((host, port))).await?;
        let peer = stream.peer_addr()?;
        ControlStream::new(stream, peer)
    }

    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Fills `bytes`. `UnexpectedEof` where the other side closed before.
    pub async fn read_exact(&self, bytes: &mut [u8], within: Duration) -> io::Result<()> {
        limited(within, self.fill(bytes)).await
    }

    pub async fn write_all(&self, bytes: &[u8], within: Duration) -> io::Result<()> {
        limited(within, self.send(bytes)).await
    }

    async fn fill(&self, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.readable().await?;
            match self.stream.try_read(bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => bytes = &mut bytes[count..],
                Err(not_yet) if not_yet.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(not_yet) if not_yet.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

async fn limited<T>(within: Duration, call: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(within, call)
        .await
        .unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

//! TCP on a control thread: connections that are written and read in whole pieces, each under a deadline. Unlike the rest of
//! this module's futures, these may be sent between threads.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

#[cfg(test)]
use super::sim;

/// A listening socket of one control thread.
pub struct ControlListener(ListenerArm);

enum ListenerArm {
    Real(TcpListener),
    #[cfg(test)]
    Sim(sim::net::Listener),
}

impl ControlListener {
    /// Fails where another process listens already.
    pub fn bind(address: SocketAddr) -> io::Result<ControlListener> {
        #[cfg(test)]
        if sim::is_here() {
            return sim::net::Listener::bind_alone(address).map(|listener| ControlListener(ListenerArm::Sim(listener)));
        }
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(ControlListener(ListenerArm::Real(TcpListener::from_std(listener)?)))
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            ListenerArm::Real(listener) => listener.local_addr(),
            #[cfg(test)]
            ListenerArm::Sim(listener) => Ok(listener.local_addr()),
        }
    }

    /// The next connection. After an error call again, after a pause.
    pub async fn accept(&self) -> io::Result<ControlStream> {
        match &self.0 {
            ListenerArm::Real(listener) => {
                let (stream, peer) = listener.accept().await?;
                ControlStream::new(stream, peer)
            }
            #[cfg(test)]
            ListenerArm::Sim(listener) => listener.accept().await.map(ControlStream::simulated),
        }
    }
}

/// One connection. Closed when the last clone goes. A call that is dropped or fails may have moved a part of its bytes:
/// then the connection is of no further use.
#[derive(Clone)]
pub struct ControlStream {
    arm: StreamArm,
    peer: SocketAddr,
}

#[derive(Clone)]
enum StreamArm {
    Real(Arc<TcpStream>),
    #[cfg(test)]
    Sim(sim::net::Stream),
}

impl ControlStream {
    fn new(stream: TcpStream, peer: SocketAddr) -> io::Result<ControlStream> {
        stream.set_nodelay(true)?;
        let arm = StreamArm::Real(Arc::new(stream));
        Ok(ControlStream { arm, peer })
    }

    #[cfg(test)]
    fn simulated(stream: sim::net::Stream) -> ControlStream {
        let peer = stream.peer();
        let arm = StreamArm::Sim(stream);
        ControlStream { arm, peer }
    }

    pub async fn connect(host: &str, port: u16, within: Duration) -> io::Result<ControlStream> {
        #[cfg(test)]
        if sim::is_here() {
            let address = super::resolve(host, port)?;
            let connected = sim::net::Stream::connect(sim::Plane::Control, address, within).await;
            return connected.map(ControlStream::simulated);
        }
        let stream = limited(within, TcpStream::connect((host, port))).await?;
        let peer = stream.peer_addr()?;
        ControlStream::new(stream, peer)
    }

    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether the other side has neither closed it nor sent anything that nobody waits for, as far as is known.
    pub fn is_open(&self) -> bool {
        match &self.arm {
            StreamArm::Real(stream) => {
                let read = stream.try_read(&mut [0]);
                read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            #[cfg(test)]
            StreamArm::Sim(_) => true,
        }
    }

    /// Fills `bytes`. `UnexpectedEof` where the other side closed before.
    pub async fn read_exact(&self, bytes: &mut [u8], within: Duration) -> io::Result<()> {
        match &self.arm {
            StreamArm::Real(stream) => limited(within, fill(stream, bytes)).await,
            #[cfg(test)]
            StreamArm::Sim(stream) => {
                let filled = sim::timeout(within, stream.read_exact(bytes)).await;
                filled.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    pub async fn write_all(&self, bytes: &[u8], within: Duration) -> io::Result<()> {
        match &self.arm {
            StreamArm::Real(stream) => limited(within, send(stream, bytes)).await,
            #[cfg(test)]
            StreamArm::Sim(stream) => stream.write_all(&[bytes::Bytes::copy_from_slice(bytes)]).await,
        }
    }
}

async fn fill(stream: &TcpStream, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.readable().await?;
        match stream.try_read(bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => bytes = &mut bytes[count..],
            Err(not_yet) if not_yet.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn send(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(not_yet) if not_yet.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn limited<T>(within: Duration, call: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(within, call)
        .await
        .unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

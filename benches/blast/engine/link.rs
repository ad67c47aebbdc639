//! One non-blocking connection: bytes out, whole frames in.

use std::io::{self, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{Buf, Bytes, BytesMut};

const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How much one read may bring, and how little room is too little.
const READ_BYTES: usize = 128 << 10;
const READ_BYTES_MIN: usize = 16 << 10;
/// The largest answer that is read.
const FRAME_BYTES_MAX: usize = 512 << 20;

pub struct Link {
    stream: TcpStream,
    /// Frames to be sent; those before `sent` have gone.
    pub out: Vec<u8>,
    sent: usize,
    incoming: BytesMut,
}

impl Link {
    pub fn open(address: &str) -> anyhow::Result<Link> {
        let mut last = None;
        for address in
            std::net::ToSocketAddrs::to_socket_addrs(address).with_context(|| format!("resolve {address}"))?
        {
            match TcpStream::connect_timeout(&address, CONNECT_PATIENCE) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_nonblocking(true)?;
                    return Ok(Link {
                        stream,
                        out: Vec::new(),
                        sent: 0,
                        incoming: BytesMut::new(),
                    });
                }
                Err(problem) => last = Some(problem),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::NotFound.into())).with_context(|| format!("connect to {address}"))
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Bytes that still wait for the socket.
    pub fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Sends what the socket takes. True once everything has gone.
    pub fn flush(&mut self) -> anyhow::Result<bool> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => bail!("the broker has closed the connection"),
                Ok(taken) => self.sent += taken,
                Err(problem) if problem.kind() == io::ErrorKind::WouldBlock => break,
                Err(problem) if problem.kind() == io::ErrorKind::Interrupted => {}
                Err(problem) => return Err(problem).context("send to the broker"),
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        } else if self.sent > self.out.len() / 2 {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Ok(self.out.is_empty())
    }

    /// Reads once, and gives every frame that is now whole to `on_frame`, without its length.
    pub fn receive(&mut self, mut on_frame: impl FnMut(Bytes) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.read_once()?;
        while let Some(len) = self.frame_len()? {
            if self.incoming.len() < 4 + len {
                self.incoming.reserve(4 + len - self.incoming.len());
                break;
            }
            self.incoming.advance(4);
            on_frame(self.incoming.split_to(len).freeze())?;
        }
        Ok(())
    }

    fn read_once(&mut self) -> anyhow::Result<()> {
        if self.incoming.capacity() - self.incoming.len() < READ_BYTES_MIN {
            self.incoming.reserve(READ_BYTES);
        }
        let room = self.incoming.spare_capacity_mut();
        // SAFETY: the kernel writes at most `room.len()` bytes, which are ours.
        let got = unsafe { libc::recv(self.stream.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), 0) };
        match got {
            0 => bail!("the broker has closed the connection"),
            // SAFETY: the kernel has written that many bytes behind those that were there.
            1.. => unsafe { self.incoming.set_len(self.incoming.len() + got as usize) },
            _ => match io::Error::last_os_error() {
                problem if problem.kind() == io::ErrorKind::WouldBlock => {}
                problem if problem.kind() == io::ErrorKind::Interrupted => {}
                problem => return Err(problem).context("receive from the broker"),
            },
        }
        Ok(())
    }

    fn frame_len(&self) -> anyhow::Result<Option<usize>> {
        let Some(prefix) = self.incoming.first_chunk::<4>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*prefix) as usize;
        if len > FRAME_BYTES_MAX {
            bail!("an answer of {len} bytes");
        }
        Ok(Some(len))
    }
}

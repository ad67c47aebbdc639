//! One connection to another broker: a request out, its answer back. Nothing else is in flight, but for a request that only
//! tells the broker not to wait with the answer to the one before it.

use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::or;

use crate::rt::{self, SocketAddr, Stream};
use crate::wire::messages::MessageError;
use crate::wire::{
    ApiKey, DecodeError, FrameError, HeaderError, RequestHeader, frame_len, is_flexible, is_response_header_flexible,
    parse_response,
};

/// How long a connection may take to open.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
const PREFIX_BYTES: usize = 4;
/// The smallest request that there is, and no broker refuses it.
const NUDGE: (ApiKey, i16) = (ApiKey::API_VERSIONS, 0);

/// Why another broker did not answer.
#[derive(Debug, thiserror::Error)]
pub enum CallProblem {
    #[error("the broker has no address on the listener of the brokers")]
    NoAddress,
    #[error("the host {0} was not found: {1}")]
    NoHost(String, io::Error),
    #[error("no connection to {0}: {1}")]
    Unreachable(SocketAddr, io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("no answer in {} ms", .0.as_millis())]
    Slow(Duration),
    #[error("the broker refused the request with error {0}")]
    Refused(i16),
    #[error("this broker is stopping")]
    Closing,
    #[error("the answer is not to this request")]
    Stranger,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("the answer cannot be read: {0}")]
    Answer(#[from] DecodeError),
    #[error("the answer cannot be read: {0}")]
    Message(#[from] MessageError),
}

pub struct BrokerConnection {
    stream: Stream,
    client_id: Bytes,
    correlation_id: i32,
    frame_bytes_max: i32,
    patience: Duration,
}

/// How a connection introduces itself, and what it puts up with.
#[derive(Clone)]
pub struct Manner {
    pub client_id: Bytes,
    /// A longer answer ends the connection.
    pub frame_bytes_max: i32,
    /// For one answer.
    pub patience: Duration,
}

impl BrokerConnection {
    pub async fn open(host: &str, port: u16, manner: Manner) -> Result<BrokerConnection, CallProblem> {
        let address = rt::lookup(host, port)
            .await
            .map_err(|error| CallProblem::NoHost(host.to_owned(), error))?;
        let stream = Stream::connect(address, CONNECT_PATIENCE)
            .await
            .map_err(|error| CallProblem::Unreachable(address, error))?;
        Ok(BrokerConnection {
            stream,
            client_id: manner.client_id,
            correlation_id: 0,
            frame_bytes_max: manner.frame_bytes_max,
            patience: manner.patience,
        })
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The body of the answer. After an error the connection is of no more use.
    pub async fn call(&mut self, key: ApiKey, version: i16, body: Vec<Bytes>) -> Result<Bytes, CallProblem> {
        self.call_until(key, version, body, std::future::pending()).await
    }

    /// The same of a request that the broker may let wait: not beyond the end of `hurry`.
    pub async fn call_until(
        &mut self,
        key: ApiKey,
        version: i16,
        body: Vec<Bytes>,
        hurry: impl Future<Output = ()>,
    ) -> Result<Bytes, CallProblem> {
        let patience = self.patience;
        let exchange = async {
            let asked = self.send(key, version, body).await?;
            let stream = self.stream.clone();
            // Never dropped half read: what follows could not be told from the rest of it.
            let mut frame = pin!(read_frame(&stream, self.frame_bytes_max));
            let in_time = async { Some(frame.as_mut().await) };
            let hurried = async {
                hurry.await;
                None
            };
            if let Some(frame) = or(in_time, hurried).await {
                return asked.answer(frame?);
            }
            let (key, version) = NUDGE;
            let nudged = self.send(key, version, Vec::new()).await?;
            let answer = asked.answer(frame.await?)?;
            nudged.answer(read_frame(&stream, self.frame_bytes_max).await?)?;
            Ok(answer)
        };
        let answer = rt::timeout(patience, exchange).await;
        answer.unwrap_or(Err(CallProblem::Slow(patience)))
    }

    async fn send(&mut self, key: ApiKey, version: i16, body: Vec<Bytes>) -> Result<Asked, CallProblem> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let header = RequestHeader {
            api_key: key,
            api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some(self.client_id.clone()),
        };
        self.stream
            .write_all(&header.frame(is_flexible(key, version), body))
            .await?;
        Ok(Asked {
            correlation_id: self.correlation_id,
            flexible: is_response_header_flexible(key, version),
        })
    }
}

/// A request that was sent.
struct Asked {
    correlation_id: i32,
    flexible: bool,
}

impl Asked {
    /// The body of the answer in this frame, which must be to this request.
    fn answer(&self, frame: Bytes) -> Result<Bytes, CallProblem> {
        let (correlation_id, body) = parse_response(frame, self.flexible)?;
        match correlation_id == self.correlation_id {
            true => Ok(body),
            false => Err(CallProblem::Stranger),
        }
    }
}

async fn read_frame(stream: &Stream, bytes_max: i32) -> Result<Bytes, CallProblem> {
    let mut prefix = [0; PREFIX_BYTES];
    read_exact(stream, &mut prefix).await?;
    let mut frame = vec![0; frame_len(prefix, bytes_max)?];
    read_exact(stream, &mut frame).await?;
    Ok(frame.into())
}

async fn read_exact(stream: &Stream, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match stream.read(room).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    Ok(())
}

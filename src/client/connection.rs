//! One connection: negotiated versions, requests out, answers back in order.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

use bytes::Bytes;

use super::{Address, ClientError, Request};
use crate::rt::blocking::TcpStream;
use crate::wire::messages::ApiVersionsRequestData;
use crate::wire::{ApiKey, RequestHeader, frame_len, is_flexible, is_response_header_flexible, parse_response};

/// How long a connection may take to open, and an answer to come.
const PATIENCE: Duration = Duration::from_secs(60);
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const FRAME_BYTES_MAX: i32 = 512 << 20;

/// A connection to one broker that has told which versions it speaks.
pub struct Connection {
    stream: TcpStream,
    address: String,
    client_id: Bytes,
    next_correlation_id: i32,
    ranges: BTreeMap<ApiKey, (i16, i16)>,
    in_flight: VecDeque<InFlight>,
}

struct InFlight {
    correlation_id: i32,
    key: ApiKey,
    version: i16,
}

impl Connection {
    /// Connects and asks for the broker's versions.
    pub fn open(address: &Address, client_id: &str) -> Result<Connection, ClientError> {
        let name = address.to_string();
        let stream = TcpStream::connect(&address.host, address.port, CONNECT_PATIENCE)
            .and_then(|stream| stream.set_read_timeout(Some(PATIENCE)).map(|()| stream))
            .map_err(|problem| ClientError::Unreachable(name.clone(), problem))?;
        let mut connection = Connection {
            stream,
            address: name,
            client_id: Bytes::copy_from_slice(client_id.as_bytes()),
            next_correlation_id: 0,
            ranges: BTreeMap::from([(ApiKey::API_VERSIONS, (0, 0))]),
            in_flight: VecDeque::new(),
        };
        let answer = connection.call(&ApiVersionsRequestData::default())?;
        ClientError::check(answer.error_code, None)?;
        connection.ranges = answer
            .api_keys
            .iter()
            .map(|api| (ApiKey(api.api_key), (api.min_version, api.max_version)))
            .collect();
        Ok(connection)
    }

    /// Where the broker is, as `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether the broker serves `R` in a version that this client speaks.
    pub fn serves<R: Request>(&self) -> bool {
        self.version_of::<R>().is_ok()
    }

    /// Sends a request and waits for its answer. No other may be in flight.
    pub fn call<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        assert!(self.in_flight.is_empty(), "answers come in the order of the requests");
        self.send(request)?;
        self.receive::<R>()
    }

    /// Sends a request whose answer [`Connection::receive`] collects.
    pub fn send<R: Request>(&mut self, request: &R) -> Result<(), ClientError> {
        let correlation_id = self.write(request)?;
        let version = self.version_of::<R>()?;
        self.in_flight.push_back(InFlight {
            correlation_id,
            key: R::KEY,
            version,
        });
        Ok(())
    }

    /// Sends a request that is never answered (Produce with acks=0).
    pub fn send_only<R: Request>(&mut self, request: &R) -> Result<(), ClientError> {
        self.write(request).map(|_| ())
    }

    /// How many requests wait for their answer.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether the answer to the oldest request in flight begins to come within `patience`.
    pub fn is_answered_within(&self, patience: Duration) -> Result<bool, ClientError> {
        let broken = |problem| ClientError::Broken(self.address.clone(), problem);
        self.stream.is_readable_within(patience).map_err(broken)
    }

    /// The answer to the oldest request in flight, which must be an `R`.
    pub fn receive<R: Request>(&mut self) -> Result<R::Response, ClientError> {
        let expected = self.in_flight.pop_front().expect("a request is in flight");
        assert_eq!(expected.key, R::KEY, "answers come in the order of the requests");
        let frame = self.read_frame()?;
        let (correlation_id, body) = parse_response(frame, is_response_header_flexible(R::KEY, expected.version))?;
        if correlation_id != expected.correlation_id {
            let problem = format!("correlation id {correlation_id} instead of {}", expected.correlation_id);
            return Err(ClientError::answer(&self.address, problem));
        }
        R::decode_answer(body, expected.version).map_err(|problem| match problem {
            ClientError::Request(unreadable) => ClientError::answer(&self.address, unreadable),
            other => other,
        })
    }

    fn write<R: Request>(&mut self, request: &R) -> Result<i32, ClientError> {
        let version = self.version_of::<R>()?;
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = correlation_id.wrapping_add(1);
        let header = RequestHeader {
            api_key: R::KEY,
            api_version: version,
            correlation_id,
            client_id: Some(self.client_id.clone()),
        };
        let slices = header.frame(is_flexible(R::KEY, version), request.encode_body(version)?);
        self.stream
            .write_all(&slices.concat())
            .map_err(|problem| ClientError::Broken(self.address.clone(), problem))?;
        Ok(correlation_id)
    }

    fn read_frame(&mut self) -> Result<Bytes, ClientError> {
        let broken = |problem| ClientError::Broken(self.address.clone(), named(problem));
        let mut prefix = [0; 4];
        self.stream.read_exact(&mut prefix).map_err(broken)?;
        let len = frame_len(prefix, FRAME_BYTES_MAX).map_err(|problem| ClientError::answer(&self.address, problem))?;
        let mut frame = vec![0; len];
        self.stream.read_exact(&mut frame).map_err(broken)?;
        Ok(frame.into())
    }

    fn version_of<R: Request>(&self) -> Result<i16, ClientError> {
        let unsupported = || ClientError::Unsupported {
            address: self.address.clone(),
            key: R::KEY,
        };
        let (oldest, newest) = *self.ranges.get(&R::KEY).ok_or_else(unsupported)?;
        let version = newest.min(R::NEWEST);
        if version >= oldest.max(R::OLDEST) {
            Ok(version)
        } else {
            Err(unsupported())
        }
    }
}

/// The kernel says in odd words that the time for an answer is over.
fn named(problem: io::Error) -> io::Error {
    match problem.kind() {
        io::ErrorKind::WouldBlock => {
            let message = format!("no answer within {} s", PATIENCE.as_secs());
            io::Error::new(io::ErrorKind::TimedOut, message)
        }
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_over_is_called_that() {
        assert_eq!(
            named(io::ErrorKind::WouldBlock.into()).to_string(),
            "no answer within 60 s"
        );
        let gone = io::ErrorKind::ConnectionReset;
        assert_eq!(named(gone.into()).kind(), gone);
    }
}

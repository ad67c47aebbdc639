//! What can go wrong between a client and a broker.

use std::io;

use crate::model::ErrorCode;
use crate::wire::{ApiKey, HeaderError, messages::MessageError, produce::DecodeError};

/// Why a request has no (good) answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no broker of {0} could be reached: {1}")]
    Unreachable(String, io::Error),
    #[error("connection to {0} broke: {1}")]
    Broken(String, io::Error),
    #[error("{address} does not serve API {} in a version that this client speaks", key.0)]
    Unsupported { address: String, key: ApiKey },
    #[error("answer of {0} cannot be read: {1}")]
    Answer(String, String),
    #[error("request cannot be written: {0}")]
    Request(#[from] MessageError),
    #[error("{} is not of the form host:port", .0)]
    Address(String),
    #[error("{}", describe(.code, .message))]
    Kafka { code: ErrorCode, message: Option<String> },
}

impl ClientError {
    /// The error that a response carries; `Ok` for none.
    pub fn check(code: i16, message: Option<&str>) -> Result<(), ClientError> {
        match ErrorCode::from_code(code) {
            ErrorCode::None => Ok(()),
            code => Err(ClientError::Kafka {
                code,
                message: message.map(str::to_owned),
            }),
        }
    }

    /// The Kafka error code, where the broker answered with one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Kafka { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Worth another try: the topic is being created, its leader moves, the broker restarts.
    pub(super) fn is_passing(&self) -> bool {
        match self.code() {
            None => matches!(self, ClientError::Unreachable(..) | ClientError::Broken(..)),
            Some(code) => matches!(
                code,
                ErrorCode::UnknownTopicOrPartition
                    | ErrorCode::LeaderNotAvailable
                    | ErrorCode::NotLeaderOrFollower
                    | ErrorCode::OffsetNotAvailable
                    | ErrorCode::RequestTimedOut
                    | ErrorCode::BrokerNotAvailable
                    | ErrorCode::NetworkException
                    | ErrorCode::CoordinatorLoadInProgress
                    | ErrorCode::NotEnoughReplicas
                    | ErrorCode::NotEnoughReplicasAfterAppend
                    | ErrorCode::KafkaStorageError
                    | ErrorCode::FencedLeaderEpoch
                    | ErrorCode::UnknownLeaderEpoch
            ),
        }
    }

    pub(super) fn answer(address: &str, problem: impl std::fmt::Display) -> ClientError {
        ClientError::Answer(address.to_owned(), problem.to_string())
    }
}

impl From<HeaderError> for ClientError {
    fn from(problem: HeaderError) -> ClientError {
        ClientError::answer("the broker", problem)
    }
}

impl From<DecodeError> for ClientError {
    fn from(problem: DecodeError) -> ClientError {
        ClientError::answer("the broker", problem)
    }
}

fn describe(code: &ErrorCode, message: &Option<String>) -> String {
    message
        .clone()
        .unwrap_or_else(|| format!("{code:?} (error {})", code.code()))
}

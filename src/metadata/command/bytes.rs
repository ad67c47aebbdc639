//! Commands and answers as bytes, for the way from a broker to the controller. Both ends are of one version of the
//! control protocol, so these are plain archives of the types as they are.

use rkyv::primitive::ArchivedI16;
use rkyv::rancor::Fallible;
use rkyv::{Archive, Deserialize, Place, Serialize, rancor};

use super::{Command, CommandError, Reply};
use crate::metadata::archive::{from_bytes, to_bytes};
use crate::model::ErrorCode;

impl Command {
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self).into_vec()
    }

    /// Err: no command, or a damaged one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Command, rancor::Error> {
        from_bytes(bytes)
    }
}

pub fn answer_to_bytes(answer: &Result<Reply, CommandError>) -> Vec<u8> {
    to_bytes(answer).into_vec()
}

/// Err: no answer, or a damaged one.
pub fn answer_from_bytes(bytes: &[u8]) -> Result<Result<Reply, CommandError>, rancor::Error> {
    from_bytes(bytes)
}

/// By its number on the wire, which no later list of codes changes.
impl Archive for ErrorCode {
    type Archived = ArchivedI16;
    type Resolver = ();

    fn resolve(&self, (): (), out: Place<ArchivedI16>) {
        self.code().resolve((), out);
    }
}

impl<S: Fallible + ?Sized> Serialize<S> for ErrorCode {
    fn serialize(&self, _: &mut S) -> Result<(), S::Error> {
        Ok(())
    }
}

impl<D: Fallible + ?Sized> Deserialize<ErrorCode, D> for ArchivedI16 {
    fn deserialize(&self, _: &mut D) -> Result<ErrorCode, D::Error> {
        Ok(ErrorCode::from_code(self.to_native()))
    }
}

#[cfg(test)]
mod tests;

//! The real arm: glommio's files and sockets, with its defects kept inside.

pub(super) mod file;
pub(super) mod net;

use std::io;

use glommio::GlommioError;

/// The system's error, with its number: glommio's own conversion keeps only the kind.
fn io_error<T>(error: GlommioError<T>) -> io::Error {
    match error {
        GlommioError::EnhancedIoError { source, .. } => source,
        GlommioError::IoError(source) => source,
        other => io::Error::from(other),
    }
}

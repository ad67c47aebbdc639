//! Tests of the codec as a whole: against a second implementation of the protocol, and against hostile bytes.

mod draw;
mod messages;
mod produce_fetch;

//! recovery: to be written.

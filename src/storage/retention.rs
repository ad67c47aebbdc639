//! retention: to be written.

//! decide: to be written.

//! segment: to be written.

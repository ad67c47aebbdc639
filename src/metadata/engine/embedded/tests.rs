//! What survives which damage.

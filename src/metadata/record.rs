//! What the log of the metadata holds: outcomes, not commands.
pub enum Record {}

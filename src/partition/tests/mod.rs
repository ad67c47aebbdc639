//! Replicas of a partition with real logs on a simulated disk: one by one, and a few against each other.

mod cluster;
mod node;
mod replicas;
mod roles;

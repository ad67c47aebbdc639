//! THE table of features: what groups of behaviour this broker has, and the level of each that is in use.

/// A feature and its only finalized level: the highest.
pub struct Feature {
    pub name: &'static str,
    pub level: i16,
}

const fn feature(name: &'static str, level: i16) -> Feature {
    Feature { name, level }
}

/// Of a broker; `has_quorum`: of one that does not keep its metadata alone.
pub fn features(has_quorum: bool) -> impl Iterator<Item = &'static Feature> {
    FEATURES.iter().chain(has_quorum.then_some(&KRAFT))
}

/// Voters are added and taken out while the quorum runs. //= KIP-853
const KRAFT: Feature = feature("kraft.version", 1);

const FEATURES: &[Feature] = &[
    // Groups of the consumer protocol. //= KIP-848
    feature("group.version", 1),
    // Share groups. //= KIP-932
    feature("share.version", 1),
    // Clients that see level 2 finalized let the broker add partitions and bump the epoch. //= KIP-890
    feature("transaction.version", 2),
];

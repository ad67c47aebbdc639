//! THE table: every broker and topic key of Kafka 4.3, and our own, one row each.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Short,
    Long,
    Double,
    String,
    List,
    Password,
    Class,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// needs a restart
    ReadOnly,
    PerBroker,
    ClusterWide,
    Topic,
}
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// None: no default (null)
    pub default: Option<&'static str>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub choices: &'static [&'static str],
    pub scope: Scope,
    /// Topic keys: the broker key that gives the default (KIP-… synonyms), for example log.segment.bytes.
    pub broker_synonym: Option<&'static str>,
    /// false: accepted, with one warning line that it has no effect yet.
    pub effective: bool,
    pub doc: &'static str,
}
pub static BROKER_KEYS: &[Key] = &[];
pub static TOPIC_KEYS: &[Key] = &[];
pub fn broker_key(name: &str) -> Option<&'static Key> {
    BROKER_KEYS.iter().find(|k| k.name == name)
}
pub fn topic_key(name: &str) -> Option<&'static Key> {
    TOPIC_KEYS.iter().find(|k| k.name == name)
}
impl Key {
    /// Parses and checks a value by kind, bounds and choices; the error is Kafka's sentence:
    /// "Invalid value X for configuration K: Y".
    pub fn check(&self, value: &str) -> Result<(), String> {
        let _ = value;
        todo!()
    }
}

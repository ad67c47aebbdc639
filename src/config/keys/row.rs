//! The words in which a row of the table is written: a constructor per kind, then what differs from a plain row.
//!
//! A plain row has no default, no bounds, needs a restart, and has no effect yet.

use super::{Key, Kind, Origin, Scope};

pub(super) const fn boolean(name: &'static str) -> Key {
    plain(name, Kind::Bool)
}
pub(super) const fn int(name: &'static str) -> Key {
    plain(name, Kind::Int)
}
pub(super) const fn short(name: &'static str) -> Key {
    plain(name, Kind::Short)
}
pub(super) const fn long(name: &'static str) -> Key {
    plain(name, Kind::Long)
}
pub(super) const fn double(name: &'static str) -> Key {
    plain(name, Kind::Double)
}
pub(super) const fn string(name: &'static str) -> Key {
    plain(name, Kind::String)
}
pub(super) const fn list(name: &'static str) -> Key {
    plain(name, Kind::List)
}
pub(super) const fn password(name: &'static str) -> Key {
    plain(name, Kind::Password)
}
pub(super) const fn class(name: &'static str) -> Key {
    plain(name, Kind::Class)
}

impl Key {
    pub(super) const fn default(mut self, value: &'static str) -> Key {
        self.default = Some(value);
        self
    }
    pub(super) const fn at_least(mut self, min: i64) -> Key {
        self.min = Some(min as f64);
        self
    }
    pub(super) const fn between(mut self, min: f64, max: f64) -> Key {
        self.min = Some(min);
        self.max = Some(max);
        self
    }
    pub(super) const fn choices(mut self, choices: &'static [&'static str]) -> Key {
        self.choices = choices;
        self
    }
    pub(super) const fn any_case(mut self) -> Key {
        self.any_case = true;
        self
    }
    pub(super) const fn per_broker(mut self) -> Key {
        self.scope = Scope::PerBroker;
        self
    }
    pub(super) const fn cluster_wide(mut self) -> Key {
        self.scope = Scope::ClusterWide;
        self
    }
    /// A topic key, and the broker keys that its default comes from.
    pub(super) const fn topic(mut self, synonyms: &'static [&'static str]) -> Key {
        self.scope = Scope::Topic;
        self.synonyms = synonyms;
        self
    }
    pub(super) const fn synonyms(mut self, synonyms: &'static [&'static str]) -> Key {
        self.synonyms = synonyms;
        self
    }
    pub(super) const fn effective(mut self) -> Key {
        self.effective = true;
        self
    }
    pub(super) const fn internal(mut self) -> Key {
        self.origin = Origin::Internal;
        self
    }
    pub(super) const fn old(mut self) -> Key {
        self.origin = Origin::Old;
        self
    }
    pub(super) const fn own(mut self) -> Key {
        self.origin = Origin::Own;
        self.effective = true;
        self
    }
    pub(super) const fn doc(mut self, doc: &'static str) -> Key {
        self.doc = doc;
        self
    }
}

const fn plain(name: &'static str, kind: Kind) -> Key {
    Key {
        name,
        kind,
        default: None,
        min: None,
        max: None,
        choices: &[],
        any_case: false,
        scope: Scope::ReadOnly,
        synonyms: &[],
        effective: false,
        origin: Origin::Kafka,
        doc: "",
    }
}

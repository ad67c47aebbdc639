//! Subscriptions by regular expressions. Looking for the topics that match is work for a whole cluster's names, so it is
//! ordered from the host of the coordinator ([`Search`]), and its result comes back later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use super::Consumer;
use super::change::Change;
use crate::group::record::{ConsumerMemberValue, RegexValue};
use crate::group::request::Refused;
use crate::group::turn::Turn;
use crate::model::ErrorCode;

/// New topics that come in one after the other are looked at together. //= Kafka: REGEX_BATCH_REFRESH_MIN_INTERVAL_MS
const SEARCH_INTERVAL_MS: i64 = 10_000;
/// A compiled expression's bytes. It bounds how long a name can take to be matched: the product of both.
const COMPILED_BYTES_MAX: usize = 256 << 10;
/// Bytes of the table that makes matching fast.
const TABLE_BYTES_MAX: usize = 256 << 10;

/// Look for the topics that these expressions match, in the newest catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    pub group: Arc<str>,
    pub regexes: Vec<String>,
}

/// What became of a member's expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegexChange {
    None,
    /// The topics that it matches are not known yet.
    Unresolved,
    Resolved,
}

/// An expression that is held against whole names, in linear time. //= Kafka: RE2/J, whose classes know ASCII only
pub struct Pattern(Regex);

impl Pattern {
    pub fn new(regex: &str) -> Option<Pattern> {
        // By itself first: a parenthesis that is closed too much must not close ours.
        compile(regex)?;
        compile(&format!(r"\A(?:{regex})\z")).map(Pattern)
    }

    pub fn matches(&self, topic: &str) -> bool {
        self.0.is_match(topic.as_bytes())
    }
}

/// Classes of Unicode only where the expression names one: they are large, and topics have ASCII names.
fn compile(regex: &str) -> Option<Regex> {
    let with = |unicode: bool| {
        let mut builder = RegexBuilder::new(regex);
        builder
            .unicode(unicode)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(TABLE_BYTES_MAX);
        builder.build().ok()
    };
    with(false).or_else(|| with(true))
}

impl Consumer {
    /// An expression that others have is a good one.
    pub(super) fn check_regex(&self, known: &str, regex: &str) -> Result<(), Refused> {
        let is_known =
            self.readers_of(regex) > 0 || self.members.get(known).is_some_and(|member| has(&member.about, regex));
        match is_known || Pattern::new(regex).is_some() {
            true => Ok(()),
            false => Err(Refused {
                error: ErrorCode::InvalidRegularExpression,
                message: format!("{regex} is not a regular expression that can be matched in little memory"),
            }),
        }
    }

    fn readers_of(&self, regex: &str) -> usize {
        self.members.values().filter(|member| has(&member.about, regex)).count()
    }

    pub(super) fn on_regex_change(
        &mut self,
        before: &ConsumerMemberValue,
        now: &ConsumerMemberValue,
        turn: &mut Turn<'_>,
    ) -> RegexChange {
        if before.regex == now.regex {
            return RegexChange::None;
        }
        if let Some(regex) = &before.regex {
            self.forget_unread(regex, turn);
        }
        match &now.regex {
            Some(regex) if !self.regexes.contains_key(regex) => RegexChange::Unresolved,
            _ => RegexChange::Resolved,
        }
    }

    /// The expression is forgotten if nobody has it any more.
    pub(super) fn forget_unread(&mut self, regex: &str, turn: &mut Turn<'_>) {
        if self.readers_of(regex) == 0 && self.regexes.contains_key(regex) {
            self.change(Change::Regex(regex.to_owned(), None), turn);
        }
    }

    /// Orders a search where an expression was never looked for, or topics have come since, or it is long ago.
    pub(super) fn search_if_needed(&mut self, turn: &mut Turn<'_>) {
        let regexes = self.members.values().filter_map(|member| member.about.regex.as_deref());
        let regexes: BTreeSet<&str> = regexes.collect();
        if regexes.is_empty() || self.is_searching {
            return;
        }
        let is_new = regexes.iter().any(|regex| !self.regexes.contains_key(*regex));
        let last_ms = self.regexes.values().map(|value| value.resolved_ms).max().unwrap_or(0);
        let since_ms = turn.now.wall_ms.saturating_sub(last_ms);
        let is_old = since_ms > turn.config.consumer.regex_refresh_ms;
        if is_new || is_old || (self.has_new_topics && since_ms > SEARCH_INTERVAL_MS) {
            turn.searches.push(Search {
                group: self.id.clone(),
                regexes: regexes.into_iter().map(str::to_owned).collect(),
            });
            self.is_searching = true;
            self.has_new_topics = false;
        }
    }

    /// What a search has found, in the catalog of that version.
    pub(in crate::group) fn on_found(
        &mut self,
        version: u64,
        found: BTreeMap<String, BTreeSet<String>>,
        turn: &mut Turn<'_>,
    ) {
        self.is_searching = false;
        let mut is_news = false;
        for (regex, topics) in found {
            if self.readers_of(&regex) == 0 {
                continue;
            }
            let value = self.resolved(&regex, version, topics, turn);
            let known = self.regexes.get(&regex);
            is_news |= known.map_or(!value.topics.is_empty(), |known| known.topics != value.topics);
            self.change(Change::Regex(regex, Some(value)), turn);
        }
        self.renew_epoch(is_news, turn);
    }

    fn resolved(&self, regex: &str, version: u64, topics: BTreeSet<String>, turn: &Turn<'_>) -> RegexValue {
        let mut value = RegexValue {
            topics,
            version: i64::try_from(version).unwrap_or(i64::MAX),
            resolved_ms: turn.now.wall_ms,
        };
        if value.write().len() > turn.config.record_bytes_max {
            let topics = value.topics.len();
            tracing::warn!(group = %self.id, regex, topics, "expression matches more topics than a record can name: none is read");
            value.topics.clear();
        }
        value
    }
}

fn has(about: &ConsumerMemberValue, regex: &str) -> bool {
    about.regex.as_deref() == Some(regex)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole names, as Kafka's engine has them; and what would take too much memory is refused.
    #[test]
    fn expressions_match_whole_names() {
        let matches = |regex: &str, topic: &str| Pattern::new(regex).expect(regex).matches(topic);
        assert!(matches("foo|foobar", "foobar"));
        assert!(!matches("foo", "foobar"));
        assert!(!matches("bar", "foobar"));
        assert!(matches("(?i)FOO.*", "foo-1"));
        assert!(matches(r"\w+\.\d{2}", "metrics.07"));
        assert!(matches(r"\pL+", "abc"));
        for bad in ["(", "a)(b", "[z-a]", "(a{1000}){1000}", r"(?<=a)b", r"(a)\1"] {
            assert!(Pattern::new(bad).is_none(), "{bad}");
        }
    }
}

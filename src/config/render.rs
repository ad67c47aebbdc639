//! `config/server.properties`, written from the table: every key at its default, with its sentence.

use super::broker::ESSENTIALS;
use super::keys::{BROKER_PARTS, Key, Origin};

const HEAD: &str = "\
# Corelane's broker configuration: Kafka's server.properties, every key at its default.
# A line without # is set; take the # away from another to set it. An empty value stands for no default.
# Generated from the table of keys in src/config/keys/ (UPDATE_CONFIG=1 cargo test --lib server_properties).
";
const WITHOUT_EFFECT: &str = "\
\n\n# ======================================================================
# Keys of Kafka 4.3 that are accepted and have no effect in this build.
# ======================================================================
";

/// The text of the file: what has an effect first, by subject, then the rest of Kafka's keys.
pub fn server_properties() -> String {
    let mut text = HEAD.to_string();
    render_parts(&mut text, true);
    text.push_str(WITHOUT_EFFECT);
    render_parts(&mut text, false);
    text
}

fn render_parts(text: &mut String, effective: bool) {
    for (title, keys) in BROKER_PARTS {
        let is_shown = |key: &&Key| key.effective == effective && matches!(key.origin, Origin::Kafka | Origin::Own);
        let rows: Vec<String> = keys.iter().filter(is_shown).map(render_row).collect();
        if !rows.is_empty() {
            text.push_str(&format!("\n# ---- {title} ----\n"));
            text.push_str(&rows.concat());
        }
    }
}

fn render_row(key: &Key) -> String {
    let set = ESSENTIALS.iter().find(|(name, _)| *name == key.name);
    let line = match set {
        Some((name, value)) => format!("{name}={value}"),
        None => format!("#{}={}", key.name, key.default.unwrap_or_default()),
    };
    format!("\n# {}\n{line}\n", key.doc)
}

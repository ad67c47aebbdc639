//! The JSON files that tools read: what is missing or of another kind is named.

use std::path::Path;

use anyhow::Context;
use serde_json::Value;

pub(super) fn read(file: &Path) -> anyhow::Result<Value> {
    let bytes = crate::rt::blocking::read_file(file).with_context(|| format!("read {}", file.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", file.display()))
}

pub(super) fn list<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a Vec<Value>> {
    value.as_array().with_context(|| format!("\"{name}\" is not a list"))
}

/// The string of that name in an object.
pub(super) fn string(object: &Value, name: &str) -> anyhow::Result<String> {
    let value = object.get(name).and_then(Value::as_str);
    Ok(value
        .with_context(|| format!("{object} has no string \"{name}\""))?
        .to_owned())
}

/// The number of that name in an object.
pub(super) fn int(object: &Value, name: &str) -> anyhow::Result<i32> {
    let value = object.get(name).and_then(Value::as_i64);
    value
        .and_then(|number| i32::try_from(number).ok())
        .with_context(|| format!("{object} has no number \"{name}\""))
}

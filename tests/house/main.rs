//! The house rules that a machine can hold: who may import whom, where the outside world may be named, and tables that
//! must agree. It reads the source as text, so that a rule is one row here.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules by height; a module may name those on lower floors, and itself. Neighbours of one floor do not see each other.
const FLOORS: &[&[&str]] = &[
    &["model"],
    &["rt"],
    &["logging"],
    &["config", "metrics", "wire", "record", "tuning"],
    &["storage", "client"],
    &["partition", "group", "share", "txn", "auth", "metadata"],
    &["shard"],
    &["api", "replica"],
    &["admin", "conn"],
    &["main", "broker", "cli", "preflight"],
];

/// Neighbours that may nevertheless look at each other: upper, lower.
const WITHIN_A_FLOOR: &[(&str, &str)] = &[
    ("config", "record"), // a topic's config names a codec and a timestamp type
    ("broker", "preflight"),
    ("cli", "broker"),
    ("cli", "preflight"), // doctor looks at what a start would look at
    ("main", "cli"),
];

/// What only `src/rt` may name, and what to use instead.
const OUTSIDE_WORLD: &[(&str, &str)] = &[
    ("glommio", "rt::spawn, rt::File, rt::Stream"),
    ("libc", "a function of rt"),
    ("socket2", "rt::Listener"),
    ("core_affinity", "rt::Cores"),
    ("signal_hook", "rt's signals"),
    ("tokio", "rt::run_control"),
    ("rand", "rt::random_u64"),
    ("std::fs", "rt::Dir, rt::File or rt::blocking"),
    ("std::net", "rt::Listener, rt::Stream or rt::SocketAddr"),
    ("std::os", "rt::File or rt::Stream"),
    ("std::thread", "rt::run_shards or rt::run_control"),
    ("std::time::Instant", "rt::now"),
    ("std::time::SystemTime", "rt::wall_ms"),
    // Also where quotes hide the word from `only_rt_is_unsafe`.
    ("unsafe {", "a safe function of rt"),
    ("unsafe fn", "a safe function of rt"),
    ("unsafe impl", "a safe function of rt"),
    ("unsafe extern", "a safe function of rt"),
];

/// Crates that one module hides from all others.
const HIDDEN_CRATES: &[(&str, &str)] = &[
    ("kacrab_protocol", "wire"),
    ("openraft", "metadata"),
    ("openraft_rt_tokio", "metadata"),
];

/// What must not reach the main branch.
const LEFTOVERS: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "TODO", "FIXME", "XXX"];

struct Source {
    path: PathBuf,
    module: String,
    /// Without comments and without the test module at the end.
    code: String,
    text: String,
}

#[test]
fn imports_point_down_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        for named in modules_named(&source.code) {
            if named != source.module && !may_import(&source.module, &named) {
                wrong.push(format!(
                    "{}: {} may not import {named}",
                    source.path.display(),
                    source.module
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_floor() {
    let known: Vec<_> = FLOORS.iter().flat_map(|floor| floor.iter()).collect();
    for source in sources().iter().filter(|source| source.module != "lib") {
        assert!(
            known.contains(&&source.module.as_str()),
            "{} stands on no floor",
            source.path.display()
        );
    }
}

#[test]
fn only_rt_names_the_outside_world() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.module != "rt") {
        for (name, instead) in OUTSIDE_WORLD {
            if has_word(&source.code, name) {
                wrong.push(format!("{}: names {name}; use {instead}", source.path.display()));
            }
        }
        for (name, owner) in HIDDEN_CRATES.iter().filter(|(_, owner)| *owner != source.module) {
            // A path into it: its name alone may be that of its logger.
            if source.code.contains(&format!("{name}::")) {
                wrong.push(format!(
                    "{}: names {name}, which only {owner} may",
                    source.path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_rt_is_unsafe() {
    for source in sources().iter().filter(|source| source.module != "rt") {
        assert!(
            !has_word(&without_strings(&source.code), "unsafe"),
            "{}: use a safe function of rt",
            source.path.display()
        );
    }
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    for source in sources() {
        assert!(
            source.text.starts_with("//!"),
            "{} does not open with //!",
            source.path.display()
        );
    }
}

#[test]
fn nothing_is_left_over() {
    for source in sources() {
        for leftover in LEFTOVERS {
            assert!(
                !source.text.contains(leftover),
                "{} contains {leftover}",
                source.path.display()
            );
        }
    }
}

#[test]
fn every_unsafe_block_names_its_invariant() {
    for source in sources() {
        let lines: Vec<_> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if line.contains("unsafe {") || line.contains("unsafe impl") {
                let before = lines[at.saturating_sub(6)..=at].join("\n");
                assert!(
                    before.contains("SAFETY:"),
                    "{}:{}: unsafe without SAFETY",
                    source.path.display(),
                    at + 1
                );
            }
        }
    }
}

#[test]
fn every_dependency_says_what_for() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let dependencies = manifest
        .split("dependencies]")
        .skip(1)
        .flat_map(|part| part.split("\n[").next());
    for line in dependencies.flat_map(str::lines).filter(|line| line.contains(" = ")) {
        assert!(line.contains(" # "), "no sentence behind: {line}");
    }
}

#[test]
fn the_readme_names_every_api_and_its_versions() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let table = readme
        .split("<!-- apis -->")
        .nth(1)
        .expect("the README has its API table between <!-- apis --> marks");
    let written: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.contains("---"))
        .skip(1)
        .collect();
    let listed: Vec<String> = corelane::api::ALL.iter().map(|api| readme_row(api)).collect();
    assert_eq!(
        written, listed,
        "the README's API table is not the list of src/api/mod.rs"
    );
}

/// What the README says of an API.
fn readme_row(api: &corelane::api::Api) -> String {
    let (first, last) = (api.versions.start(), api.versions.end());
    let versions = if first == last {
        first.to_string()
    } else {
        format!("{first} to {last}")
    };
    format!("| {} | {} | {versions} |", api.name, api.key.0)
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    assert!(files.len() > 20, "the walk found the source");
    files.into_iter().map(read).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "tests") {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|end| end == "rs")
            && path.file_stem().is_some_and(|stem| stem != "tests")
        {
            files.push(path);
        }
    }
}

fn read(path: PathBuf) -> Source {
    let text = fs::read_to_string(&path).unwrap();
    let relative = path.strip_prefix(root().join("src")).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    let module = first.trim_end_matches(".rs").to_owned();
    let product = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
    let code = product.lines().map(without_comment).collect::<Vec<_>>().join("\n");
    Source {
        path,
        module,
        code,
        text,
    }
}

/// The line without its `//` comment. A `//` inside a string only makes the rest of that line unread.
fn without_comment(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Every X of `crate::X`, also in `use crate::{X, Y::z}`.
fn modules_named(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for part in code.split("crate::").skip(1) {
        if let Some(group) = part.strip_prefix('{') {
            let group = group.split(';').next().unwrap_or_default();
            named.extend(top_level(group).into_iter().map(|item| first_word(item.trim_start())));
        } else {
            named.push(first_word(part));
        }
    }
    named.retain(|name| FLOORS.iter().any(|floor| floor.contains(&name.as_str())));
    named
}

/// The items of a braced list, without looking into nested braces.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&group[start..]);
    items
}

fn first_word(text: &str) -> String {
    text.chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

fn may_import(upper: &str, lower: &str) -> bool {
    let floor = |module: &str| FLOORS.iter().position(|floor| floor.contains(&module));
    upper == "lib" || floor(upper) > floor(lower) || WITHIN_A_FLOOR.contains(&(upper, lower))
}

/// Whether `word` stands in `code` with no letter, digit or underscore around it.
/// The code between the string literals: what a user reads may name anything.
fn without_strings(code: &str) -> String {
    let code = code.replace(r"\\", "").replace(r#"\""#, "").replace("'\"'", "");
    code.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

fn has_word(code: &str, word: &str) -> bool {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back().is_some_and(is_name);
        let after = code[at + word.len()..].chars().next().is_some_and(is_name);
        !before && !after
    })
}

#[test]
fn the_rules_themselves_catch_an_offence() {
    assert!(!may_import("storage", "shard"));
    assert!(!may_import("partition", "metadata"));
    assert!(may_import("api", "shard"));
    assert_eq!(
        modules_named("use crate::{shard::Router, rt};\ncrate::conn::serve()"),
        ["shard", "rt", "conn"]
    );
    assert!(has_word("std::fs::read(x)", "std::fs"));
    assert!(!has_word("my_libc_like", "libc"));
    let code = without_strings(r#"say("un\"safe", '"'); unsafe { go() }; say("unsafe")"#);
    assert!(has_word(&code, "unsafe"));
    assert!(!has_word(&without_strings(r#"say("unsafe")"#), "unsafe"));
}

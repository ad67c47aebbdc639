//! `corelane generate`: man pages, shell completions and the scripts' names, from the same table of flags as the command line itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::rt::blocking;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The directory that they are written to
    dir: PathBuf,
}

/// A page for the program, and one for each subcommand: corelane-topics.1.
pub(super) fn man(args: Args) -> anyhow::Result<ExitCode> {
    let mut root = super::Corelane::command();
    // Gives each subcommand its whole name.
    root.build();
    pages(&root, &args.dir)?;
    Ok(ExitCode::SUCCESS)
}

fn pages(command: &Command, dir: &Path) -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    write(&dir.join(format!("{name}.1")), &page)?;
    let shown = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
    shown.into_iter().try_for_each(|sub| pages(sub, dir))
}

/// corelane.bash, corelane.fish and _corelane (zsh).
pub(super) fn completions(args: Args) -> anyhow::Result<ExitCode> {
    for (shell, name) in [
        (Shell::Bash, "corelane.bash"),
        (Shell::Fish, "corelane.fish"),
        (Shell::Zsh, "_corelane"),
    ] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut super::Corelane::command(), "corelane", &mut script);
        write(&args.dir.join(name), &script)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The names of Kafka's scripts that this program answers to, a line each: for whoever makes the links.
pub(super) fn script_names() -> anyhow::Result<ExitCode> {
    for (name, _) in super::SCRIPT_NAMES {
        println!("{name}");
    }
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    blocking::write_file_atomic(path, content).with_context(|| format!("write {}", path.display()))
}

//! `--list`: ids; with `--state` or `--type` a table.

use serde_json::json;

use super::table::{Width, lines};
use super::{Args, ask};
use crate::client::Cluster;

pub(super) fn run(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let names = |flag: &Option<String>| -> Vec<String> {
        let names = flag.as_deref().unwrap_or_default().split(',');
        names
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect()
    };
    let mut groups = ask::list(cluster, &names(&args.state), &names(&args.r#type))?;
    groups.sort_by(|one, other| one.id.cmp(&other.id));
    if args.json {
        let rows = groups.iter().map(|group| {
            json!({"group": group.id, "state": group.state, "type": group.kind, "protocolType": group.protocol_type})
        });
        println!("{}", json!(rows.collect::<Vec<_>>()));
        return Ok(());
    }
    if args.state.is_none() && args.r#type.is_none() {
        groups.iter().for_each(|group| println!("{}", group.id));
        return Ok(());
    }
    let (mut header, mut widths) = (vec!["GROUP"], vec![Width::Fit(15)]);
    for (flag, name) in [(&args.r#type, "TYPE"), (&args.state, "STATE")] {
        if flag.is_some() {
            header.push(name);
            widths.push(Width::Fixed(20));
        }
    }
    let rows = groups.into_iter().map(|group| {
        let columns = [
            (true, group.id),
            (args.r#type.is_some(), capital(&group.kind)),
            (args.state.is_some(), group.state),
        ];
        columns
            .into_iter()
            .filter(|(shown, _)| *shown)
            .map(|(_, value)| value)
            .collect()
    });
    print!("{}", lines(&header, rows.collect(), &widths).trim_start_matches('\n'));
    Ok(())
}

/// The kind as the tool writes it: Classic, Consumer.
fn capital(kind: &str) -> String {
    let mut letters = kind.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

//! `--describe`: offsets and lag, members, or states.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use serde_json::{Value, json};

use super::ask::{Described, Member, Named};
use super::table::{Width, lines};
use super::{Args, ask, groups};
use crate::client::Cluster;

/// In the place of what is not known or not there.
const NONE: &str = "-";

pub(super) fn run(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let mut shown = Vec::new();
    for group in groups(cluster, args)? {
        let Some(described) = ask::describe(cluster, &group)? else {
            bail!("Consumer group '{group}' does not exist.");
        };
        shown.push(match (args.members, args.state.is_some()) {
            (true, _) => members(args, &group, &described),
            (false, true) => state(args, &group, &described),
            (false, false) => offsets(cluster, args, &group, &described)?,
        });
    }
    if args.json {
        println!("{}", json!(shown));
    }
    Ok(())
}

/// Said on the standard error, so that the tables stay tables.
fn remark(group: &str, described: &Described) {
    match described.state.as_str() {
        "Empty" => eprintln!("\nConsumer group '{group}' has no active members."),
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            eprintln!("\nWarning: Consumer group '{group}' is rebalancing.")
        }
        _ => {}
    }
}

struct Row<'a> {
    partition: Option<Named>,
    member: Option<&'a Member>,
    current: Option<(i64, i32)>,
    end: Option<i64>,
}

impl Row<'_> {
    fn lag(&self) -> Option<i64> {
        Some((self.end? - self.current?.0).max(0))
    }
}

fn offsets(cluster: &mut Cluster, args: &Args, group: &str, described: &Described) -> anyhow::Result<Value> {
    let committed = ask::committed(cluster, group)?;
    let rows = rows(cluster, described, &committed)?;
    if args.json {
        let row = |row: &Row<'_>| {
            json!({
                "topic": row.partition.as_ref().map(|(topic, _)| topic),
                "partition": row.partition.as_ref().map(|(_, index)| index),
                "currentOffset": row.current.map(|(offset, _)| offset),
                "logEndOffset": row.end,
                "lag": row.lag(),
                "consumerId": row.member.map(|member| &member.id),
                "host": row.member.map(|member| &member.host),
                "clientId": row.member.map(|member| &member.client_id),
            })
        };
        let rows: Vec<Value> = rows.iter().map(row).collect();
        return Ok(json!({"group": group, "state": described.state, "offsets": rows}));
    }
    remark(group, described);
    if rows.is_empty() {
        return Ok(Value::Null);
    }
    let mut header = vec!["GROUP", "TOPIC", "PARTITION"];
    let mut widths = vec![Width::Fit(15), Width::Fit(15), Width::Fixed(10)];
    if args.verbose {
        header.push("LEADER-EPOCH");
        widths.push(Width::Fixed(15));
    }
    header.extend([
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ]);
    widths.extend([Width::Fixed(15); 3]);
    widths.extend([Width::Fit(15), Width::Fit(15), Width::Open]);
    let text = |number: Option<i64>| number.map_or(NONE.to_owned(), |number| number.to_string());
    let cells = |row: &Row<'_>| {
        let of_member =
            |part: fn(&Member) -> &String| row.member.map_or(NONE.to_owned(), |member| part(member).clone());
        let mut cells = vec![
            group.to_owned(),
            row.partition
                .as_ref()
                .map_or(NONE.to_owned(), |(topic, _)| topic.clone()),
            row.partition
                .as_ref()
                .map_or(NONE.to_owned(), |(_, index)| index.to_string()),
        ];
        if args.verbose {
            cells.push(text(
                row.current
                    .map(|(_, epoch)| i64::from(epoch))
                    .filter(|epoch| *epoch >= 0),
            ));
        }
        cells.extend([
            text(row.current.map(|(offset, _)| offset)),
            text(row.end),
            text(row.lag()),
        ]);
        cells.extend([of_member(|member| &member.id), of_member(|member| &member.host)]);
        cells.push(of_member(|member| &member.client_id));
        cells
    };
    print!("{}", lines(&header, rows.iter().map(cells).collect(), &widths));
    Ok(Value::Null)
}

/// What members have, then what nobody has; a member without partitions has a row of its own.
fn rows<'a>(
    cluster: &mut Cluster,
    described: &'a Described,
    committed: &BTreeMap<Named, (i64, i32)>,
) -> anyhow::Result<Vec<Row<'a>>> {
    let mut owners: BTreeMap<Named, &Member> = BTreeMap::new();
    for member in &described.members {
        owners.extend(member.partitions.iter().map(|named| (named.clone(), member)));
    }
    let mut all: Vec<Named> = owners.keys().chain(committed.keys()).cloned().collect();
    all.sort_unstable();
    all.dedup();
    let ends = ask::offsets_at(cluster, all.iter().cloned(), -1)?;
    let row = |named: Named| Row {
        member: owners.get(&named).copied(),
        current: committed.get(&named).copied(),
        end: ends.get(&named).copied(),
        partition: Some(named),
    };
    let (owned, free): (Vec<_>, Vec<_>) = all.into_iter().map(row).partition(|row| row.member.is_some());
    let idle = described.members.iter().filter(|member| member.partitions.is_empty());
    let idle = idle.map(|member| Row {
        partition: None,
        member: Some(member),
        current: None,
        end: None,
    });
    Ok(owned.into_iter().chain(idle).chain(free).collect())
}

fn members(args: &Args, group: &str, described: &Described) -> Value {
    if args.json {
        let member = |member: &Member| {
            json!({
                "consumerId": member.id, "groupInstanceId": member.instance_id, "host": member.host,
                "clientId": member.client_id, "assignment": assigned(&member.partitions),
            })
        };
        let members: Vec<Value> = described.members.iter().map(member).collect();
        return json!({"group": group, "state": described.state, "members": members});
    }
    remark(group, described);
    let has_instances = described.members.iter().any(|member| member.instance_id.is_some());
    let (mut header, mut widths) = (vec!["GROUP", "CONSUMER-ID"], vec![Width::Fit(15), Width::Fit(15)]);
    if has_instances {
        header.push("GROUP-INSTANCE-ID");
        widths.push(Width::Fit(17));
    }
    header.extend(["HOST", "CLIENT-ID", "#PARTITIONS"]);
    widths.extend([Width::Fit(15), Width::Fit(15), Width::Fixed(15)]);
    if args.verbose {
        header.extend([
            "CURRENT-EPOCH",
            "CURRENT-ASSIGNMENT",
            "TARGET-EPOCH",
            "TARGET-ASSIGNMENT",
        ]);
        widths.extend([Width::Fixed(15), Width::Fit(20), Width::Fixed(15), Width::Fit(20)]);
    }
    let cells = |member: &Member| {
        let mut cells = vec![group.to_owned(), member.id.clone()];
        if has_instances {
            cells.push(member.instance_id.clone().unwrap_or_else(|| NONE.to_owned()));
        }
        let count = member.partitions.len().to_string();
        cells.extend([member.host.clone(), member.client_id.clone(), count]);
        if args.verbose {
            // Epochs and targets are those of the newer protocol.
            let none = || NONE.to_owned();
            let epoch = member.target.as_ref().map_or_else(none, |(epoch, _)| epoch.to_string());
            let target = member.target.as_ref().map_or_else(none, |(_, target)| assigned(target));
            let target_epoch = described.epochs.map_or_else(none, |(_, epoch)| epoch.to_string());
            cells.extend([epoch, assigned(&member.partitions), target_epoch, target]);
        }
        cells
    };
    print!(
        "{}",
        lines(&header, described.members.iter().map(cells).collect(), &widths)
    );
    Value::Null
}

/// The partitions as topic:0,1;other:0.
fn assigned(partitions: &BTreeSet<Named>) -> String {
    let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (topic, index) in partitions {
        topics.entry(topic).or_default().push(index.to_string());
    }
    if topics.is_empty() {
        return NONE.to_owned();
    }
    let topics = topics
        .iter()
        .map(|(topic, indexes)| format!("{topic}:{}", indexes.join(",")));
    topics.collect::<Vec<_>>().join(";")
}

fn state(args: &Args, group: &str, described: &Described) -> Value {
    let (id, address) = &described.coordinator;
    let count = described.members.len();
    if args.json {
        return json!({
            "group": group, "coordinator": address, "coordinatorId": id.0, "assignmentStrategy": described.assignor,
            "state": described.state, "members": count,
        });
    }
    remark(group, described);
    let assignor = match described.assignor.as_str() {
        "" => NONE,
        assignor => assignor,
    };
    let mut header = vec!["GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE"];
    let mut widths = vec![Width::Fit(15), Width::Fit(25), Width::Fixed(20), Width::Fixed(20)];
    let mut row = vec![
        group.to_owned(),
        format!("{address}  ({})", id.0),
        assignor.to_owned(),
        described.state.clone(),
    ];
    if args.verbose {
        header.extend(["GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"]);
        widths.extend([Width::Fixed(15), Width::Fixed(25)]);
        let epochs = described
            .epochs
            .map(|(group, target)| [group.to_string(), target.to_string()]);
        row.extend(epochs.unwrap_or([NONE.to_owned(), NONE.to_owned()]));
    }
    header.push("#MEMBERS");
    widths.push(Width::Open);
    row.push(count.to_string());
    print!("{}", lines(&header, vec![row], &widths));
    Value::Null
}

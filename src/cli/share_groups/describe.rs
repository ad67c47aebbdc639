//! `--describe`: where groups begin, their members, their states.

use anyhow::bail;
use serde_json::{Value, json};

use super::ask::{Described, Member, Offset};
use super::{Args, Width, ask, groups, lines};
use crate::client::Cluster;

/// What Kafka's tool shows where it knows nothing.
const MISSING: &str = "-";

pub(super) fn run(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let mut shown = Vec::new();
    for group in groups(cluster, args)? {
        let Some(described) = ask::describe(cluster, &group)? else {
            bail!("Executing share group command failed due to Group {group} not found.");
        };
        shown.push(match (args.members, args.state.is_some()) {
            (true, _) => members(args, &group, &described),
            (_, true) => states(args, &group, &described),
            _ => offsets(args, &group, &ask::offsets(cluster, &group)?),
        });
    }
    if args.json {
        println!("{}", Value::Array(shown));
    }
    Ok(())
}

fn offsets(args: &Args, group: &str, offsets: &[Offset]) -> Value {
    let number = |number: Option<i64>| number.map_or(MISSING.to_owned(), |number| number.to_string());
    if args.json {
        let rows = offsets.iter().map(|row| {
            json!({"topic": row.named.0, "partition": row.named.1, "leaderEpoch": row.leader_epoch,
                "startOffset": row.start, "lag": row.lag})
        });
        return json!({"group": group, "offsets": rows.collect::<Vec<_>>()});
    }
    if offsets.is_empty() {
        println!("\nShare group '{group}' has no offset information.");
        return Value::Null;
    }
    let mut header = vec!["GROUP", "TOPIC", "PARTITION", "START-OFFSET", "LAG"];
    let mut widths = vec![
        Width::Fit(15),
        Width::Fit(15),
        Width::Fixed(10),
        Width::Fixed(13),
        Width::Open,
    ];
    if args.verbose {
        header.insert(3, "LEADER-EPOCH");
        widths.insert(3, Width::Fixed(13));
    }
    let rows = offsets.iter().map(|row| {
        let mut cells = vec![
            group.to_owned(),
            row.named.0.clone(),
            row.named.1.to_string(),
            number(row.start),
            number(row.lag),
        ];
        if args.verbose {
            cells.insert(3, row.leader_epoch.to_string());
        }
        cells
    });
    print!("{}", lines(&header, rows.collect(), &widths));
    Value::Null
}

fn states(args: &Args, group: &str, described: &Described) -> Value {
    let (broker, address) = &described.coordinator;
    if args.json {
        return json!({"group": group, "state": described.state, "coordinator": {"id": broker.0, "address": address},
            "groupEpoch": described.epoch, "assignmentEpoch": described.assignment_epoch,
            "members": described.members.len()});
    }
    remark_empty(group, described);
    let mut header = vec!["GROUP", "COORDINATOR (ID)", "STATE", "#MEMBERS"];
    let mut widths = vec![Width::Fit(15), Width::Fit(25), Width::Fixed(15), Width::Open];
    let mut cells = vec![
        group.to_owned(),
        format!("{address}  ({})", broker.0),
        described.state.clone(),
        described.members.len().to_string(),
    ];
    if args.verbose {
        header.splice(3..3, ["GROUP-EPOCH", "ASSIGNMENT-EPOCH"]);
        widths.splice(3..3, [Width::Fixed(12), Width::Fixed(17)]);
        cells.splice(
            3..3,
            [described.epoch.to_string(), described.assignment_epoch.to_string()],
        );
    }
    print!("{}", lines(&header, vec![cells], &widths));
    Value::Null
}

fn members(args: &Args, group: &str, described: &Described) -> Value {
    if args.json {
        let rows = described.members.iter().map(|member| {
            json!({"consumerId": member.id, "host": member.host, "clientId": member.client_id,
                "memberEpoch": member.epoch, "assignment": member.partitions})
        });
        return json!({"group": group, "members": rows.collect::<Vec<_>>()});
    }
    remark_empty(group, described);
    if described.members.is_empty() {
        return Value::Null;
    }
    let mut header = vec!["GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS", "ASSIGNMENT"];
    let mut widths = vec![
        Width::Fit(15),
        Width::Fit(15),
        Width::Fit(15),
        Width::Fit(15),
        Width::Fixed(12),
        Width::Open,
    ];
    if args.verbose {
        header.insert(5, "MEMBER-EPOCH");
        widths.insert(5, Width::Fixed(13));
    }
    let rows = described.members.iter().map(|member| {
        let mut cells = vec![
            group.to_owned(),
            member.id.clone(),
            member.host.clone(),
            member.client_id.clone(),
            member.partitions.values().map(Vec::len).sum::<usize>().to_string(),
            assignment(member),
        ];
        if args.verbose {
            cells.insert(5, member.epoch.to_string());
        }
        cells
    });
    print!("{}", lines(&header, rows.collect(), &widths));
    Value::Null
}

fn remark_empty(group: &str, described: &Described) {
    if described.members.is_empty() {
        eprintln!("\nShare group '{group}' has no active members.");
    }
}

/// As `t:0,1;u:0`.
fn assignment(member: &Member) -> String {
    let topic = |(name, indexes): (&String, &Vec<i32>)| {
        let mut indexes = indexes.clone();
        indexes.sort_unstable();
        let indexes: Vec<String> = indexes.iter().map(i32::to_string).collect();
        format!("{name}:{}", indexes.join(","))
    };
    let topics: Vec<String> = member.partitions.iter().map(topic).collect();
    topics.join(";")
}

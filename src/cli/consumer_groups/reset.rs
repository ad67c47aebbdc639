//! `--reset-offsets`: where a group goes on, by any of Kafka's selectors; `--execute` does it, `--export` prints a plan that
//! `--from-file` reads.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde_json::json;

use super::ask::Named;
use super::table::{Width, lines};
use super::{Args, ask, groups};
use crate::client::Cluster;
use crate::rt;

const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("selector")
    .args(["to_earliest", "to_latest", "to_current", "to_offset", "shift_by", "by_duration", "to_datetime", "from_file"]))]
pub(super) struct ResetArgs {
    /// To the oldest record
    #[arg(long)]
    to_earliest: bool,
    /// To the end
    #[arg(long)]
    to_latest: bool,
    /// To where the group is; for partitions without an offset to the end
    #[arg(long)]
    to_current: bool,
    /// To this offset
    #[arg(long, value_name = "OFFSET")]
    to_offset: Option<i64>,
    /// By so many records, back if negative
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    shift_by: Option<i64>,
    /// To the first record of the last duration, as P7DT3H30M15S
    #[arg(long, value_name = "DURATION")]
    by_duration: Option<String>,
    /// To the first record since 2026-11-26T12:00:00.000 (UTC, or with an offset behind it as +01:00)
    #[arg(long, value_name = "TIME")]
    to_datetime: Option<String>,
    /// To the offsets in a file that --export printed
    #[arg(long, value_name = "FILE")]
    from_file: Option<std::path::PathBuf>,
    /// Do it; without it the plan is shown only
    #[arg(long, conflicts_with = "dry_run")]
    execute: bool,
    /// Show the plan only, as by default
    #[arg(long)]
    dry_run: bool,
    /// Print the plan as CSV
    #[arg(long)]
    export: bool,
}

type Plan = BTreeMap<Named, i64>;

pub(super) fn run(cluster: &mut Cluster, args: &Args) -> anyhow::Result<()> {
    let mut plans = BTreeMap::new();
    for group in groups(cluster, args)? {
        check_inactive(cluster, &group)?;
        let plan = plan(cluster, args, &group)?;
        if args.reset.execute && !plan.is_empty() {
            ask::commit(cluster, &group, &plan)?;
        }
        plans.insert(group, plan);
    }
    print(args, &plans);
    Ok(())
}

/// A group with members would go on committing its own offsets.
fn check_inactive(cluster: &mut Cluster, group: &str) -> anyhow::Result<()> {
    match ask::describe(cluster, group)? {
        Some(described) if described.state != "Empty" => bail!(
            "Assignments can only be reset if the group '{group}' is inactive, but the current state is {}.",
            described.state
        ),
        _ => Ok(()),
    }
}

fn plan(cluster: &mut Cluster, args: &Args, group: &str) -> anyhow::Result<Plan> {
    let reset = &args.reset;
    let committed = ask::committed(cluster, group)?;
    if let Some(file) = &reset.from_file {
        let bytes = rt::blocking::read_file(file).with_context(|| format!("read {}", file.display()))?;
        let wanted = read_plan(
            &String::from_utf8_lossy(&bytes),
            group,
            args.group.len() > 1 || args.all_groups,
        )?;
        return within(cluster, wanted);
    }
    let partitions: Vec<Named> = match args.all_topics {
        true => committed.keys().cloned().collect(),
        false => ask::partitions(cluster, &args.topic)?,
    };
    let current = |named: &Named| committed.get(named).map(|(offset, _)| *offset);
    if reset.to_earliest {
        ask::offsets_at(cluster, partitions, EARLIEST)
    } else if reset.to_latest {
        ask::offsets_at(cluster, partitions, LATEST)
    } else if reset.to_current {
        let (known, unknown): (Vec<_>, Vec<_>) = partitions.into_iter().partition(|named| current(named).is_some());
        let mut plan = ask::offsets_at(cluster, unknown, LATEST)?;
        plan.extend(
            known
                .into_iter()
                .filter_map(|named| Some((named.clone(), current(&named)?))),
        );
        Ok(plan)
    } else if let Some(offset) = reset.to_offset {
        within(cluster, partitions.into_iter().map(|named| (named, offset)).collect())
    } else if let Some(by) = reset.shift_by {
        let mut wanted = Plan::new();
        for named in partitions {
            let (topic, index) = &named;
            let Some(offset) = current(&named) else {
                bail!("Cannot shift offset for partition {topic}-{index} since there is no current committed offset");
            };
            wanted.insert(named, offset.saturating_add(by));
        }
        within(cluster, wanted)
    } else if let Some(duration) = &reset.by_duration {
        let ms =
            duration_ms(duration).with_context(|| format!("--by-duration {duration}: not of the form P7DT3H30M"))?;
        since(cluster, partitions, rt::wall_ms().saturating_sub(ms))
    } else if let Some(time) = &reset.to_datetime {
        let ms =
            time_ms(time).with_context(|| format!("--to-datetime {time}: not of the form 2026-11-26T12:00:00.000"))?;
        since(cluster, partitions, ms)
    } else {
        bail!("Option '[reset-offsets]' requires one of the selectors, such as --to-earliest")
    }
}

/// The first record since a time; the end where there is none.
fn since(cluster: &mut Cluster, partitions: Vec<Named>, timestamp: i64) -> anyhow::Result<Plan> {
    let mut plan = ask::offsets_at(cluster, partitions.iter().cloned(), LATEST)?;
    plan.extend(ask::offsets_at(cluster, partitions, timestamp)?);
    Ok(plan)
}

/// Offsets outside the log become its start or its end.
fn within(cluster: &mut Cluster, wanted: Plan) -> anyhow::Result<Plan> {
    let starts = ask::offsets_at(cluster, wanted.keys().cloned(), EARLIEST)?;
    let ends = ask::offsets_at(cluster, wanted.keys().cloned(), LATEST)?;
    let clamp = |(named, offset): (Named, i64)| {
        let (start, end) = (*starts.get(&named)?, *ends.get(&named)?);
        let (topic, index) = &named;
        let clamped = offset.clamp(start, end.max(start));
        if clamped != offset {
            eprintln!(
                "New offset ({offset}) is outside the log of partition {topic}-{index}. Value will be set to {clamped}"
            );
        }
        Some((named, clamped))
    };
    Ok(wanted.into_iter().filter_map(clamp).collect())
}

/// Lines of topic,partition,offset; or, for several groups, with the group in front.
fn read_plan(file: &str, group: &str, with_groups: bool) -> anyhow::Result<Plan> {
    let mut plan = Plan::new();
    for line in file.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
        let (of, topic, index, offset) = match (fields.as_slice(), with_groups) {
            ([topic, index, offset], false) => (group, topic, index, offset),
            ([of, topic, index, offset], _) => (*of, topic, index, offset),
            _ => bail!("{line}: not topic,partition,offset"),
        };
        let wrong = || format!("{line}: not topic,partition,offset");
        let (index, offset) = (index.parse().with_context(wrong)?, offset.parse().with_context(wrong)?);
        if of == group {
            plan.insert(((*topic).to_owned(), index), offset);
        }
    }
    Ok(plan)
}

fn print(args: &Args, plans: &BTreeMap<String, Plan>) {
    let rows: Vec<(&str, &Named, i64)> = plans
        .iter()
        .flat_map(|(group, plan)| plan.iter().map(|(named, offset)| (group.as_str(), named, *offset)))
        .collect();
    if args.json {
        let rows = rows.iter().map(|(group, (topic, index), offset)| {
            json!({"group": group, "topic": topic, "partition": index, "newOffset": offset})
        });
        return println!("{}", json!(rows.collect::<Vec<_>>()));
    }
    if args.reset.export {
        for (group, (topic, index), offset) in rows {
            match plans.len() {
                1 => println!("\"{topic}\",{index},{offset}"),
                _ => println!("\"{group}\",\"{topic}\",{index},{offset}"),
            }
        }
        return;
    }
    let cells = rows.iter().map(|(group, (topic, index), offset)| {
        vec![
            (*group).to_owned(),
            topic.clone(),
            index.to_string(),
            offset.to_string(),
        ]
    });
    let widths = [Width::Fit(30), Width::Fit(30), Width::Fixed(10), Width::Fixed(15)];
    print!(
        "{}",
        lines(&["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"], cells.collect(), &widths)
    );
}

/// //= ISO 8601: P, days, then T, hours, minutes and seconds, each optional
fn duration_ms(text: &str) -> Option<i64> {
    let (days, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((days, time)) => (days, time),
        None => (text.strip_prefix('P')?, ""),
    };
    let mut ms = match days.strip_suffix('D') {
        Some(days) => days.parse::<i64>().ok()?.checked_mul(86_400_000)?,
        None if days.is_empty() => 0,
        None => return None,
    };
    let mut number = String::new();
    for letter in time.chars() {
        let unit_ms = match letter {
            'H' => 3_600_000.0,
            'M' => 60_000.0,
            'S' => 1_000.0,
            _ => {
                number.push(letter);
                continue;
            }
        };
        ms = ms.checked_add((number.parse::<f64>().ok()? * unit_ms) as i64)?;
        number.clear();
    }
    (number.is_empty() && text.len() > 1).then_some(ms)
}

/// //= ISO 8601: date, T, time, perhaps with milliseconds; then nothing or Z (UTC), or the offset from it
pub(in crate::cli) fn time_ms(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let (time, offset_minutes) = match time.find(['Z', '+', '-']) {
        None => (time, 0),
        Some(at) => (&time[..at], offset_minutes(&time[at..])?),
    };
    let date: Vec<i64> = date.split('-').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let (time, ms) = match time.split_once('.') {
        Some((time, fraction)) => (
            time,
            (format!("0.{fraction}").parse::<f64>().ok()? * 1_000.0).round() as i64,
        ),
        None => (time, 0),
    };
    let time: Vec<i64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let ([year, month, day], [hour, minute, rest @ ..]) = (date.as_slice(), time.as_slice()) else {
        return None;
    };
    let in_range =
        (1..=12).contains(month) && (1..=31).contains(day) && (0..24).contains(hour) && (0..60).contains(minute);
    let seconds = rest.first().copied().unwrap_or(0);
    let minutes = days_since_epoch(*year, *month, *day) * 1_440 + hour * 60 + minute - offset_minutes;
    in_range.then_some((minutes * 60 + seconds) * 1_000 + ms)
}

fn offset_minutes(text: &str) -> Option<i64> {
    let sign = match text.chars().next()? {
        'Z' => return (text.len() == 1).then_some(0),
        '-' => -1,
        _ => 1,
    };
    let digits: String = text[1..].chars().filter(|letter| *letter != ':').collect();
    let number: i64 = digits.parse().ok()?;
    (digits.len() == 4).then_some(sign * (number / 100 * 60 + number % 100))
}

/// Days from 1970-01-01, by the Gregorian calendar: years are counted from March, so that the leap day comes last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // Times and durations as Kafka's tool takes them.
    fn times_are_read() {
        assert_eq!(time_ms("1970-01-01T00:00:00.000"), Some(0));
        assert_eq!(time_ms("2000-03-01T12:30:15.250"), Some(951_913_815_250));
        assert_eq!(time_ms("2026-11-26T12:00:00Z"), Some(1_795_694_400_000));
        assert_eq!(time_ms("2026-11-26T13:00:00.000+01:00"), Some(1_795_694_400_000));
        assert_eq!(time_ms("2026-11-26T07:00-0500"), Some(1_795_694_400_000));
        for wrong in [
            "",
            "2026-11-26",
            "2026-13-01T00:00:00",
            "yesterday",
            "2026-11-26T12:00:00+1",
        ] {
            assert_eq!(time_ms(wrong), None, "{wrong}");
        }
        assert_eq!(duration_ms("P1D"), Some(86_400_000));
        assert_eq!(duration_ms("PT1H30M0.5S"), Some(5_400_500));
        assert_eq!(duration_ms("P2DT1S"), Some(172_801_000));
        for wrong in ["", "1D", "P", "P1H", "PT1", "PTxS"] {
            assert_eq!(duration_ms(wrong), None, "{wrong}");
        }
    }

    #[test] // What --export prints, --from-file reads; of several groups each takes its own lines.
    fn plans_are_read() {
        let one = read_plan("\"t\",0,5\nt,1,6\n\n", "g", false).unwrap();
        assert_eq!(one, Plan::from([(("t".into(), 0), 5), (("t".into(), 1), 6)]));
        let own = read_plan("g,t,0,5\nother,t,0,9\n", "g", true).unwrap();
        assert_eq!(own, Plan::from([(("t".into(), 0), 5)]));
        assert!(read_plan("t,0", "g", false).is_err());
    }
}

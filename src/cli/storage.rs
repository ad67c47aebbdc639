//! `kafka-storage.sh`: gives log directories the identity of a cluster before the first start, and shows it; flags and
//! output as Kafka 4.3 has them. A start does without: it makes what is missing by itself.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail, ensure};

use super::configuration::{self, Resolved, read_properties};
use super::metadata_quorum::controller_of;
use super::start::refuse;
use crate::broker::metadata_dir;
use crate::config::{BrokerConfig, ConfigProblem, ListenerSpec, QuorumConfig};
use crate::metadata::{self, NewVoter, random_id};
use crate::model::{BrokerId, DirId, TopicId};
use crate::storage::{self, Found, Identity};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Show the log directories and the identity that they have
    Info(ConfigArgs),
    /// Give the log directories the identity of a cluster
    Format(FormatArgs),
    /// Print a random id for a new cluster
    RandomUuid,
}

#[derive(clap::Args)]
struct ConfigArgs {
    /// The server.properties
    #[arg(long, short = 'c', value_name = "FILE")]
    config: PathBuf,
}

#[derive(clap::Args)]
struct FormatArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The cluster's id, the same for all of its nodes; `random-uuid` prints one
    #[arg(long, short = 't')]
    cluster_id: String,
    /// Leave directories alone that are formatted already, instead of failing
    #[arg(long, short = 'g')]
    ignore_formatted: bool,
    /// This node begins a quorum of its own, to which others can be added
    #[arg(long, short = 's', conflicts_with_all = ["no_initial_controllers", "initial_controllers"])]
    standalone: bool,
    /// This node waits to be added to a quorum, or is a broker that is no controller
    #[arg(long, short = 'N', conflicts_with = "initial_controllers")]
    no_initial_controllers: bool,
    /// This node begins a quorum with the others of the list, which says the directory id of each
    #[arg(long, short = 'I', value_name = "ID@HOST:PORT:DIRECTORY,…")]
    initial_controllers: Option<String>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::RandomUuid => {
            println!("{}", TopicId(random_id()));
            Ok(ExitCode::SUCCESS)
        }
        Action::Info(args) => match resolve(&args)? {
            Ok(config) => Ok(info(&config)),
            Err(refused) => Ok(refused),
        },
        Action::Format(args) => match resolve(&args.config)? {
            Ok(config) => format(&config, &args),
            Err(refused) => Ok(refused),
        },
    }
}

fn resolve(args: &ConfigArgs) -> anyhow::Result<Result<BrokerConfig, ExitCode>> {
    let resolved = configuration::resolve(read_properties(&args.config)?, &[])?;
    Ok(resolved
        .map(|Resolved { config, .. }| config)
        .map_err(|problems: Vec<ConfigProblem>| refuse(&args.config.display().to_string(), &problems)))
}

fn format(config: &BrokerConfig, args: &FormatArgs) -> anyhow::Result<ExitCode> {
    let initial = Initial::of(config, args)?;
    check_cluster_id(&args.cluster_id)?;
    let given = initial.directory(config.broker_id);
    let log_dirs = directories(config);
    let mut formatted = storage::format(
        &log_dirs,
        config.broker_id,
        &args.cluster_id,
        args.ignore_formatted,
        given.map(|id| (config.metadata_log_dir.as_path(), id)),
    )?;
    let (metadata, is_controller) = (&config.metadata_log_dir, !matches!(initial, Initial::Unsaid));
    if is_controller && !log_dirs.contains(metadata) {
        let (_, is_new) = storage::settle_metadata_dir(metadata, config.broker_id, &args.cluster_id, given)?;
        formatted.extend(is_new.then(|| metadata.clone()));
    }
    if formatted.contains(&config.metadata_log_dir) {
        initial.write(config)?;
    }
    if formatted.is_empty() {
        println!("All of the log directories are already formatted.");
    }
    for path in formatted {
        let kind = if path == config.metadata_log_dir {
            "metadata"
        } else {
            "data"
        };
        println!("Formatting {kind} directory {}.", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Who is in the quorum from the beginning.
enum Initial {
    /// Nothing is said of it: the configuration does, or there is none.
    Unsaid,
    Itself,
    /// Nobody: it is added.
    Nobody,
    These(Vec<NewVoter>),
}

impl Initial {
    fn of(config: &BrokerConfig, args: &FormatArgs) -> anyhow::Result<Initial> {
        let is_told_voters = |quorum: &QuorumConfig| quorum.voters.is_empty();
        let follows = config.quorum.as_ref().is_some_and(is_told_voters);
        let is_dynamic = config.quorum.as_ref().is_some_and(|quorum| quorum.is_dynamic);
        let flags = (args.standalone, args.no_initial_controllers, &args.initial_controllers);
        match flags {
            (true, ..) if is_dynamic => Ok(Initial::Itself),
            (_, true, _) if is_dynamic => Ok(Initial::Nobody),
            (_, _, Some(list)) if is_dynamic => initial_controllers(list, config.broker_id).map(Initial::These),
            _ if is_dynamic => bail!(
                "Because controller.quorum.voters is not set on this controller, you must specify one of the following: \
                 --standalone, --initial-controllers, or --no-initial-controllers."
            ),
            (true, ..) if config.quorum.is_some() => bail!(
                "You cannot specify controller.quorum.voters and format the node with --standalone: the voters are those of \
                 controller.quorum.voters."
            ),
            (_, true, _) if follows => Ok(Initial::Unsaid),
            (_, true, _) | (_, _, Some(_)) => bail!(
                "The voters of a quorum are those of controller.quorum.voters, which every node's configuration names: format \
                 without --initial-controllers and --no-initial-controllers."
            ),
            _ => Ok(Initial::Unsaid),
        }
    }

    /// The id that this node's metadata directory is to have.
    fn directory(&self, me: i32) -> Option<DirId> {
        let Initial::These(voters) = self else { return None };
        let mut voters = voters.iter();
        voters.find(|voter| voter.node.0 == me).map(|voter| voter.directory)
    }

    fn write(&self, config: &BrokerConfig) -> anyhow::Result<()> {
        let voters = match self {
            Initial::Unsaid => return Ok(()),
            Initial::Nobody => Vec::new(),
            Initial::Itself => {
                let (id, directory, ListenerSpec { host, port, .. }) = controller_of(config)?;
                vec![NewVoter {
                    node: BrokerId(id),
                    directory,
                    host,
                    port,
                }]
            }
            Initial::These(voters) => voters.clone(),
        };
        let written = metadata::format_for_quorum(&metadata_dir(config), BrokerId(config.broker_id), &voters);
        Ok(written?)
    }
}

/// `id@host:port:directory-id`, several with commas, this node among them.
fn initial_controllers(list: &str, me: i32) -> anyhow::Result<Vec<NewVoter>> {
    let bad = |item: &str| anyhow!("--initial-controllers: {item:?}: write id@host:port:directory-id");
    let mut voters: Vec<NewVoter> = Vec::new();
    for item in list.split(',').map(str::trim) {
        let parsed = item.split_once('@').and_then(|(id, rest)| {
            let (address, directory) = rest.rsplit_once(':')?;
            let (host, port) = address.rsplit_once(':')?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Some(NewVoter {
                node: BrokerId(id.parse().ok().filter(|id| *id >= 0)?),
                directory: directory.parse().ok()?,
                host: host.to_owned(),
                port: port.parse().ok().filter(|port| *port != 0)?,
            })
        });
        let voter = parsed.filter(|voter| !voter.host.is_empty()).ok_or_else(|| bad(item))?;
        let is_twin = |known: &NewVoter| known.node == voter.node || known.directory == voter.directory;
        ensure!(!voters.iter().any(is_twin), "--initial-controllers names {item} twice");
        voters.push(voter);
    }
    ensure!(
        voters.iter().any(|voter| voter.node.0 == me),
        "--initial-controllers does not name this node, {me}: a node that is not of them is formatted with \
         --no-initial-controllers"
    );
    Ok(voters)
}

/// It becomes a line of a file, and a field of answers.
fn check_cluster_id(id: &str) -> anyhow::Result<()> {
    const LEN_MAX: usize = 255;
    if id.is_empty() || id.len() > LEN_MAX || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("--cluster-id {id:?}: not an id; `random-uuid` prints one");
    }
    Ok(())
}

fn directories(config: &BrokerConfig) -> Vec<PathBuf> {
    let mut paths = config.log_dirs.clone();
    paths.sort();
    paths.dedup();
    paths
}

fn info(config: &BrokerConfig) -> ExitCode {
    let paths = directories(config);
    let found: Vec<Found> = paths.iter().map(|path| storage::look(path)).collect();
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let (text, is_well) = told(&names, &found);
    print!("{text}");
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is told of the directories, and whether there is no problem.
fn told(names: &[String], found: &[Found]) -> (String, bool) {
    let mut there = Vec::new();
    let mut identities: Vec<&Identity> = Vec::new();
    let mut problems = Vec::new();
    for (name, found) in names.iter().zip(found) {
        match found {
            Found::Nothing => problems.push(format!("{name} does not exist")),
            Found::NoDirectory => problems.push(format!("{name} is not a directory")),
            Found::Unreadable(why) => problems.push(why.clone()),
            Found::Unformatted => {
                there.push(name.clone());
                problems.push(format!("{name} is not formatted."));
            }
            Found::Formatted(identity) => {
                there.push(name.clone());
                identities.push(identity);
            }
        }
    }
    if let Some(first) = identities.first() {
        if identities.iter().any(|other| other.cluster_id != first.cluster_id) {
            problems.push("Mismatched cluster IDs between storage directories.".to_owned());
        }
        if identities.iter().any(|other| other.node_id != first.node_id) {
            problems.push("Mismatched node IDs between storage directories.".to_owned());
        }
    }
    let mut text = section("Found log directory:", "Found log directories:", &there);
    if let Some(first) = identities.first() {
        text.push_str(&format!("Found metadata: {{{}}}\n\n", first.lines.join(", ")));
    }
    text.push_str(&section("Found problem:", "Found problems:", &problems));
    (text, problems.is_empty())
}

fn section(one: &str, several: &str, items: &[String]) -> String {
    let title = match items.len() {
        0 => return String::new(),
        1 => one,
        _ => several,
    };
    let lines: Vec<String> = items.iter().map(|item| format!("  {item}\n")).collect();
    format!("{title}\n{}\n", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(cluster: &str, node_id: i32) -> Found {
        Found::Formatted(Identity {
            cluster_id: Some(cluster.to_owned()),
            node_id: Some(node_id),
            directory_id: None,
            lines: vec![format!("cluster.id={cluster}"), format!("node.id={node_id}")],
        })
    }

    /// The sections that Kafka's tool prints, and its exit code.
    #[test]
    fn directories_are_told_of_as_kafka_does() {
        let names = ["/a".to_owned(), "/b".to_owned()];
        let told = |found: [Found; 2]| told(&names, &found);
        let well = "Found log directories:\n  /a\n  /b\n\nFound metadata: {cluster.id=x, node.id=1}\n\n";
        assert_eq!(told([identity("x", 1), identity("x", 1)]), (well.to_owned(), true));
        let (text, is_well) = told([identity("x", 1), identity("y", 2)]);
        let ends = "Found problems:\n  Mismatched cluster IDs between storage directories.\n  Mismatched node IDs between \
                    storage directories.\n\n";
        assert!(text.ends_with(ends) && !is_well, "{text}");
        let missing = "Found problems:\n  /a does not exist\n  /b does not exist\n\n";
        assert_eq!(told([Found::Nothing, Found::Nothing]), (missing.to_owned(), false));
        let (text, _) = told([identity("x", 1), Found::Unformatted]);
        assert!(
            text.ends_with("\n\nFound problem:\n  /b is not formatted.\n\n"),
            "{text}"
        );
    }

    #[test]
    fn initial_controllers_are_named_with_their_directories() {
        const ONE: &str = "1@a:9093:3Db5QLSqSZieL3rJBUUegA";
        let parsed = |list: &str| initial_controllers(list, 1);
        let two = parsed(&format!("{ONE},2@[::1]:9094:4L6g3nShT-eMCtK--X86sw")).unwrap();
        let shown = |voter: &NewVoter| {
            (
                voter.node.0,
                voter.host.clone(),
                voter.port,
                voter.directory.to_string(),
            )
        };
        assert_eq!(shown(&two[0]), (1, "a".into(), 9093, "3Db5QLSqSZieL3rJBUUegA".into()));
        assert_eq!(shown(&two[1]), (2, "::1".into(), 9094, "4L6g3nShT-eMCtK--X86sw".into()));
        for (bad, why) in [
            ("1@a:9093", "write id@host:port:directory-id"),
            ("1@a:0:3Db5QLSqSZieL3rJBUUegA", "write id@"),
            ("-1@a:9:3Db5QLSqSZieL3rJBUUegA", "write id@"),
            ("2@a:9093:3Db5QLSqSZieL3rJBUUegA", "does not name this node, 1"),
            (&format!("{ONE},{ONE}"), "twice"),
        ] {
            let refused = parsed(bad).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn an_id_is_one_word() {
        assert!(check_cluster_id("4L6g3nShT-eMCtK--X86sw").is_ok());
        for bad in ["", "a b", "a\nnode.id=2"] {
            assert!(check_cluster_id(bad).is_err(), "{bad:?}");
        }
    }
}

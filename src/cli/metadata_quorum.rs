//! `kafka-metadata-quorum.sh`: who keeps the metadata, and how far each has come; flags and output as Kafka 4.3 has them.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};

use super::configuration::{self, read_properties};
use super::connect::ServerArgs;
use super::transactions::print_table;
use crate::client::{ClientError, Cluster};
use crate::config::{BrokerConfig, ListenerSpec};
use crate::model::{DirId, ErrorCode, TopicId};
use crate::rt;
use crate::storage::{self, Found};
use crate::wire::messages::*;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connect: ServerArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Describe the quorum
    Describe {
        /// The leader, and a summary
        #[arg(long)]
        status: bool,
        /// Each node, and how far it has come
        #[arg(long)]
        replication: bool,
        /// With --replication: times as milliseconds ago
        #[arg(long)]
        human_readable: bool,
    },
    /// Add a controller that runs, and waits for it, to the quorum: on its machine, with --command-config its server.properties
    AddController {
        /// Say what would be done, and do not do it
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove a controller that is gone from the quorum; a new one may come in its place, under its id too
    RemoveController {
        /// The id of the controller to remove
        #[arg(long, short = 'i')]
        controller_id: i32,
        /// The directory id of the controller to remove, as describe --replication shows it
        #[arg(long, short = 'd')]
        controller_directory_id: String,
        /// Say what would be done, and do not do it
        #[arg(long)]
        dry_run: bool,
    },
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::AddController { dry_run } => {
            let new = NewController::read(args.connect.command_config())?;
            if !dry_run {
                new.add(&mut args.connect.cluster("admin")?)?;
            }
            // Kafka's words to the blank.
            let done = if dry_run { "DRY RUN of adding" } else { "Added" };
            println!("{done} {new}");
        }
        Action::RemoveController {
            controller_id,
            controller_directory_id,
            dry_run,
        } => {
            let directory = parse_directory(controller_id, &controller_directory_id)?;
            if !dry_run {
                remove(&mut args.connect.cluster("admin")?, controller_id, directory)?;
            }
            // Kafka's words to the blank.
            let done = if dry_run { "DRY RUN of removing " } else { "Removed" };
            println!("{done} KRaft controller {controller_id} with directory id {directory}");
        }
        Action::Describe {
            status: true,
            replication: true,
            ..
        } => bail!("Only one of --status or --replication should be specified with describe sub-command"),
        Action::Describe {
            status: true,
            human_readable: true,
            ..
        } => bail!("The option --human-readable is only supported along with --replication"),
        Action::Describe {
            status: false,
            replication: false,
            ..
        } => bail!("One of --status or --replication must be specified with describe sub-command"),
        Action::Describe {
            status, human_readable, ..
        } => {
            let mut cluster = args.connect.cluster("admin")?;
            let answer = ask(&mut cluster)?;
            let quorum = Quorum::of(&answer)?;
            match status {
                true => print!("{}", quorum.status(&cluster_id(&mut cluster)?)),
                false => print_table(&HEADERS, quorum.rows(human_readable.then(rt::wall_ms))),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The node that a server.properties is of, as its log directory and its controller listener say.
struct NewController {
    id: i32,
    directory: TopicId,
    listener: ListenerSpec,
}

/// For a node to catch up; as long as Kafka's tool waits.
const ADD_PATIENCE: Duration = Duration::from_secs(60);
const ADD_PAUSE: Duration = Duration::from_millis(500);

impl NewController {
    fn read(file: Option<&Path>) -> anyhow::Result<NewController> {
        let file = file.context(
            "You must supply the configuration file of the controller you are adding when using add-controller.",
        )?;
        let resolved = configuration::resolve(read_properties(file)?, &[])?;
        let config = resolved.map_err(|problems| {
            let told: Vec<String> = problems.iter().map(|problem| problem.message.clone()).collect();
            anyhow!("{}: {}", file.display(), told.join("; "))
        })?;
        let (id, directory, listener) = controller_of(&config.config)?;
        Ok(NewController {
            id,
            directory: TopicId(directory.0),
            listener,
        })
    }

    /// Asks again while it catches up; it may be in by the next question.
    fn add(&self, cluster: &mut Cluster) -> anyhow::Result<()> {
        let ListenerSpec { name, host, port } = &self.listener;
        let listener = AddRaftVoterListener::default()
            .with_name(kafka_string(name))
            .with_host(kafka_string(host))
            .with_port(*port);
        let request = AddRaftVoterRequestData::default()
            .with_voter_id(self.id)
            .with_voter_directory_id(kafka_uuid(self.directory))
            .with_listeners(vec![listener]);
        let deadline = rt::now().after(ADD_PATIENCE);
        let mut was_late = false;
        loop {
            let answer = cluster.controller()?.call(&request)?;
            let message = answer.error_message.as_ref().map(|text| text.as_str());
            let added = ClientError::check(answer.error_code, message);
            match added.as_ref().err().and_then(ClientError::code) {
                Some(ErrorCode::RequestTimedOut) if rt::now() < deadline => {
                    was_late = true;
                    rt::tool::sleep(ADD_PAUSE);
                }
                Some(ErrorCode::DuplicateVoter) if was_late && self.votes(&ask(cluster)?)? => return Ok(()),
                _ => return Ok(added?),
            }
        }
    }

    /// Under this id another directory's node may vote.
    fn votes(&self, answer: &DescribeQuorumResponseData) -> anyhow::Result<bool> {
        let mut voters = Quorum::of(answer)?.partition.current_voters.iter();
        let itself = (self.id, self.directory);
        Ok(voters.any(|voter| (voter.replica_id, topic_id(voter.replica_directory_id)) == itself))
    }
}

/// A controller's number, the log directory of its metadata, and where the others find it.
pub(super) fn controller_of(config: &BrokerConfig) -> anyhow::Result<(i32, DirId, ListenerSpec)> {
    let advertised = config.quorum.as_ref().and_then(|quorum| quorum.advertised.clone());
    let mut listener = advertised.context(
        "process.roles did not contain 'controller' in configuration file, or it names no controllers and no controller \
         listener. Is this a valid controller configuration file?",
    )?;
    if listener.host.is_empty() {
        listener.host = rt::host_name().context("ask for this machine's name")?;
    }
    let dir = &config.metadata_log_dir;
    let directory = match storage::look(dir) {
        Found::Formatted(identity) => identity.directory_id,
        _ => bail!(
            "Unable to read meta.properties from {}: start the controller first",
            dir.display()
        ),
    };
    let directory = directory.with_context(|| format!("No directory id found in {}", dir.display()))?;
    Ok((config.broker_id, directory, listener))
}

impl fmt::Display for NewController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ListenerSpec { name, host, port } = &self.listener;
        let (id, directory, host) = (self.id, self.directory, bracketed(host));
        write!(
            f,
            "controller {id} with directory id {directory} and endpoints: {name}://{host}:{port}"
        )
    }
}

fn parse_directory(controller_id: i32, directory: &str) -> anyhow::Result<TopicId> {
    ensure!(controller_id >= 0, "Invalid negative --controller-id: {controller_id}");
    let parsed = directory.parse();
    parsed.map_err(|_| anyhow!("Failed to parse --controller-directory-id: {directory}"))
}

fn remove(cluster: &mut Cluster, controller_id: i32, directory: TopicId) -> anyhow::Result<()> {
    let request = RemoveRaftVoterRequestData::default()
        .with_voter_id(controller_id)
        .with_voter_directory_id(kafka_uuid(directory));
    let answer = cluster.controller()?.call(&request)?;
    let message = answer.error_message.as_ref().map(|text| text.as_str());
    Ok(ClientError::check(answer.error_code, message)?)
}

fn ask(cluster: &mut Cluster) -> anyhow::Result<DescribeQuorumResponseData> {
    let topic = DescribeQuorumTopic::default()
        .with_topic_name(kafka_string("__cluster_metadata"))
        .with_partitions(vec![DescribeQuorumPartition::default()]);
    let request = DescribeQuorumRequestData::default().with_topics(vec![topic]);
    let answer = cluster.controller()?.call(&request)?;
    ClientError::check(
        answer.error_code,
        answer.error_message.as_ref().map(|text| text.as_str()),
    )?;
    Ok(answer)
}

fn cluster_id(cluster: &mut Cluster) -> anyhow::Result<String> {
    let answer = cluster.metadata(Some(&[]), false)?;
    Ok(answer.cluster_id.as_ref().map(text).unwrap_or_default())
}

const HEADERS: [&str; 7] = [
    "NodeId",
    "DirectoryId",
    "LogEndOffset",
    "Lag",
    "LastFetchTimestamp",
    "LastCaughtUpTimestamp",
    "Status",
];

/// What an answer says, once it is known to be whole.
struct Quorum<'a> {
    partition: &'a DescribedQuorumPartition,
    nodes: &'a [DescribedQuorumNode],
    leader: &'a DescribedQuorumReplica,
}

impl<'a> Quorum<'a> {
    fn of(answer: &'a DescribeQuorumResponseData) -> anyhow::Result<Quorum<'a>> {
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let partition = partitions.next().context("the answer holds no quorum")?;
        let message = partition.error_message.as_ref().map(|text| text.as_str());
        ClientError::check(partition.error_code, message)?;
        let mut voters = partition.current_voters.iter();
        let leader = voters.find(|voter| voter.replica_id == partition.leader_id);
        Ok(Quorum {
            partition,
            nodes: &answer.nodes,
            leader: leader.context("the quorum has no leader")?,
        })
    }

    fn status(&self, cluster_id: &str) -> String {
        let partition = self.partition;
        // The first of those that are behind most.
        let voters = partition.current_voters.iter();
        let behind = voters.min_by_key(|voter| voter.log_end_offset).unwrap_or(self.leader);
        let lag_ms = match (self.leader.last_caught_up_timestamp, behind.last_caught_up_timestamp) {
            _ if behind.replica_id == partition.leader_id => 0,
            (-1, _) | (_, -1) => -1,
            (leader, follower) => leader - follower,
        };
        let lines = [
            ("ClusterId:", cluster_id.to_owned()),
            ("LeaderId:", partition.leader_id.to_string()),
            ("LeaderEpoch:", partition.leader_epoch.to_string()),
            ("HighWatermark:", partition.high_watermark.to_string()),
            ("MaxFollowerLag:", self.lag(behind).to_string()),
            ("MaxFollowerLagTimeMs:", lag_ms.to_string()),
            ("CurrentVoters:", self.listed(&partition.current_voters)),
            ("CurrentObservers:", self.listed(&partition.observers)),
        ];
        lines.map(|(name, value)| format!("{name:<24}{value}\n")).concat()
    }

    fn lag(&self, replica: &DescribedQuorumReplica) -> i64 {
        self.leader.log_end_offset - replica.log_end_offset
    }

    fn listed(&self, replicas: &[DescribedQuorumReplica]) -> String {
        let listed: Vec<String> = replicas.iter().map(|replica| self.node(replica)).collect();
        format!("[{}]", listed.join(", "))
    }

    fn node(&self, replica: &DescribedQuorumReplica) -> String {
        let mut fields = vec![format!("\"id\": {}", replica.replica_id)];
        let directory = topic_id(replica.replica_directory_id);
        if directory != TopicId::ZERO {
            fields.push(format!("\"directoryId\": \"{directory}\""));
        }
        let known = self.nodes.iter().filter(|node| node.node_id == replica.replica_id);
        let endpoints: Vec<String> = known
            .flat_map(|node| &node.listeners)
            .map(|listener| {
                let host = bracketed(listener.host.as_str());
                format!("\"{}://{host}:{}\"", listener.name.as_str(), listener.port)
            })
            .collect();
        if !endpoints.is_empty() {
            fields.push(format!("\"endpoints\": [{}]", endpoints.join(", ")));
        }
        format!("{{{}}}", fields.join(", "))
    }

    /// The leader first. `now_ms`: for times as milliseconds ago.
    fn rows(&self, now_ms: Option<i64>) -> Vec<Vec<String>> {
        let partition = self.partition;
        let voters = partition.current_voters.iter();
        let followers = voters.filter(|voter| voter.replica_id != partition.leader_id);
        let all = std::iter::once((self.leader, "Leader"))
            .chain(followers.map(|voter| (voter, "Follower")))
            .chain(partition.observers.iter().map(|observer| (observer, "Observer")));
        all.map(|(replica, status)| self.row(replica, status, now_ms)).collect()
    }

    fn row(&self, replica: &DescribedQuorumReplica, status: &str, now_ms: Option<i64>) -> Vec<String> {
        let time = |at_ms: i64| match now_ms {
            Some(now_ms) if at_ms >= 0 => format!("{} ms ago", (now_ms - at_ms).max(0)),
            _ => at_ms.to_string(),
        };
        vec![
            replica.replica_id.to_string(),
            topic_id(replica.replica_directory_id).to_string(),
            replica.log_end_offset.to_string(),
            self.lag(replica).to_string(),
            time(replica.last_fetch_timestamp),
            time(replica.last_caught_up_timestamp),
            status.to_owned(),
        ]
    }
}

/// An address of IPv6 in brackets, as in a listener.
fn bracketed(host: &str) -> String {
    match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Node 2 leads, node 1 is behind, node 3 has never been heard of.
    fn answer() -> DescribeQuorumResponseData {
        let replica = |id, log_end, at_ms| {
            DescribedQuorumReplica::default()
                .with_replica_id(id)
                .with_log_end_offset(log_end)
                .with_last_fetch_timestamp(at_ms)
                .with_last_caught_up_timestamp(at_ms)
        };
        let partition = DescribedQuorumPartition::default()
            .with_leader_id(2)
            .with_leader_epoch(4)
            .with_high_watermark(40)
            .with_current_voters(vec![replica(1, 38, 900), replica(2, 40, 1_000)])
            .with_observers(vec![replica(3, -1, -1)]);
        let listener = DescribedQuorumListener::default()
            .with_name(kafka_string("CONTROLLER"))
            .with_host(kafka_string("::1"))
            .with_port(9093);
        let node = DescribedQuorumNode::default()
            .with_node_id(1)
            .with_listeners(vec![listener]);
        let topic = DescribedQuorumTopic::default().with_partitions(vec![partition]);
        DescribeQuorumResponseData::default()
            .with_topics(vec![topic])
            .with_nodes(vec![node])
    }

    #[test]
    fn the_status_is_a_summary_in_kafkas_words() {
        let answer = answer();
        let expected = "ClusterId:              x\nLeaderId:               2\nLeaderEpoch:            4\n\
                        HighWatermark:          40\nMaxFollowerLag:         2\nMaxFollowerLagTimeMs:   100\n\
                        CurrentVoters:          [{\"id\": 1, \"endpoints\": [\"CONTROLLER://[::1]:9093\"]}, {\"id\": 2}]\n\
                        CurrentObservers:       [{\"id\": 3}]\n";
        assert_eq!(Quorum::of(&answer).unwrap().status("x"), expected);
    }

    #[test]
    fn who_votes_is_known_by_id_and_directory() {
        let votes = |id, directory| {
            let new = NewController {
                id,
                directory: TopicId([directory; 16]),
                listener: ListenerSpec {
                    name: "CONTROLLER".to_owned(),
                    host: "h".to_owned(),
                    port: 9093,
                },
            };
            new.votes(&answer()).unwrap()
        };
        assert_eq!([votes(1, 0), votes(1, 4), votes(3, 0)], [true, false, false]);
    }

    #[test]
    fn nodes_are_listed_from_the_leader_on() {
        let answer = answer();
        let quorum = Quorum::of(&answer).unwrap();
        let rows = quorum
            .rows(None)
            .into_iter()
            .map(|row| row.join(" "))
            .collect::<Vec<_>>();
        let none = "AAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(
            rows,
            [
                format!("2 {none} 40 0 1000 1000 Leader"),
                format!("1 {none} 38 2 900 900 Follower"),
                format!("3 {none} -1 41 -1 -1 Observer"),
            ]
        );
        let times = |row: &[String]| row[4..6].join(", ");
        let rows = quorum.rows(Some(1_010));
        assert_eq!([times(&rows[1]), times(&rows[2])], ["110 ms ago, 110 ms ago", "-1, -1"]);
    }
}

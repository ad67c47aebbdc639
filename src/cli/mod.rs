//! The command line: one file per subcommand, with the flags of Kafka's scripts; and the scripts' own names as links.

mod archive;
mod bundle;
mod cluster;
mod configs;
mod configuration;
mod connect;
mod console_consumer;
mod console_producer;
mod console_share_consumer;
mod consumer_groups;
mod doctor;
mod exit;
mod features;
mod format;
mod generate;
mod json_file;
mod leader_election;
mod log_dirs;
mod log_level;
mod measure;
mod metadata_quorum;
mod partitions;
mod printing;
mod reassign_partitions;
mod recover_quorum;
mod replica_verification;
mod script_names;
mod server_stop;
mod share_groups;
mod start;
mod storage;
mod top;
mod topics;
mod transactions;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use script_names::SCRIPT_NAMES;

/// A broker for Linux servers that speaks the Apache Kafka protocol: one shard per core, io_uring, direct I/O.
#[derive(Parser)]
#[command(name = "corelane", version, max_term_width = 100)]
struct Corelane {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a broker (kafka-server-start.sh)
    Start(start::Args),
    /// Stop the brokers of this machine, cleanly (kafka-server-stop.sh)
    Stop(server_stop::Args),
    /// Look at configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at the machine, the configuration and the listeners as a client sees them; say what is wrong and what to do
    Doctor(doctor::Args),
    /// Measure the disk under a directory and the loopback, in a few seconds
    Measure(measure::Args),
    /// Write man pages and shell completions; name the scripts
    #[command(subcommand)]
    Generate(GenerateCommand),
    /// Help others to find out what is wrong
    #[command(subcommand)]
    Debug(DebugCommand),
    /// Go on with a node that is left when most of its quorum are lost for good
    RecoverQuorum(recover_quorum::Args),
    /// Watch shards, topics, groups, clients and requests by load
    Top(top::Args),
    /// Show or set what brokers log, for a time
    LogLevel(log_level::Args),
    /// Create, list, describe, alter and delete topics (kafka-topics.sh)
    Topics(topics::Args),
    /// Elect leaders: the preferred replicas again, or any that is up (kafka-leader-election.sh)
    LeaderElection(leader_election::Args),
    /// Move partitions to other brokers (kafka-reassign-partitions.sh)
    ReassignPartitions(Box<reassign_partitions::Args>),
    /// Compare the replicas of partitions with each other (kafka-replica-verification.sh)
    ReplicaVerification(replica_verification::Args),
    /// Describe and alter the configuration of topics, brokers and their loggers (kafka-configs.sh)
    Configs(configs::Args),
    /// List, describe and end transactions (kafka-transactions.sh)
    Transactions(transactions::Args),
    /// Send lines of the standard input as records (kafka-console-producer.sh)
    ConsoleProducer(console_producer::Args),
    /// Print the records of a topic (kafka-console-consumer.sh)
    ConsoleConsumer(console_consumer::Args),
    /// List, describe and delete consumer groups, and move their offsets (kafka-consumer-groups.sh)
    ConsumerGroups(Box<consumer_groups::Args>),
    /// Print the records of a topic as a member of a share group (kafka-console-share-consumer.sh)
    ConsoleShareConsumer(console_share_consumer::Args),
    /// List, describe and delete share groups, and move where they begin (kafka-share-groups.sh)
    ShareGroups(Box<share_groups::Args>),
    /// Give log directories the identity of a cluster, and show it (kafka-storage.sh)
    Storage(storage::Args),
    /// Describe the quorum that keeps the metadata (kafka-metadata-quorum.sh)
    MetadataQuorum(metadata_quorum::Args),
    /// Show the cluster's id and its brokers, and forget one (kafka-cluster.sh)
    Cluster(cluster::Args),
    /// Describe the features of the brokers (kafka-features.sh)
    Features(features::Args),
    /// Show what the brokers' log directories hold (kafka-log-dirs.sh)
    LogDirs(log_dirs::Args),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Check a server.properties without starting anything
    Check(start::CheckArgs),
}

#[derive(Subcommand)]
enum GenerateCommand {
    /// Man pages, one for each subcommand
    Man(generate::Args),
    /// Completions for bash, fish and zsh
    Completions(generate::Args),
    /// The names of Kafka's scripts that are links to this program
    ScriptNames,
}

#[derive(Subcommand)]
enum DebugCommand {
    /// Collect configuration (without secrets), checks, metrics, logs and versions in one archive
    Bundle(bundle::Args),
}

/// Runs what the arguments ask for. `arguments[0]` may be one of [`SCRIPT_NAMES`].
pub fn main(arguments: Vec<String>) -> ExitCode {
    let parsed = match Corelane::try_parse_from(script_names::translate(arguments)) {
        Ok(parsed) => parsed,
        Err(problem) => {
            // clap prints help and versions to stdout, problems to stderr; a failed print has nowhere to go.
            let _ = problem.print();
            return if problem.use_stderr() {
                exit::usage()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    exit::report(run(parsed.command))
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Start(args) => start::run(args),
        Command::Stop(args) => server_stop::run(args),
        Command::Config(ConfigCommand::Check(args)) => start::check(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Measure(args) => measure::run(args),
        Command::Generate(GenerateCommand::Man(args)) => generate::man(args),
        Command::Generate(GenerateCommand::Completions(args)) => generate::completions(args),
        Command::Generate(GenerateCommand::ScriptNames) => generate::script_names(),
        Command::Debug(DebugCommand::Bundle(args)) => bundle::run(args),
        Command::RecoverQuorum(args) => recover_quorum::run(args),
        Command::Top(args) => top::run(args),
        Command::LogLevel(args) => log_level::run(args),
        Command::Topics(args) => topics::run(args),
        Command::LeaderElection(args) => leader_election::run(args),
        Command::ReassignPartitions(args) => reassign_partitions::run(*args),
        Command::ReplicaVerification(args) => replica_verification::run(args),
        Command::Configs(args) => configs::run(args),
        Command::Transactions(args) => transactions::run(args),
        Command::ConsoleProducer(args) => console_producer::run(args),
        Command::ConsoleConsumer(args) => console_consumer::run(args),
        Command::ConsumerGroups(args) => consumer_groups::run(*args),
        Command::ConsoleShareConsumer(args) => console_share_consumer::run(args),
        Command::ShareGroups(args) => share_groups::run(*args),
        Command::Storage(args) => storage::run(args),
        Command::MetadataQuorum(args) => metadata_quorum::run(args),
        Command::Cluster(args) => cluster::run(args),
        Command::Features(args) => features::run(args),
        Command::LogDirs(args) => log_dirs::run(args),
    }
}

//! A quorum that one node begins, and others are added to while it runs, by either tool.

use std::fs;
use std::process::{Command, Output, Stdio};

use super::failover::{Load, TOPIC};
use super::tools_partitions::{create, file, ours, plan};
use super::tools_quorum::{self, QUORUM, STORAGE, directory, failed, ok, on, without_times};
use super::{Cluster, configure_broker};
use crate::admin::get;
use crate::support::{Broker, Program, free_port, wait_until};

const WAITS: &str = "waits to be added to the quorum";
const SERVERS: &str = "controller.quorum.bootstrap.servers";

/// A node that has not started, and where others find it.
fn prepare(id: i32, servers: Option<&str>) -> (Broker, String) {
    let node = Broker::prepare(&[]);
    let address = format!("127.0.0.1:{}", free_port());
    configure_broker(&node, id, "");
    node.set(&[
        ("node.id", &id.to_string()),
        ("process.roles", "broker,controller"),
        (
            "listeners",
            &format!("PLAINTEXT://127.0.0.1:{},CONTROLLER://{address}", node.port),
        ),
        (SERVERS, servers.unwrap_or(&address)),
        ("min.insync.replicas", "1"),
    ]);
    (node, address)
}

fn properties(node: &Broker) -> String {
    node.dir.join("server.properties").display().to_string()
}

/// What the tools send for the node, through the first one.
fn add(cluster: &Cluster, node: &Broker) -> String {
    on(
        cluster,
        0,
        &format!("--command-config {} add-controller", properties(node)),
    )
}

fn spawn(arguments: &str) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
    command.arg("metadata-quorum").args(arguments.split_whitespace());
    Program(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

fn await_waiting(node: &Broker) {
    wait_until("it waits to be added", || node.log().contains(WAITS));
}

/// As its log directory has it, and as the tools print it.
fn directory_id(node: &Broker) -> String {
    let properties = fs::read_to_string(node.data_dir().join("meta.properties")).unwrap();
    let id = properties.lines().find_map(|line| line.strip_prefix("directory.id="));
    id.unwrap().to_owned()
}

fn added(node: &Broker, id: i32, address: &str) -> String {
    let directory = directory_id(node);
    format!("Added controller {id} with directory id {directory} and endpoints: CONTROLLER://{address}\n")
}

fn says(output: &Output, why: &str) {
    let said = failed(output);
    assert!(said.contains(why), "{said}");
}

fn replication(cluster: &Cluster, node: usize) -> String {
    ok(&tools_quorum::ours(
        "metadata-quorum",
        &on(cluster, node, "describe --replication"),
    ))
}

fn voters(cluster: &Cluster, node: usize) -> usize {
    let printed = replication(cluster, node);
    let votes = |line: &&str| line.contains("Leader") || line.contains("Follower");
    printed.lines().skip(1).filter(votes).count()
}

/// Records with acks=all go on meanwhile. Then the node that began it is killed, and the others go on.
#[test]
fn one_node_becomes_three_by_the_tools() {
    let (first, server) = prepare(1, None);
    let mut cluster = Cluster { nodes: vec![first] };
    cluster.nodes[0].restart();
    create(&cluster, &format!("--topic {TOPIC} --replica-assignment 1,1,1"));
    let load = Load::onto_topic(&cluster, 1);
    load.ledger.await_more();

    let (mut second, address) = prepare(2, Some(&server));
    let port = free_port();
    second.set(&[("admin.listener", &format!("127.0.0.1:{port}"))]);
    second.spawn();
    await_waiting(&second);
    let (code, _, ready) = get(port, "/readyz", "localhost");
    assert!(code == 503 && ready.contains(WAITS), "{ready}");
    let dry = QUORUM.agree(&format!("{} --dry-run", add(&cluster, &second)), str::to_owned);
    assert!(dry.starts_with("DRY RUN of adding controller 2 with "), "{dry}");
    let said = ok(&tools_quorum::ours("metadata-quorum", &add(&cluster, &second)));
    assert_eq!(said, added(&second, 2, &address));
    second.await_answer();
    cluster.nodes.push(second);
    load.ledger.await_more();

    let (mut third, address) = prepare(3, Some(&server));
    third.spawn();
    await_waiting(&third);
    let said = ok(&tools_quorum::kafkas(QUORUM.1, &add(&cluster, &third)));
    assert_eq!(said, added(&third, 3, &address));
    third.await_answer();
    cluster.nodes.push(third);
    load.ledger.await_more();
    assert_eq!(voters(&cluster, 2), 3);
    let printed = QUORUM.agree(&on(&cluster, 1, "describe --replication"), without_times);
    for (at, node) in cluster.nodes.iter().enumerate() {
        assert_eq!(directory(&printed, at + 1), directory_id(node));
    }
    twice_is_refused(&cluster);

    let there = file(&cluster, "there", &plan(&[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]]));
    let reassign = format!("--execute --wait --reassignment-json-file {there}");
    ours(&cluster, "reassign-partitions", &reassign);
    wait_until("all replicas are in sync", || cluster.in_sync(0, Some(TOPIC), 3));
    cluster.nodes[0].kill_9();
    wait_until("others lead", || cluster.is_led_without(1, 0));
    load.ledger.await_more();
    cluster.create(2, "after");
    cluster.nodes[0].restart();
    wait_until("it knows the topic", || cluster.lists(0, "after"));
    load.stop_and_check(&cluster);
}

fn twice_is_refused(cluster: &Cluster) {
    for node in &cluster.nodes {
        let add = add(cluster, node);
        says(&tools_quorum::ours("metadata-quorum", &add), "is a voter already");
        says(&tools_quorum::kafkas(QUORUM.1, &add), "is a voter already");
    }
}

/// The leader is killed while it adds a node, then the node that is added: once both run again, it votes.
#[test]
fn who_is_killed_while_a_node_is_added_ends_it_later() {
    let (first, server) = prepare(1, None);
    let mut cluster = Cluster { nodes: vec![first] };
    cluster.nodes[0].restart();
    create(&cluster, "--topic before --replica-assignment 1");
    for (id, killed) in [(2, 0), (3, 2)] {
        let (mut new, _) = prepare(id, Some(&server));
        new.spawn();
        await_waiting(&new);
        let adding = spawn(&add(&cluster, &new));
        cluster.nodes.push(new);
        let log = cluster.nodes[id as usize - 1]
            .data_dir()
            .join("corelane-metadata/quorum-log");
        let empty = fs::metadata(&log).unwrap().len();
        wait_until("it learns", || fs::metadata(&log).unwrap().len() > empty);
        cluster.nodes[killed].kill_9();
        drop(adding);
        cluster.nodes[killed].spawn();
        cluster.nodes.iter_mut().for_each(Broker::await_answer);
        wait_until("it votes", || voters(&cluster, 0) == id as usize);
        twice_is_refused(&cluster);
    }
    cluster.nodes[0].kill_9();
    cluster.nodes[1].tool("topics", "--create --topic after --replica-assignment 2:3", "");
}

/// It is stopped, taken out, and waits when it comes again; added again it votes, with its disks as they are.
#[test]
fn a_voter_that_was_taken_out_is_added_again() {
    let (first, server) = prepare(1, None);
    let mut cluster = Cluster { nodes: vec![first] };
    cluster.nodes[0].restart();
    for id in [2, 3] {
        let (mut new, _) = prepare(id, Some(&server));
        new.spawn();
        await_waiting(&new);
        ok(&tools_quorum::ours("metadata-quorum", &add(&cluster, &new)));
        new.await_answer();
        cluster.nodes.push(new);
    }
    cluster.create(0, TOPIC);
    let load = Load::onto_topic(&cluster, 3);
    load.ledger.await_more();
    assert!(cluster.nodes[2].terminate().success());
    let remove = format!("remove-controller -i 3 -d {}", directory_id(&cluster.nodes[2]));
    ok(&tools_quorum::kafkas(QUORUM.1, &on(&cluster, 0, &remove)));
    let controller = cluster.controller();
    let waited = cluster.nodes[2].log().matches(WAITS).count();
    cluster.nodes[2].spawn();
    wait_until("it waits again", || {
        cluster.nodes[2].log().matches(WAITS).count() > waited
    });
    assert_eq!(
        (cluster.controller(), voters(&cluster, 0)),
        (controller, 2),
        "nobody was disturbed"
    );
    ok(&tools_quorum::ours(
        "metadata-quorum",
        &add(&cluster, &cluster.nodes[2]),
    ));
    cluster.nodes[2].await_answer();
    wait_until("all replicas are in sync", || cluster.in_sync(0, Some(TOPIC), 3));
    assert_eq!(voters(&cluster, 2), 3);
    load.ledger.await_more();
    load.stop_and_check(&cluster);
}

/// A majority of them is enough. Their directories have the ids that they were given, and one has a disk for the metadata.
#[test]
fn nodes_that_are_formatted_for_one_quorum_begin_it_together() {
    let id = || ok(&tools_quorum::ours("storage", "random-uuid")).trim().to_owned();
    let (cluster_id, ids) = (id(), [id(), id(), id()]);
    let nodes = [1, 2, 3].map(|id| prepare(id, None));
    let address = |at: usize| nodes[at].1.clone();
    let controllers: Vec<String> = (0..3)
        .map(|at| format!("{}@{}:{}", at + 1, address(at), ids[at]))
        .collect();
    let servers = [address(0), address(1), address(2)].join(",");
    let mut cluster = Cluster {
        nodes: nodes.into_iter().map(|(node, _)| node).collect(),
    };
    let metadata = cluster.nodes[1].dir.join("metadata").display().to_string();
    cluster.nodes[1].set(&[("metadata.log.dir", &metadata)]);
    for node in &cluster.nodes {
        node.set(&[(SERVERS, &servers)]);
        let format = format!(
            "format -t {cluster_id} -c {} -I {}",
            properties(node),
            controllers.join(",")
        );
        let printed = ok(&tools_quorum::ours("storage", &format));
        assert!(printed.contains("Formatting metadata directory "), "{printed}");
    }
    let mut third = cluster.nodes.pop().unwrap();
    cluster.nodes.iter_mut().for_each(Broker::spawn);
    cluster.nodes.iter_mut().for_each(Broker::await_answer);
    create(&cluster, "--topic of-two --replica-assignment 1:2");
    third.restart();
    cluster.nodes.push(third);
    wait_until("it knows the topic", || cluster.lists(2, "of-two"));
    let printed = QUORUM.agree(&on(&cluster, 2, "describe --replication"), without_times);
    for (at, id) in ids.iter().enumerate() {
        assert_eq!(&directory(&printed, at + 1), id);
    }
    for node in &mut cluster.nodes {
        assert!(node.terminate().success());
        node.restart();
    }
    assert_eq!(voters(&cluster, 0), 3);
}

/// Each is told why, and the quorum goes on as it was.
#[test]
fn who_cannot_be_added_is_told_why() {
    let (first, server) = prepare(1, None);
    let mut cluster = Cluster { nodes: vec![first] };
    cluster.nodes[0].restart();
    let refused = |cluster: &Cluster, node: &Broker, why: &str| {
        says(&tools_quorum::ours("metadata-quorum", &add(cluster, node)), why);
        says(&tools_quorum::kafkas(QUORUM.1, &add(cluster, node)), why);
    };

    let (mut other, _) = prepare(2, Some(&server));
    says(
        &tools_quorum::ours("metadata-quorum", &add(&cluster, &other)),
        "start the controller first",
    );
    other.spawn();
    await_waiting(&other);
    other.kill_9();
    refused(&cluster, &other, "It must run, and wait to be added");

    // Whoever is formatted to begin does so, whatever its file names.
    let (mut another, _) = prepare(3, Some(&server));
    let format = format!("format -t 4L6g3nShT-eMCtK--X86sw -c {}", properties(&another));
    let asked = STORAGE.agree(&format, str::to_owned);
    assert_eq!(asked, "");
    ok(&tools_quorum::ours("storage", &format!("{format} --standalone")));
    another.restart();
    refused(&cluster, &another, "belongs to cluster");

    let only = Broker::prepare(&[("process.roles", "broker")]);
    configure_broker(&only, 4, "");
    only.set(&[(SERVERS, &server), ("node.id", "4")]);
    for said in [
        tools_quorum::ours("metadata-quorum", &add(&cluster, &only)),
        tools_quorum::kafkas(QUORUM.1, &add(&cluster, &only)),
    ] {
        says(
            &said,
            "process.roles did not contain 'controller' in configuration file",
        );
    }
    assert_eq!(voters(&cluster, 0), 1);
    assert!(cluster.nodes[0].terminate().success());
}

/// A controller, and brokers that only follow it: one keeps the metadata, and others could be added.
#[test]
fn a_single_controller_leads_brokers_that_do_not_vote() {
    let mut controller = Broker::prepare(&[]);
    let address = format!("127.0.0.1:{}", free_port());
    configure_broker(&controller, 11, "");
    controller.set(&[
        ("node.id", "11"),
        ("process.roles", "controller"),
        ("listeners", &format!("CONTROLLER://{address}")),
        (SERVERS, &address),
    ]);
    let mut nodes: Vec<Broker> = (1..=2)
        .map(|id| {
            let node = Broker::prepare(&[("process.roles", "broker")]);
            configure_broker(&node, id, "");
            node.set(&[(SERVERS, &address), ("min.insync.replicas", "1")]);
            node
        })
        .collect();
    nodes.iter_mut().for_each(Broker::spawn);
    controller.spawn();
    nodes.iter_mut().for_each(Broker::await_answer);
    let mut cluster = Cluster { nodes };
    create(&cluster, &format!("--topic {TOPIC} --replica-assignment 1:2,2:1,1:2"));
    let load = Load::onto_topic(&cluster, 2);
    load.ledger.await_more();
    controller.kill_9();
    controller.spawn();
    cluster.nodes[1].tool("topics", "--create --topic after --replica-assignment 1:2", "");
    load.ledger.await_more();
    cluster.nodes[0].kill_9();
    wait_until("the other leads", || cluster.is_led_without(1, 0));
    load.ledger.await_more();
    cluster.nodes[0].restart();
    wait_until("both are in sync", || cluster.in_sync(1, Some(TOPIC), 2));
    QUORUM.agree(&on(&cluster, 0, "describe --replication"), without_times);
    load.stop_and_check(&cluster);
}

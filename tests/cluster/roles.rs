//! Controllers that hold no partitions, and brokers that do not vote, as large clusters are laid out.

use super::failover::{Load, TOPIC};
use super::tools_partitions::create;
use super::tools_quorum::{QUORUM, cells, on, without_times};
use super::{Cluster, configure_broker, term_of};
use crate::admin::get;
use crate::support::{Broker, free_port, wait_until};

/// Three of each; the brokers are those of the cluster.
pub(super) struct Split {
    controllers: Vec<Broker>,
    pub(super) cluster: Cluster,
}

impl Split {
    pub(super) fn start() -> Split {
        Split::start_with(&[])
    }

    /// `settings`: of the first controller.
    fn start_with(settings: &[(&str, &str)]) -> Split {
        let three = |roles| [(); 3].map(|()| (Broker::prepare(&[("process.roles", roles)]), "127.0.0.1".to_owned()));
        let controllers = three("controller");
        controllers[0].0.set(settings);
        Split::of(controllers.into(), three("broker").into(), &[])
    }

    /// Of nodes that have not started yet, and their hosts. `settings`: of the brokers.
    pub(super) fn of(
        controllers: Vec<(Broker, String)>,
        brokers: Vec<(Broker, String)>,
        settings: &[(&str, &str)],
    ) -> Split {
        let voter =
            |(at, (node, host)): (usize, &(Broker, String))| format!("{}@{host}:{}", controller_id(at), node.port);
        let voters: Vec<String> = controllers.iter().enumerate().map(voter).collect();
        for (at, (node, host)) in controllers.iter().enumerate() {
            configure_broker(node, controller_id(at), &voters.join(","));
            node.set(&[("listeners", &format!("CONTROLLER://{host}:{}", node.port))]);
        }
        for (at, (node, _)) in brokers.iter().enumerate() {
            configure_broker(node, at as i32 + 1, &voters.join(","));
            node.set(settings);
        }
        let [mut controllers, mut nodes] =
            [controllers, brokers].map(|nodes| nodes.into_iter().map(|(node, _)| node).collect::<Vec<Broker>>());
        // In no order: the brokers wait for the controllers.
        nodes.iter_mut().for_each(Broker::spawn);
        controllers.iter_mut().for_each(Broker::spawn);
        nodes.iter_mut().for_each(Broker::await_answer);
        wait_until("all controllers vote", || {
            controllers
                .iter()
                .any(|node| node.log().contains("the quorum is complete"))
        });
        let cluster = Cluster { nodes };
        Split { controllers, cluster }
    }

    /// Which of the controllers said last that it decides.
    fn leader(&self) -> usize {
        let term = |node: &Broker| {
            let log = node.log();
            log.lines()
                .rev()
                .find(|line| line.contains("this node is the controller"))
                .map(term_of)
        };
        let leader = (0..3).max_by_key(|at| term(&self.controllers[*at]));
        leader.expect("three of them")
    }
}

fn controller_id(at: usize) -> i32 {
    11 + at as i32
}

/// Under load the controller is killed, then a broker, and each comes back; then a controller stops in order.
#[test]
fn controllers_and_brokers_of_their_own_make_a_cluster() {
    let mut split = Split::start();
    create(
        &split.cluster,
        &format!("--topic {TOPIC} --partitions 3 --replication-factor 3"),
    );
    let load = Load::onto_topic(&split.cluster, 3);
    load.ledger.await_more();

    let leader = split.leader();
    split.controllers[leader].kill_9();
    split.cluster.create(0, "after-the-controller");
    load.ledger.await_more();
    split.controllers[leader].spawn();

    split.cluster.nodes[0].kill_9();
    wait_until("others lead", || split.cluster.is_led_without(1, 0));
    load.ledger.await_more();
    split.cluster.nodes[0].restart();
    wait_until("it is in sync again", || split.cluster.in_sync(0, Some(TOPIC), 3));

    let leader = split.leader();
    assert!(split.controllers[leader].terminate().success());
    split.cluster.create(2, "after-another");
    wait_until("all know it", || {
        (0..3).all(|node| split.cluster.lists(node, "after-another"))
    });
    load.ledger.await_more();
    load.stop_and_check(&split.cluster);
    assert!(!split.controllers[leader].data_dir().join(format!("{TOPIC}-0")).exists());
}

/// As Kafka's tool tells it; a controller's own port for operators says whom it follows.
#[test]
fn controllers_are_no_brokers_to_the_tools() {
    let port = free_port();
    let split = Split::start_with(&[("admin.listener", &format!("127.0.0.1:{port}"))]);
    let asked = on(&split.cluster, 0, "describe --replication");
    wait_until("all follow", || {
        let printed = split.cluster.nodes[0].tool("metadata-quorum", "describe --replication", "");
        let lags = printed.lines().skip(1).map(|line| cells(line)[3].to_owned());
        lags.eq(["0"; 6]) && printed.matches("Observer").count() == 3
    });
    QUORUM.agree(&asked, without_times);
    assert_eq!(
        split.cluster.partitions(0, None),
        [],
        "no topics, and the client finds the brokers"
    );

    let ask = |path| get(port, path, "localhost");
    wait_until("it is ready", || ask("/readyz").0 == 200);
    let (_, _, verbose) = ask("/readyz?verbose");
    assert!(verbose.contains("is the controller, epoch"), "{verbose}");
    let (_, _, metrics) = ask("/metrics");
    assert!(
        metrics.contains("kafka_controller_kafkacontroller_activecontrollercount"),
        "{metrics}"
    );
    let (code, _, brokers) = ask("/v1/brokers");
    assert_eq!((code, brokers.matches("\"id\":").count()), (200, 3), "{brokers}");
    assert_eq!(ask("/v1/status").0, 200);
    split.controllers[0].signal("HUP");
    wait_until("it has read its file again", || {
        split.controllers[0].log().contains("the configuration was read again")
    });
}

//! `kafka-transactions.sh` on a transaction that is left open.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::Shell;
use crate::support::{PATIENCE, wait_until};

const SCRIPT: &str = "kafka-transactions.sh";

/// A producer whose transaction has written to partition 0 of `topic` and is not ended.
fn open_transaction(shell: &Shell, id: &str, topic: &str) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", shell.broker.bootstrap())
        .set("transactional.id", id)
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    let record: BaseRecord<'_, (), str> = BaseRecord::to(topic).payload("open").partition(0);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    producer
}

/// The columns of a table's only row.
fn row(table: &str) -> Vec<String> {
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    lines[1].split('\t').map(|column| column.trim().to_owned()).collect()
}

#[test]
fn transactions_are_listed_described_and_ended() {
    let shell = Shell::new();
    assert_eq!(
        shell.ok(SCRIPT, "list", ""),
        "TransactionalId\tCoordinator\tProducerId\tTransactionState\t\n"
    );
    shell.topics("--create --topic orders --partitions 1");
    let producer = open_transaction(&shell, "shop", "orders");

    let listed = row(&shell.ok(SCRIPT, "list", ""));
    assert_eq!((listed[0].as_str(), listed[3].as_str()), ("shop", "Ongoing"));
    assert_eq!(
        shell
            .ok(SCRIPT, "list --transactional-id-pattern cart.*", "")
            .lines()
            .count(),
        1
    );
    let described = row(&shell.ok(SCRIPT, "describe --transactional-id shop", ""));
    assert_eq!((described[1].as_str(), described[8].as_str()), ("shop", "orders-0"));
    let producers = row(&shell.ok(SCRIPT, "describe-producers --topic orders --partition 0", ""));
    assert_eq!(
        (producers[0].as_str(), producers[5].as_str()),
        (listed[2].as_str(), "0")
    );
    // Its coordinator knows of it, so it does not hang.
    let hanging = shell.ok(SCRIPT, "find-hanging --topic orders --max-transaction-timeout 0", "");
    assert_eq!(hanging.lines().count(), 1, "{hanging}");

    shell.ok(SCRIPT, "abort --topic orders --partition 0 --start-offset 0", "");
    let producers = row(&shell.ok(SCRIPT, "describe-producers --topic orders --partition 0", ""));
    assert_eq!(producers[5], "None");
    shell.ok(SCRIPT, "force-terminate --transactional-id shop", "");
    wait_until("the transaction is aborted", || {
        row(&shell.ok(SCRIPT, "list", ""))[3] == "Empty"
    });
    assert!(
        producer.commit_transaction(Duration::from_secs(10)).is_err(),
        "it is fenced"
    );
    let unknown = shell.run(SCRIPT, "describe --transactional-id nope", "");
    assert_eq!(unknown.status.code(), Some(1));
}

"""kafka-python, 2.0.2 and 3.x, in groups: two members share a topic, one leaves, commits are where the next one goes on."""

import os
import sys
import threading
import time
import uuid

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.structs import OffsetAndMetadata

BOOTSTRAP = os.environ["BOOTSTRAP"]
PATIENCE = 60


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def create(topic, partitions, count=0):
    client = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    client.create_topics([NewTopic(topic, partitions, 1)])
    client.close()
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP)
    for n in range(count):
        producer.send(topic, f"value {n}".encode(), partition=n % partitions).get(20)
    producer.close()


def member(group, topic):
    return KafkaConsumer(topic, bootstrap_servers=BOOTSTRAP, group_id=group, auto_offset_reset="earliest",
                         enable_auto_commit=False, session_timeout_ms=10_000, heartbeat_interval_ms=500)


class Running:
    """A member polled by a thread of its own: 2.0.2 stays in poll() until its group has rebalanced."""

    def __init__(self, group, topic):
        self.owned, self.stopped = set(), False
        self.thread = threading.Thread(target=self.run, args=(group, topic), daemon=True)
        self.thread.start()

    def run(self, group, topic):
        consumer = member(group, topic)
        while not self.stopped:
            consumer.poll(timeout_ms=100)
            self.owned = set(consumer.assignment())
        consumer.close()

    def close(self):
        self.stopped = True
        self.thread.join(PATIENCE)


def settle(members, sizes):
    deadline = time.time() + PATIENCE
    while True:
        owned = [one.owned for one in members]
        if sorted(map(len, owned)) == sorted(sizes) and len(set().union(*owned)) == sum(sizes):
            return
        assert time.time() < deadline, owned
        time.sleep(0.05)


def share():
    group, topic = fresh("group"), fresh("topic")
    create(topic, 4)
    first = Running(group, topic)
    settle([first], [4])
    second = Running(group, topic)
    settle([first, second], [2, 2])
    second.close()
    settle([first], [4])
    first.close()


def committed_offset(offset):
    fields = {"offset": offset, "metadata": "a note", "leader_epoch": -1}
    return OffsetAndMetadata(**{name: fields[name] for name in OffsetAndMetadata._fields})


def read(consumer, count):
    values, deadline = [], time.time() + PATIENCE
    while len(values) < count:
        assert time.time() < deadline, len(values)
        for records in consumer.poll(timeout_ms=500).values():
            values.extend(record.value for record in records)
    return values


def commit_and_resume():
    group, topic = fresh("group"), fresh("topic")
    create(topic, 1, 60)
    consumer, where = member(group, topic), TopicPartition(topic, 0)
    read(consumer, 60)
    consumer.commit({where: committed_offset(20)})
    assert consumer.committed(where) == 20
    consumer.close()
    consumer = member(group, topic)
    assert read(consumer, 40)[0] == b"value 20"
    consumer.close()


def main():
    for part in (share, commit_and_resume):
        part()
        print("ok", part.__name__)


if __name__ == "__main__":
    sys.exit(main())

"""confluent-kafka (librdkafka): produce with every acks and codec, consume by position and time, administer, fail well."""

import os
import sys
import time
import uuid

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

BOOTSTRAP = os.environ["BOOTSTRAP"]
PARTITIONS = 3
COUNT = 300


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


ADMIN = AdminClient({"bootstrap.servers": BOOTSTRAP})


def create(topic, partitions=PARTITIONS, config=None):
    for future in ADMIN.create_topics([NewTopic(topic, partitions, 1, config=config or {})]).values():
        future.result(20)
    for p in range(partitions):
        end_offset(topic, p)


def end_offset(topic, partition):
    """The partition's end, once it has a leader."""
    reader, deadline = consumer(), time.time() + 20
    while True:
        try:
            return reader.get_watermark_offsets(TopicPartition(topic, partition), 10)[1]
        except KafkaException:
            assert time.time() < deadline, f"{topic} got no leader"
            time.sleep(0.05)


def consumer():
    return Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False,
                     "enable.partition.eof": True, "auto.offset.reset": "error", "check.crcs": True})


def read_all(topic, partitions, start):
    """Everything of each partition from `start(partition)` to its end, as {partition: [(offset, key, value)]}."""
    reader = consumer()
    reader.assign([TopicPartition(topic, p, start(p)) for p in range(partitions)])
    read, at_end, deadline = {p: [] for p in range(partitions)}, set(), time.time() + 30
    while len(at_end) < partitions:
        assert time.time() < deadline, f"no end of {topic}: {at_end}"
        message = reader.poll(1)
        if message is None:
            continue
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            at_end.add(message.partition())
        else:
            read[message.partition()].append((message.offset(), message.key(), message.value()))
    reader.close()
    return read


def produce_and_consume(acks, codec, idempotent=False):
    topic = fresh(f"confluent-{acks}-{codec}")
    create(topic)
    failures = []
    config = {"bootstrap.servers": BOOTSTRAP, "acks": acks, "compression.type": codec, "linger.ms": 5}
    if idempotent:
        config["enable.idempotence"] = True
    producer = Producer(config)
    sent = {p: [] for p in range(PARTITIONS)}
    for n in range(COUNT):
        key, value = f"k{n}".encode(), (f"value {n} " * 20).encode()
        sent[n % PARTITIONS].append((key, value))
        producer.produce(topic, value, key, partition=n % PARTITIONS,
                         on_delivery=lambda error, _: error and failures.append(error))
    assert producer.flush(30) == 0
    assert not failures, failures
    if acks == "0":
        wait_for_end(topic, COUNT)
    read = read_all(topic, PARTITIONS, lambda _: 0)
    for p in range(PARTITIONS):
        assert [offset for offset, _, _ in read[p]] == list(range(len(sent[p]))), "offsets are dense"
        assert [(key, value) for _, key, value in read[p]] == sent[p]
    return topic


def wait_for_end(topic, count):
    deadline = time.time() + 20
    while sum(end_offset(topic, p) for p in range(PARTITIONS)) < count:
        assert time.time() < deadline, "acks=0 records did not arrive"
        time.sleep(0.05)


def seek_by_time():
    topic = fresh("confluent-time")
    create(topic, 1)
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    for n in range(100):
        producer.produce(topic, str(n).encode(), partition=0, timestamp=1_700_000_000_000 + n * 1000)
        if n % 10 == 9:
            producer.flush(20)
    producer.flush(20)
    reader = consumer()
    found = reader.offsets_for_times([TopicPartition(topic, 0, 1_700_000_000_000 + 41_500)], timeout=20)
    assert found[0].offset == 42, found
    beyond = reader.offsets_for_times([TopicPartition(topic, 0, 1_800_000_000_000)], timeout=20)
    assert beyond[0].offset == -1, beyond
    assert reader.get_watermark_offsets(TopicPartition(topic, 0), 20) == (0, 100)
    reader.close()
    assert [value for _, _, value in read_all(topic, 1, lambda _: 42)[0]][0] == b"42"


def administer():
    topic = fresh("confluent-admin")
    create(topic, 2, {"retention.ms": "86400000"})
    described = ADMIN.list_topics(topic, 20).topics[topic]
    assert sorted(described.partitions) == [0, 1] and described.error is None
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    config = ADMIN.describe_configs([resource])[resource].result(20)
    assert config["retention.ms"].value == "86400000", config["retention.ms"]
    for future in ADMIN.create_partitions([NewPartitions(topic, 4)]).values():
        future.result(20)
    try:
        create(topic)
        raise AssertionError("a second creation went through")
    except KafkaException as problem:
        assert problem.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS, problem
    for future in ADMIN.delete_topics([topic]).values():
        future.result(20)
    deadline = time.time() + 20
    while topic in ADMIN.list_topics(timeout=20).topics:
        assert time.time() < deadline, "deleted topic is still listed"


def too_large():
    topic = fresh("confluent-large")
    create(topic, 1, {"max.message.bytes": "2000"})
    errors = []
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "message.max.bytes": 5_000_000})
    producer.produce(topic, os.urandom(10_000), partition=0, on_delivery=lambda error, _: errors.append(error))
    producer.flush(20)
    assert errors[0].code() == KafkaError.MSG_SIZE_TOO_LARGE, errors


def unknown_topic():
    reader = consumer()
    try:
        reader.get_watermark_offsets(TopicPartition(fresh("nowhere"), 0), 10)
        raise AssertionError("an unknown topic has offsets")
    except KafkaException as problem:
        assert problem.args[0].code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION), problem
    reader.close()


def main():
    for acks in ("0", "1", "all"):
        for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
            produce_and_consume(acks, codec)
            print("ok produce", acks, codec)
    produce_and_consume("all", "lz4", idempotent=True)
    print("ok idempotent")
    for part in (seek_by_time, administer, too_large, unknown_topic):
        part()
        print("ok", part.__name__)


if __name__ == "__main__":
    sys.exit(main())

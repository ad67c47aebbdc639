"""kafka-python, 2.0.2 and 3.x: produce with every acks and codec, consume by position and time, administer, fail well."""

import os
import sys
import time
import uuid

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import MessageSizeTooLargeError, TopicAlreadyExistsError

BOOTSTRAP = os.environ["BOOTSTRAP"]
COUNT = 200
CODECS = (None, "gzip", "snappy", "lz4", "zstd")


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def admin():
    return KafkaAdminClient(bootstrap_servers=BOOTSTRAP)


def create(topic, partitions=2, configs=None):
    client = admin()
    client.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs or {})])
    client.close()


IS_2 = kafka.__version__.startswith("2")


def reader():
    options = {} if IS_2 else {"allow_auto_create_topics": False}
    return KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=None, enable_auto_commit=False,
                         consumer_timeout_ms=20_000, **options)


def read(topic, partition, start, count):
    consumer, where = reader(), TopicPartition(topic, partition)
    consumer.assign([where])
    consumer.seek(where, start)
    records = []
    for record in consumer:
        records.append((record.offset, record.key, record.value))
        if len(records) == count:
            break
    consumer.close()
    return records


def produce_and_consume(acks, codec):
    topic = fresh(f"kp-{acks}-{codec}")
    create(topic)
    options = {} if IS_2 or acks == "all" else {"enable_idempotence": False}
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, acks=acks, compression_type=codec, linger_ms=5, **options)
    futures, sent = [], {0: [], 1: []}
    for n in range(COUNT):
        key, value = f"k{n}".encode(), (f"value {n} " * 10).encode()
        sent[n % 2].append((key, value))
        futures.append(producer.send(topic, value, key, partition=n % 2))
    producer.flush(30)
    for future in futures:
        future.get(20)
    producer.close()
    for p in (0, 1):
        records = read(topic, p, 0, COUNT // 2)
        assert [offset for offset, _, _ in records] == list(range(COUNT // 2)), records[:3]
        assert [(key, value) for _, key, value in records] == sent[p]


def seek_by_time():
    topic = fresh("kp-time")
    create(topic, 1)
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP)
    for n in range(50):
        producer.send(topic, str(n).encode(), partition=0, timestamp_ms=1_700_000_000_000 + n * 1000)
    producer.flush(20)
    producer.close()
    consumer, where = reader(), TopicPartition(topic, 0)
    found = consumer.offsets_for_times({where: 1_700_000_000_000 + 20_500})
    assert found[where].offset == 21, found
    assert consumer.beginning_offsets([where])[where] == 0
    assert consumer.end_offsets([where])[where] == 50
    consumer.close()


def administer():
    topic = fresh("kp-admin")
    create(topic, 3)
    client = admin()
    assert topic in client.list_topics()
    try:
        create(topic)
        raise AssertionError("a second creation went through")
    except TopicAlreadyExistsError:
        pass
    client.delete_topics([topic])
    deadline = time.time() + 20
    while topic in client.list_topics():
        assert time.time() < deadline, "deleted topic is still listed"
    client.close()


def too_large():
    topic = fresh("kp-large")
    create(topic, 1, {"max.message.bytes": "2000"})
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, retries=0)
    try:
        producer.send(topic, os.urandom(10_000), partition=0).get(20)
        raise AssertionError("too large a message was taken")
    except MessageSizeTooLargeError:
        pass
    producer.close()


def unknown_topic():
    consumer = reader()
    assert not consumer.partitions_for_topic(fresh("nowhere"))
    consumer.close()


def main():
    print("kafka-python", kafka.__version__)
    for acks in (0, 1, "all"):
        for codec in CODECS:
            produce_and_consume(acks, codec)
            print("ok produce", acks, codec)
    for part in (seek_by_time, administer, too_large, unknown_topic):
        part()
        print("ok", part.__name__)


if __name__ == "__main__":
    sys.exit(main())

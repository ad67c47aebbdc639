"""kafka-python 2 told that the broker is an old one: message sets of magic 0 and 1, Produce 0 to 2, Fetch 0 to 3."""

import os
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

BOOTSTRAP = os.environ["BOOTSTRAP"]
# The API version that the client believes in, and whether messages have a time there.
BROKERS = {(0, 8, 2): False, (0, 9): False, (0, 10, 0): True, (0, 10, 1): True}
CODECS = [None, "gzip", "snappy", "lz4"]


def round_trip(version, has_time, codec):
    topic = "old-%s-%s" % ("".join(map(str, version)), codec or "none")
    began = int(time.time() * 1000) - 1000
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, api_version=version, compression_type=codec, acks="all", linger_ms=50)
    values = [b"value %d " % at + b"x" * at for at in range(100)]
    sent = [producer.send(topic, value, key=b"key", partition=0) for value in values]
    producer.flush()
    assert [one.get(10).offset for one in sent] == list(range(100)), topic
    producer.close()

    partition = TopicPartition(topic, 0)
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, api_version=version, auto_offset_reset="earliest", consumer_timeout_ms=10000)
    consumer.assign([partition])
    # From the middle of a batch, too.
    for start in (0, 37):
        consumer.seek(partition, start)
        got = [next(consumer) for _ in range(start, 100)]
        assert [one.offset for one in got] == list(range(start, 100)), topic
        assert [one.value for one in got] == values[start:], topic
        assert all(one.key == b"key" for one in got), topic
        assert all((one.timestamp or -1) >= began for one in got) == has_time, (topic, got[0])
    consumer.seek_to_end(partition)
    assert consumer.position(partition) == 100
    consumer.seek_to_beginning(partition)
    assert consumer.position(partition) == 0
    consumer.close()
    print("ok", topic)


for version, has_time in BROKERS.items():
    for codec in CODECS:
        round_trip(version, has_time, codec)

"""confluent-kafka (librdkafka): transactions commit, abort, time out and are fenced; who reads committed sees only those."""

import os
import subprocess
import sys
import time
import uuid

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP = os.environ["BOOTSTRAP"]
PARTITIONS = 3
ADMIN = AdminClient({"bootstrap.servers": BOOTSTRAP})


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def create(topic):
    for future in ADMIN.create_topics([NewTopic(topic, PARTITIONS, 1)]).values():
        future.result(20)


def producer(transactional_id, timeout_ms=30000):
    made = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": transactional_id, "linger.ms": 1,
                     "transaction.timeout.ms": timeout_ms})
    made.init_transactions(30)
    return made


def write(to, topic, name, count=30):
    """Values `name 0`, `name 1`, …, over all partitions."""
    for n in range(count):
        to.produce(topic, f"{name} {n}".encode(), partition=n % PARTITIONS)
    assert to.flush(30) == 0


def values(name, count=30):
    return sorted(f"{name} {n}" for n in range(count))


def read(topic, isolation):
    """Everything up to where this reader may see, sorted."""
    reader = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False,
                       "enable.partition.eof": True, "auto.offset.reset": "earliest", "isolation.level": isolation})
    reader.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
    found, at_end, deadline = [], set(), time.time() + 30
    while len(at_end) < PARTITIONS:
        assert time.time() < deadline, f"no end of {topic}: {at_end}"
        message = reader.poll(1)
        if message is None:
            continue
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            at_end.add(message.partition())
        else:
            found.append(message.value().decode())
    reader.close()
    return sorted(found)


def wait_for(what, check, seconds=30):
    deadline = time.time() + seconds
    while not check():
        assert time.time() < deadline, what
        time.sleep(0.05)


def commits_and_aborts():
    topic, me = fresh("txn"), producer(fresh("id"))
    create(topic)
    expected = []
    for round in range(6):
        me.begin_transaction()
        name = f"round{round}"
        write(me, topic, name)
        assert read(topic, "read_committed") == sorted(expected), "an open transaction was seen"
        if round % 2 == 0:
            me.commit_transaction(30)
            expected += values(name)
        else:
            me.abort_transaction(30)
        # The end is durable when it is answered; its markers follow at once.
        wait_for("committed records", lambda: read(topic, "read_committed") == sorted(expected))
    assert len(read(topic, "read_uncommitted")) == 6 * 30


def one_that_dies_is_aborted():
    topic, id = fresh("txn-dies"), fresh("id")
    create(topic)
    code = "import transactions as t, os; p = t.producer('%s', 1500); p.begin_transaction(); t.write(p, '%s', 'dead'); os._exit(9)"
    ended = subprocess.run([sys.executable, "-c", code % (id, topic)], cwd=os.path.dirname(os.path.abspath(__file__)))
    assert ended.returncode == 9
    after = producer(fresh("id"))
    after.begin_transaction()
    write(after, topic, "after")
    after.commit_transaction(30)
    # The dead one's records come first, so nothing behind them is stable until it has timed out.
    wait_for("the transaction of the dead producer ends", lambda: read(topic, "read_committed") == values("after"))
    assert len(read(topic, "read_uncommitted")) == 60


def zombie_is_fenced():
    topic, id = fresh("txn-zombie"), fresh("id")
    create(topic)
    zombie = producer(id)
    zombie.begin_transaction()
    write(zombie, topic, "zombie")
    owner = producer(id)
    owner.begin_transaction()
    write(owner, topic, "owner")
    try:
        zombie.produce(topic, b"late", partition=0)
        zombie.commit_transaction(30)
        raise AssertionError("the zombie committed")
    except KafkaException as problem:
        assert problem.args[0].fatal(), problem
        assert problem.args[0].code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED), problem
    owner.commit_transaction(30)
    wait_for("the owner's records", lambda: read(topic, "read_committed") == values("owner"))


def offsets_go_with_the_transaction():
    """Copies a topic in transactions, some of which are aborted: the group's offsets move with the committed ones only."""
    source, target, group = fresh("txn-source"), fresh("txn-target"), fresh("group")
    create(source)
    create(target)
    filler = producer(fresh("id"))
    filler.begin_transaction()
    write(filler, source, "in", 90)
    filler.commit_transaction(30)
    me = producer(fresh("id"))
    aborts = 2
    while copy_once(me, source, target, group, abort=aborts > 0):
        aborts -= 1
    wait_for("the copy", lambda: read(target, "read_committed") == values("in", 90))
    assert len(read(target, "read_uncommitted")) > 90, "nothing was aborted"


def copy_once(me, source, target, group, abort):
    """One transaction of up to 25 records. False: the group has read everything."""
    reader = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": group, "enable.auto.commit": False,
                       "enable.partition.eof": True, "auto.offset.reset": "earliest",
                       "isolation.level": "read_committed"})
    reader.subscribe([source])
    records, at_end, deadline = [], set(), time.time() + 30
    while len(records) < 25 and len(at_end) < PARTITIONS:
        assert time.time() < deadline, "the reader of the source waits for nothing"
        message = reader.poll(1)
        if message is None:
            continue
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            at_end.add(message.partition())
        else:
            records.append(message)
    if records:
        me.begin_transaction()
        for record in records:
            me.produce(target, record.value(), partition=record.partition())
        me.send_offsets_to_transaction(reader.position(reader.assignment()), reader.consumer_group_metadata(), 30)
        if abort:
            me.abort_transaction(30)
        else:
            me.commit_transaction(30)
    reader.close()
    return bool(records)


if __name__ == "__main__":
    for test in (commits_and_aborts, one_that_dies_is_aborted, zombie_is_fenced, offsets_go_with_the_transaction):
        if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:]:
            continue
        started = time.time()
        test()
        print(f"{test.__name__}: ok, {time.time() - started:.1f} s", flush=True)

"""confluent-kafka in groups: members that come, go and die, static and cooperative ones, commits, administration.

With STAGE=before and STAGE=after it is run around a restart of the broker: what was committed before is where it goes on.
"""

import os
import signal
import subprocess
import sys
import time
import uuid

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP = os.environ["BOOTSTRAP"]
ADMIN = AdminClient({"bootstrap.servers": BOOTSTRAP})
PATIENCE = 60


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def create(topic, partitions, count=0):
    for future in ADMIN.create_topics([NewTopic(topic, partitions, 1)]).values():
        future.result(20)
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    for n in range(count):
        producer.produce(topic, f"value {n}", partition=n % partitions)
    assert producer.flush(30) == 0


def member(group, topic, **options):
    settings = {"bootstrap.servers": BOOTSTRAP, "group.id": group, "auto.offset.reset": "earliest",
                "enable.auto.commit": False, "session.timeout.ms": 6000, "heartbeat.interval.ms": 500,
                **{name.replace("_", "."): value for name, value in options.items()}}
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    return consumer


def settle(members, sizes, what):
    """Polls all members until they have so many partitions each, no partition twice. Returns what they read."""
    read, deadline = [], time.time() + PATIENCE
    while True:
        for one in members:
            message = one.poll(0.1)
            if message is not None and not message.error():
                read.append((message.partition(), message.offset(), message.value()))
        owned = [[p.partition for p in one.assignment()] for one in members]
        flat = sum(owned, [])
        if sorted(map(len, owned)) == sorted(sizes) and len(set(flat)) == len(flat) == sum(sizes):
            return read
        assert time.time() < deadline, f"{what}: {owned}"


def come_go_and_die():
    group, topic = fresh("group"), fresh("topic")
    create(topic, 4)
    first = member(group, topic)
    settle([first], [4], "one member")
    second = member(group, topic)
    settle([first, second], [2, 2], "two members")
    second.close()
    settle([first], [4], "one has left")
    child = subprocess.Popen([sys.executable, __file__, "member", group, topic], stdout=subprocess.PIPE)
    settle([first], [2], "a process has joined")
    child.send_signal(signal.SIGKILL)
    child.wait()
    settle([first], [4], "the process has died")
    first.close()


def be_a_member(group, topic):
    consumer = member(group, topic)
    while True:
        consumer.poll(1)


def cooperative():
    group, topic = fresh("group"), fresh("topic")
    create(topic, 6)
    options = {"partition_assignment_strategy": "cooperative-sticky"}
    members = [member(group, topic, **options)]
    settle(members, [6], "one cooperative member")
    members.append(member(group, topic, **options))
    settle(members, [3, 3], "two cooperative members")
    members.append(member(group, topic, **options))
    settle(members, [2, 2, 2], "three cooperative members")
    members.pop().close()
    settle(members, [3, 3], "a cooperative member has left")
    for one in members:
        one.close()


def static():
    group, topic = fresh("group"), fresh("topic")
    create(topic, 4)
    options = {"session_timeout_ms": 60000}
    first = member(group, topic, group_instance_id="one", **options)
    settle([first], [4], "the first static member")
    second = member(group, topic, group_instance_id="two", **options)
    settle([first, second], [2, 2], "two static members")
    before = {id for one in described(group).members for id in [one.group_instance_id]}
    assert before == {"one", "two"}, before
    generation_of = lambda: sorted(p.partition for p in first.assignment())
    kept = generation_of()
    second.close()
    again = member(group, topic, group_instance_id="two", **options)
    settle([first, again], [2, 2], "a static member is back")
    assert generation_of() == kept, "the others keep what they have"
    first.close()
    again.close()


def ten_members():
    """Members of this process and of others join, leave, are killed, stand still and pause: whoever is there has everything."""
    group, topic = fresh("group"), fresh("topic")
    create(topic, 20, 200)
    members = [member(group, topic) for _ in range(7)]
    children = [subprocess.Popen([sys.executable, __file__, "member", group, topic]) for _ in range(3)]
    try:
        with_children(members, children, group, topic)
    finally:
        for child in children:
            child.kill()
            child.wait()
    share(members, group, 6, 20, "all others were killed")
    for one in members:
        one.close()


def with_children(members, children, group, topic):
    share(members, group, 10, 20, "ten have joined")
    children[0].kill()
    children[0].wait()
    share(members, group, 9, 20, "one was killed")
    children[1].send_signal(signal.SIGSTOP)
    share(members, group, 8, 20, "one stands still")
    children[1].send_signal(signal.SIGCONT)
    share(members, group, 9, 20, "it goes on")
    members.pop().close()
    share(members, group, 8, 20, "one has left")
    deadline = time.time() + PATIENCE
    while not pause(members[0], topic):
        assert time.time() < deadline, "the group never keeps still"
        share(members, group, 8, 20, "it is stable again")


def share(members, group, count, partitions, what):
    """Polls the members until the group is stable, of so many, and every partition is somebody's alone."""
    deadline = time.time() + PATIENCE
    while True:
        for one in members:
            one.poll(0.02)
        seen = described(group)
        owned = [p.partition for one in seen.members for p in one.assignment.topic_partitions]
        if seen.state.name == "STABLE" and len(seen.members) == count and sorted(owned) == list(range(partitions)):
            return
        assert time.time() < deadline, f"{what}: {seen.state}, {len(seen.members)} members, {sorted(owned)}"


def pause(consumer, topic):
    """A member that pauses its partitions stays a member and is given nothing, until it resumes. False: on a slow machine another
    member was late, and the group has rebalanced meanwhile, which ends the pause."""
    mine = consumer.assignment()
    consumer.pause(mine)
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    for partition in mine:
        producer.produce(topic, b"late", partition=partition.partition)
    assert producer.flush(30) == 0
    until = time.time() + 2
    while time.time() < until:
        message = consumer.poll(0.1)
        if consumer.assignment() != mine:
            return False
        assert message is None or message.value() != b"late", "a paused partition was read"
    consumer.resume(mine)
    deadline = time.time() + PATIENCE
    late = 0
    while late < len(mine):
        assert time.time() < deadline, f"{late} of {len(mine)} after the pause"
        message = consumer.poll(0.1)
        late += message is not None and message.value() == b"late"
    return True


def described(group):
    return ADMIN.describe_consumer_groups([group])[group].result(20)


def drain(consumer, count):
    values, deadline = [], time.time() + PATIENCE
    while len(values) < count:
        assert time.time() < deadline, f"{len(values)} of {count}"
        message = consumer.poll(0.5)
        if message is not None and not message.error():
            values.append(message.value())
    return values


def commit_and_resume():
    group, topic = fresh("group"), fresh("topic")
    create(topic, 1, 100)
    consumer = member(group, topic)
    drain(consumer, 40)
    consumer.commit(offsets=[TopicPartition(topic, 0, 40, metadata="forty")], asynchronous=False)
    committed = consumer.committed([TopicPartition(topic, 0)], 20)[0]
    assert (committed.offset, committed.metadata) == (40, "forty"), committed
    consumer.close()
    consumer = member(group, topic)
    assert drain(consumer, 60)[0] == b"value 40"
    consumer.close()


def administer():
    group, topic = fresh("group"), fresh("topic")
    create(topic, 2, 10)
    consumer = member(group, topic)
    settle([consumer], [2], "a member")
    consumer.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)
    listed = ADMIN.list_consumer_groups().result()
    assert group in [one.group_id for one in listed.valid] and not listed.errors, listed.errors
    one = described(group)
    assert one.state.name == "STABLE" and len(one.members) == 1, one.state
    assert len(one.members[0].assignment.topic_partitions) == 2
    try:
        ADMIN.delete_consumer_groups([group])[group].result(20)
        raise AssertionError("a group with a member was deleted")
    except KafkaException as problem:
        assert problem.args[0].name() == "NON_EMPTY_GROUP", problem
    consumer.close()
    asked = [ConsumerGroupTopicPartitions(group)]
    offsets = ADMIN.list_consumer_group_offsets(asked)[group].result(20).topic_partitions
    assert [(p.partition, p.offset) for p in offsets if p.offset >= 0] == [(0, 3)], offsets
    moved = [ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 5), TopicPartition(topic, 1, 1)])]
    ADMIN.alter_consumer_group_offsets(moved)[group].result(20)
    offsets = ADMIN.list_consumer_group_offsets(asked)[group].result(20).topic_partitions
    assert sorted((p.partition, p.offset) for p in offsets) == [(0, 5), (1, 1)], offsets
    ADMIN.delete_consumer_groups([group])[group].result(20)
    assert group not in [one.group_id for one in ADMIN.list_consumer_groups().result().valid]


def before_the_restart():
    create("restart", 1, 100)
    consumer = member("survivors", "restart")
    drain(consumer, 30)
    consumer.commit(offsets=[TopicPartition("restart", 0, 30)], asynchronous=False)
    os._exit(0)


def after_the_restart():
    """Its predecessor was killed too: the group gets over it within the session timeout."""
    consumer = member("survivors", "restart")
    values = drain(consumer, 70)
    assert (values[0], values[-1]) == (b"value 30", b"value 99"), (values[0], values[-1])
    consumer.close()


def main():
    if sys.argv[1:2] == ["member"]:
        be_a_member(*sys.argv[2:])
    stage = os.environ.get("STAGE")
    if stage:
        return {"before": before_the_restart, "after": after_the_restart}[stage]()
    for part in (come_go_and_die, cooperative, static, ten_members, commit_and_resume, administer):
        part()
        print("ok", part.__name__)


if __name__ == "__main__":
    sys.exit(main())

"""confluent-kafka in groups of the newer protocol (KIP-848): members that come, go and die, static ones, expressions, commits
that are resumed, and a group that changes its protocol while it runs.

With STAGE=before and STAGE=after it is run around a restart of the broker.
"""

import os
import signal
import subprocess
import sys
import time

import groups_confluent as classic
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import NewPartitions
from groups_confluent import ADMIN, BOOTSTRAP, create, drain, fresh, settle


def member(group, topic, **options):
    settings = {"bootstrap.servers": BOOTSTRAP, "group.id": group, "auto.offset.reset": "earliest",
                "enable.auto.commit": False, "group.protocol": "consumer",
                "topic.metadata.refresh.interval.ms": 1000,
                **{name.replace("_", "."): value for name, value in options.items()}}
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    return consumer


def come_go_and_die():
    group, topic = fresh("group"), fresh("topic")
    create(topic, 4)
    first = member(group, topic)
    settle([first], [4], "one member")
    second = member(group, topic)
    settle([first, second], [2, 2], "two members")
    third = member(group, topic)
    settle([first, second, third], [2, 1, 1], "three members")
    third.close()
    second.close()
    settle([first], [4], "two have left")
    child = subprocess.Popen([sys.executable, __file__, "member", group, topic], stdout=subprocess.PIPE)
    settle([first], [2], "a process has joined")
    child.send_signal(signal.SIGKILL)
    child.wait()
    settle([first], [4], "the process has died")
    ADMIN.create_partitions([NewPartitions(topic, 6)])[topic].result(20)
    settle([first], [6], "the topic has more partitions")
    first.close()


def be_a_member(group, topic):
    consumer = member(group, topic)
    while True:
        consumer.poll(1)


def in_ranges():
    group, topic = fresh("group"), fresh("topic")
    create(topic, 4)
    options = {"group_remote_assignor": "range"}
    members = [member(group, topic, **options) for _ in range(2)]
    settle(members, [2, 2], "two members with ranges")
    owned = sorted(sorted(p.partition for p in one.assignment()) for one in members)
    assert owned == [[0, 1], [2, 3]], owned
    for one in members:
        one.close()


def static():
    group, topic = fresh("group"), fresh("topic")
    create(topic, 4)
    first = member(group, topic, group_instance_id="one")
    second = member(group, topic, group_instance_id="two")
    settle([first, second], [2, 2], "two static members")
    kept = sorted(p.partition for p in first.assignment())
    second.close()
    again = member(group, topic, group_instance_id="two")
    settle([first, again], [2, 2], "a static member is back")
    assert sorted(p.partition for p in first.assignment()) == kept, "the other keeps what it has"
    first.close()
    again.close()


def expressions():
    group, prefix = fresh("group"), fresh("expression")
    create(f"{prefix}-a", 2)
    consumer = member(group, f"^{prefix}-.*")
    settle([consumer], [2], "an expression")
    create(f"{prefix}-b", 3)
    create(fresh("other"), 1)
    settle_topics(consumer, {f"{prefix}-a": 2, f"{prefix}-b": 3})
    consumer.close()


def settle_topics(consumer, sizes):
    deadline = time.time() + classic.PATIENCE
    while True:
        consumer.poll(0.1)
        owned = {}
        for one in consumer.assignment():
            owned[one.topic] = owned.get(one.topic, 0) + 1
        if owned == sizes:
            return
        assert time.time() < deadline, owned


def commit_and_resume():
    group, topic = fresh("group"), fresh("topic")
    create(topic, 1, 100)
    consumer = member(group, topic)
    drain(consumer, 40)
    consumer.commit(offsets=[TopicPartition(topic, 0, 40)], asynchronous=False)
    assert consumer.committed([TopicPartition(topic, 0)], 20)[0].offset == 40
    consumer.close()
    consumer = member(group, topic)
    assert drain(consumer, 60)[0] == b"value 40"
    listed = {one.group_id: one.type.name for one in ADMIN.list_consumer_groups().result().valid}
    assert listed[group] == "CONSUMER", listed
    consumer.close()
    ADMIN.delete_consumer_groups([group])[group].result(20)


def change_the_protocol():
    group, topic = fresh("group"), fresh("topic")
    create(topic, 4)
    old = classic.member(group, topic)
    settle([old], [4], "a classic member")
    new = member(group, topic)
    settle([old, new], [2, 2], "a member of the newer protocol has joined")
    second = classic.member(group, topic)
    settle([old, new, second], [2, 1, 1], "and another classic one")
    new.close()
    settle([old, second], [2, 2], "the group is classic again")
    old.close()
    second.close()


def before_the_restart():
    create("next", 2, 100)
    consumer = member("next-survivors", "next")
    drain(consumer, 30)
    settle([consumer], [2], "before the restart")
    consumer.commit(offsets=[TopicPartition("next", 0, 10), TopicPartition("next", 1, 12)], asynchronous=False)
    os._exit(0)


def after_the_restart():
    """Its predecessor was killed too: the group gets over it within the session timeout."""
    consumer = member("next-survivors", "next")
    values = drain(consumer, 78)
    assert b"value 20" in values and b"value 18" not in values, values[:3]
    consumer.close()


def main():
    if sys.argv[1:2] == ["member"]:
        be_a_member(*sys.argv[2:])
    stage = os.environ.get("STAGE")
    if stage:
        return {"before": before_the_restart, "after": after_the_restart}[stage]()
    for part in (come_go_and_die, in_ranges, static, expressions, commit_and_resume, change_the_protocol):
        part()
        print("ok", part.__name__, flush=True)


if __name__ == "__main__":
    sys.exit(main())

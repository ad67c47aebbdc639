"""aiokafka (pure Python, transactions as of Kafka 0.11): commits, aborts, offsets within a transaction."""

import asyncio
import os
import uuid

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

BOOTSTRAP = os.environ["BOOTSTRAP"]
COUNT = 20


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


async def create(topic):
    admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()


async def write(producer, topic, name):
    for n in range(COUNT):
        await producer.send(topic, f"{name} {n}".encode(), partition=0)


def values(name):
    return [f"{name} {n}" for n in range(COUNT)]


async def read_committed(topic, expected):
    """Reads until as many committed records as expected are there, and a moment longer for none too many."""
    consumer = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, isolation_level="read_committed",
                                auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    found = []
    async with asyncio.timeout(30):
        while len(found) < len(expected):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [record.value.decode() for record in records]
    for records in (await consumer.getmany(timeout_ms=300)).values():
        found += [record.value.decode() for record in records]
    await consumer.stop()
    assert found == expected, found


async def main():
    topic, group = fresh("aio"), fresh("group")
    await create(topic)
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id=fresh("id"))
    await producer.start()
    async with producer.transaction():
        await write(producer, topic, "one")
    try:
        async with producer.transaction():
            await write(producer, topic, "two")
            raise InterruptedError
    except InterruptedError:
        pass
    async with producer.transaction():
        await write(producer, topic, "three")
        await producer.send_offsets_to_transaction({TopicPartition(topic, 0): 5}, group)
    await read_committed(topic, values("one") + values("three"))

    reader = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=group, enable_auto_commit=False)
    await reader.start()
    reader.assign([TopicPartition(topic, 0)])
    async with asyncio.timeout(30):
        while await reader.committed(TopicPartition(topic, 0)) != 5:
            await asyncio.sleep(0.05)
    await reader.stop()
    await producer.stop()
    print("ok")


asyncio.run(main())

// kafkajs in groups: two members share a topic, one leaves, commits are where the next one goes on; administration.

const assert = require("assert");
const { randomBytes } = require("crypto");
const { Kafka, logLevel } = require("kafkajs");

const kafka = new Kafka({ brokers: [process.env.BOOTSTRAP], logLevel: logLevel.NOTHING, retry: { retries: 8 } });
const fresh = (prefix) => `${prefix}-${randomBytes(4).toString("hex")}`;
const PATIENCE = 60000;

async function until(what, condition) {
  const deadline = Date.now() + PATIENCE;
  while (!(await condition())) {
    assert(Date.now() < deadline, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function create(admin, partitions, count) {
  const topic = fresh("topic");
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: true });
  const producer = kafka.producer();
  await producer.connect();
  const messages = Array.from({ length: count }, (_, n) => ({ value: `value ${n}`, partition: n % partitions }));
  if (count > 0) await producer.send({ topic, messages });
  await producer.disconnect();
  return topic;
}

async function member(groupId, topic, read) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10000, heartbeatInterval: 500 });
  const self = { consumer, partitions: [] };
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => (self.partitions = payload.memberAssignment[topic] || []));
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({ autoCommit: false, eachMessage: async ({ message }) => read && read(message) });
  return self;
}

async function share(admin) {
  const [group, topic] = [fresh("group"), await create(admin, 4, 0)];
  const first = await member(group, topic);
  await until("one member has all", () => first.partitions.length === 4);
  const second = await member(group, topic);
  await until("two members share", () => first.partitions.length === 2 && second.partitions.length === 2);
  assert.strictEqual(new Set([...first.partitions, ...second.partitions]).size, 4);
  await second.consumer.disconnect();
  await until("one member has all again", () => first.partitions.length === 4);
  const described = await admin.describeGroups([group]);
  assert.strictEqual(described.groups[0].members.length, 1);
  await first.consumer.disconnect();
}

async function commitAndResume(admin) {
  const [group, topic] = [fresh("group"), await create(admin, 1, 50)];
  const values = [];
  const first = await member(group, topic, (message) => values.push(message.value.toString()));
  await until("all is read", () => values.length === 50);
  await first.consumer.commitOffsets([{ topic, partition: 0, offset: "20", metadata: "a note" }]);
  await first.consumer.disconnect();
  const offsets = await admin.fetchOffsets({ groupId: group, topics: [topic] });
  assert.strictEqual(offsets[0].partitions[0].offset, "20");
  const again = [];
  const second = await member(group, topic, (message) => again.push(message.value.toString()));
  await until("the rest is read", () => again.length === 30);
  assert.strictEqual(again[0], "value 20");
  await second.consumer.disconnect();
  assert((await admin.listGroups()).groups.some((one) => one.groupId === group));
  await admin.deleteGroups([group]);
  assert(!(await admin.listGroups()).groups.some((one) => one.groupId === group));
}

async function main() {
  const admin = kafka.admin();
  await admin.connect();
  for (const part of [share, commitAndResume]) {
    await part(admin);
    console.log("ok", part.name);
  }
  await admin.disconnect();
}

main().then(() => process.exit(0), (problem) => {
  console.error(problem);
  process.exit(1);
});

// kafkajs: produce with every acks and codec it has, look at offsets, administer, fail well.
// Its consumer always joins a group, so it does not consume here.

const assert = require("assert");
const { randomBytes } = require("crypto");
const { Kafka, CompressionTypes, logLevel } = require("kafkajs");

const kafka = new Kafka({ brokers: [process.env.BOOTSTRAP], logLevel: logLevel.NOTHING, retry: { retries: 3 } });
const fresh = (prefix) => `${prefix}-${randomBytes(4).toString("hex")}`;

async function produce(admin, acks, compression) {
  const topic = fresh("kafkajs");
  await admin.createTopics({ topics: [{ topic, numPartitions: 2, replicationFactor: 1 }], waitForLeaders: true });
  const producer = kafka.producer({ idempotent: false });
  await producer.connect();
  const messages = Array.from({ length: 100 }, (_, n) => ({ key: `k${n}`, value: `value ${n}`, partition: n % 2 }));
  await producer.send({ topic, acks, compression, messages });
  await producer.disconnect();
  const deadline = Date.now() + 20000;
  let high;
  do {
    high = (await admin.fetchTopicOffsets(topic)).map((entry) => entry.high).sort();
    assert(Date.now() < deadline, `offsets stay at ${high}`);
  } while (high.join() !== "50,50");
}

async function idempotent(admin) {
  const topic = fresh("kafkajs-idempotent");
  await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }], waitForLeaders: true });
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  for (let n = 0; n < 20; n++) await producer.send({ topic, messages: [{ value: `${n}` }] });
  await producer.disconnect();
  assert.deepStrictEqual((await admin.fetchTopicOffsets(topic)).map((entry) => entry.high), ["20"]);
}

async function administer(admin) {
  const topic = fresh("kafkajs-admin");
  const entries = [{ name: "retention.ms", value: "3600000" }];
  const create = () => admin.createTopics({ topics: [{ topic, numPartitions: 3, configEntries: entries }] });
  assert.strictEqual(await create(), true);
  assert.strictEqual(await create(), false, "a topic that exists is not created again");
  const described = await admin.describeConfigs({ resources: [{ type: 2, name: topic, configNames: ["retention.ms"] }] });
  assert.strictEqual(described.resources[0].configEntries[0].configValue, "3600000");
  await admin.deleteTopics({ topics: [topic] });
  assert(!(await admin.listTopics()).includes(topic));
}

async function tooLarge(admin) {
  const topic = fresh("kafkajs-large");
  const configEntries = [{ name: "max.message.bytes", value: "2000" }];
  await admin.createTopics({ topics: [{ topic, configEntries }], waitForLeaders: true });
  const producer = kafka.producer();
  await producer.connect();
  await assert.rejects(
    producer.send({ topic, messages: [{ value: randomBytes(10000) }] }),
    (problem) => /larger than the max|too large/i.test(String(problem)),
  );
  await producer.disconnect();
}

(async () => {
  const admin = kafka.admin();
  await admin.connect();
  for (const acks of [0, 1, -1]) {
    for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
      await produce(admin, acks, compression);
      console.log("ok produce", acks, compression);
    }
  }
  for (const part of [idempotent, administer, tooLarge]) {
    await part(admin);
    console.log("ok", part.name);
  }
  await admin.disconnect();
})().catch((problem) => {
  console.error(problem);
  process.exit(1);
});

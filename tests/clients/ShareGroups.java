// Kafka's own share consumer against a broker: records shared by members, answers of every kind, locks that end, and
// (STAGE=before, then after a kill -9 of the broker STAGE=after) what outlives the broker.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class ShareGroups {
    static final String SERVER = System.getenv("BOOTSTRAP");
    static final Duration POLL = Duration.ofMillis(200);
    static final long PATIENCE_MS = 60_000;

    public static void main(String[] arguments) throws Exception {
        String stage = System.getenv("STAGE");
        if ("before".equals(stage)) {
            before();
        } else if ("after".equals(stage)) {
            after();
        } else {
            membersShareOnePartition();
            answersOfEveryKind();
            locksEnd();
            membersThatLeaveRelease();
        }
        // Consumers that hold records are not to give them back.
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    /** Every record comes to one of two members, once; both have their part. */
    static void membersShareOnePartition() throws Exception {
        String topic = topic("shared", 1000), group = group("shared");
        try (var first = consumer(group, "implicit"); var second = consumer(group, "implicit")) {
            List<KafkaShareConsumer<String, String>> both = List.of(first, second);
            both.forEach(consumer -> consumer.subscribe(List.of(topic)));
            Map<String, Integer> seen = new HashMap<>();
            int[] parts = new int[2];
            long end = System.currentTimeMillis() + PATIENCE_MS;
            // Whoever has nothing yet is asked until it has: one is given a batch at a time, so there are some left.
            for (int turn = 0; seen.size() < 1000 && System.currentTimeMillis() < end; turn++) {
                int at = parts[0] == 0 ? 0 : parts[1] == 0 ? 1 : turn % 2;
                for (ConsumerRecord<String, String> record : both.get(at).poll(POLL)) {
                    seen.merge(record.value(), 1, Integer::sum);
                    parts[at]++;
                }
                both.get(at).commitSync();
            }
            check(seen.size() == 1000, "records: " + seen.size());
            check(seen.values().stream().allMatch(count -> count == 1), "some came twice");
            check(parts[0] > 0 && parts[1] > 0, "parts " + parts[0] + " and " + parts[1]);
        }
        System.out.println("ok members share one partition");
    }

    /** Accepted and rejected records do not come back; released ones do, with a higher count, until the limit. */
    static void answersOfEveryKind() throws Exception {
        String topic = topic("answers", 9), group = group("answers");
        Map<Long, Integer> deliveries = new TreeMap<>();
        try (var consumer = consumer(group, "explicit")) {
            consumer.subscribe(List.of(topic));
            long end = System.currentTimeMillis() + PATIENCE_MS;
            while (sum(deliveries) < 3 + 3 + 3 * limit() && System.currentTimeMillis() < end) {
                for (ConsumerRecord<String, String> record : consumer.poll(POLL)) {
                    int count = deliveries.merge(record.offset(), 1, Integer::sum);
                    check(record.deliveryCount().get() == count, record.offset() + ": " + record.deliveryCount());
                    consumer.acknowledge(record, kind(record.offset()));
                }
                consumer.commitSync();
            }
            for (int quiet = 0; quiet < 10; quiet++) {
                check(consumer.poll(POLL).isEmpty(), "a record came back");
            }
        }
        for (long offset = 0; offset < 9; offset++) {
            int wanted = kind(offset) == AcknowledgeType.RELEASE ? limit() : 1;
            check(deliveries.get(offset) == wanted, offset + " came " + deliveries.get(offset) + " times");
        }
        System.out.println("ok answers of every kind");
    }

    static AcknowledgeType kind(long offset) {
        return switch ((int) (offset % 3)) {
            case 0 -> AcknowledgeType.ACCEPT;
            case 1 -> AcknowledgeType.RELEASE;
            default -> AcknowledgeType.REJECT;
        };
    }

    /** What a member holds without a word goes to another one when its lock is over. */
    static void locksEnd() throws Exception {
        String topic = topic("locks", 20), group = group("locks");
        var silent = consumer(group, "explicit");
        silent.subscribe(List.of(topic));
        check(some(silent).size() == 20, "not all records");
        try (var other = consumer(group, "explicit")) {
            other.subscribe(List.of(topic));
            List<ConsumerRecord<String, String>> records = some(other);
            check(records.size() == 20, "not all records after the lock: " + records.size());
            check(records.stream().allMatch(record -> record.deliveryCount().get() == 2), "not the second delivery");
            records.forEach(record -> other.acknowledge(record, AcknowledgeType.ACCEPT));
            other.commitSync();
        }
        System.out.println("ok locks end");
    }

    /** A member that closes gives back at once what it holds. */
    static void membersThatLeaveRelease() throws Exception {
        String topic = topic("leaving", 10), group = group("leaving");
        try (var leaving = consumer(group, "explicit")) {
            leaving.subscribe(List.of(topic));
            check(some(leaving).size() == 10, "not all records");
        }
        try (var next = consumer(group, "implicit")) {
            next.subscribe(List.of(topic));
            check(some(next).size() == 10, "not all records after the close");
        }
        System.out.println("ok members that leave release");
    }

    /** Accepts the even offsets, and holds the others while the broker is killed. */
    static void before() throws Exception {
        String topic = topic("outlive", 100), group = group("outlive");
        var consumer = consumer(group, "explicit");
        consumer.subscribe(List.of(topic));
        List<ConsumerRecord<String, String>> records = some(consumer);
        check(records.size() == 100, "not all records: " + records.size());
        // The others are given back, and taken again: held when the broker dies.
        for (ConsumerRecord<String, String> record : records) {
            consumer.acknowledge(record, record.offset() % 2 == 0 ? AcknowledgeType.ACCEPT : AcknowledgeType.RELEASE);
        }
        consumer.commitSync().forEach((partition, error) -> check(error.isEmpty(), partition + ": " + error));
        check(some(consumer).size() == 50, "the odd ones did not come back");
        System.out.println("ok before");
    }

    /** Only what was not accepted comes, and it does come. */
    static void after() throws Exception {
        try (var consumer = consumer(group("outlive"), "implicit")) {
            consumer.subscribe(List.of("outlive"));
            TreeSet<Long> offsets = new TreeSet<>();
            some(consumer).forEach(record -> offsets.add(record.offset()));
            for (int quiet = 0; quiet < 10; quiet++) {
                consumer.poll(POLL).forEach(record -> offsets.add(record.offset()));
            }
            check(offsets.size() == 50, "records: " + offsets);
            check(offsets.stream().allMatch(offset -> offset % 2 == 1), "accepted records came again: " + offsets);
        }
        System.out.println("ok after");
    }

    /** The records of the first poll that brings any, and of those that follow at once. */
    static List<ConsumerRecord<String, String>> some(KafkaShareConsumer<String, String> consumer) {
        List<ConsumerRecord<String, String>> all = new ArrayList<>();
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (all.isEmpty() && System.currentTimeMillis() < end) {
            ConsumerRecords<String, String> records = consumer.poll(POLL);
            records.forEach(all::add);
        }
        return all;
    }

    static int limit() {
        return Integer.parseInt(System.getenv("DELIVERIES"));
    }

    static int sum(Map<Long, Integer> counts) {
        return counts.values().stream().mapToInt(Integer::intValue).sum();
    }

    static KafkaShareConsumer<String, String> consumer(String group, String mode) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", SERVER);
        properties.put("group.id", group);
        properties.put("share.acknowledgement.mode", mode);
        properties.put("max.poll.records", "100");
        return new KafkaShareConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
    }

    /** The group begins at the start of its topics. */
    static String group(String name) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", SERVER))) {
            ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, name);
            ConfigEntry entry = new ConfigEntry("share.auto.offset.reset", "earliest");
            Collection<AlterConfigOp> ops = List.of(new AlterConfigOp(entry, AlterConfigOp.OpType.SET));
            admin.incrementalAlterConfigs(Map.of(resource, ops)).all().get();
        }
        return name;
    }

    /** A topic of one partition with so many records, in batches of at most a hundred. */
    static String topic(String name, int count) throws Exception {
        Map<String, Object> properties = Map.of("bootstrap.servers", SERVER);
        try (Admin admin = Admin.create(properties)) {
            admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all().get();
        }
        try (var producer = new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
            for (int at = 0; at < count; at++) {
                producer.send(new ProducerRecord<>(name, "record " + at));
                if (at % 100 == 99) {
                    producer.flush();
                }
            }
        }
        return name;
    }

    static void check(boolean holds, String otherwise) {
        if (!holds) {
            System.err.println("FAILED: " + otherwise);
            Runtime.getRuntime().halt(1);
        }
    }
}

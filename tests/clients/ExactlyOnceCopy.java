// Kafka's own client (transactions v2): copies a topic exactly once, whatever happens to the broker meanwhile.
//
//   java -cp 'libs/*' ExactlyOnceCopy.java fill BOOTSTRAP TOPIC COUNT       writes 0 … COUNT-1 in transactions
//   java -cp 'libs/*' ExactlyOnceCopy.java copy BOOTSTRAP SOURCE TARGET     until the group has read all of SOURCE
//   java -cp 'libs/*' ExactlyOnceCopy.java verify BOOTSTRAP TARGET COUNT    every number is committed once

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class ExactlyOnceCopy {
    static final Duration POLL = Duration.ofMillis(200);
    static String bootstrap;

    public static void main(String[] args) {
        bootstrap = args[1];
        try {
            switch (args[0]) {
                case "fill" -> fill(args[2], Integer.parseInt(args[3]));
                case "copy" -> copy(args[2], args[3]);
                case "verify" -> verify(args[2], Integer.parseInt(args[3]));
                default -> throw new IllegalArgumentException(args[0]);
            }
        } catch (RuntimeException problem) {
            // The launcher of source files cannot print what was thrown on another thread.
            System.err.println(args[0] + " failed");
            problem.printStackTrace();
            System.exit(1);
        }
    }

    static Properties common() {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("reconnect.backoff.max.ms", "200");
        return properties;
    }

    static KafkaProducer<String, String> producer(String id) {
        while (true) {
            Properties properties = common();
            properties.put("transactional.id", id);
            properties.put("transaction.timeout.ms", "20000");
            KafkaProducer<String, String> producer =
                new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
            try {
                producer.initTransactions();
                return producer;
            } catch (KafkaException problem) {
                System.err.println("init: " + problem);
                producer.close(Duration.ZERO);
            }
        }
    }

    static KafkaConsumer<String, String> consumer(String group) {
        Properties properties = common();
        properties.put("group.id", group);
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "earliest");
        properties.put("isolation.level", "read_committed");
        properties.put("max.poll.records", "50");
        return new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
    }

    static void fill(String topic, int count) {
        try (KafkaProducer<String, String> producer = producer("filler")) {
            for (int from = 0; from < count; from += 100) {
                producer.beginTransaction();
                for (int n = from; n < Math.min(count, from + 100); n++) {
                    producer.send(new ProducerRecord<>(topic, "k" + n % 7, Integer.toString(n)));
                }
                producer.commitTransaction();
            }
        }
    }

    /** One transaction after the other; whatever fails is aborted and read again from what is committed. */
    static void copy(String source, String target) {
        KafkaProducer<String, String> producer = producer("copier");
        KafkaConsumer<String, String> consumer = consumer("copiers");
        consumer.subscribe(List.of(source));
        int transactions = 0;
        int failures = 0;
        while (!isDone(consumer)) {
            ConsumerRecords<String, String> records = consumer.poll(POLL);
            if (records.isEmpty()) {
                continue;
            }
            try {
                transact(producer, consumer, records, target);
                transactions++;
            } catch (KafkaException problem) {
                System.err.println("transaction: " + problem);
                failures++;
                producer = abort(producer);
                rewind(consumer);
            }
        }
        producer.close();
        consumer.close();
        System.out.println(transactions + " transactions, " + failures + " failures");
    }

    static void transact(KafkaProducer<String, String> producer, KafkaConsumer<String, String> consumer,
                         ConsumerRecords<String, String> records, String target) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        producer.beginTransaction();
        for (ConsumerRecord<String, String> record : records) {
            producer.send(new ProducerRecord<>(target, record.key(), record.value()));
            offsets.put(new TopicPartition(record.topic(), record.partition()),
                new OffsetAndMetadata(record.offset() + 1));
        }
        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
        producer.commitTransaction();
    }

    static KafkaProducer<String, String> abort(KafkaProducer<String, String> producer) {
        try {
            producer.abortTransaction();
            return producer;
        } catch (KafkaException problem) {
            System.err.println("abort: " + problem);
            producer.close(Duration.ZERO);
            return producer("copier");
        }
    }

    /** The transaction may have been committed although it failed here: only the group's offsets know. */
    static void rewind(KafkaConsumer<String, String> consumer) {
        while (true) {
            try {
                Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(consumer.assignment());
                for (TopicPartition partition : consumer.assignment()) {
                    OffsetAndMetadata offset = committed.get(partition);
                    consumer.seek(partition, offset == null ? 0 : offset.offset());
                }
                return;
            } catch (KafkaException problem) {
                System.err.println("rewind: " + problem);
            }
        }
    }

    static boolean isDone(KafkaConsumer<String, String> consumer) {
        try {
            if (consumer.assignment().isEmpty()) {
                consumer.poll(POLL);
                rewind(consumer);
                return false;
            }
            Map<TopicPartition, Long> ends = consumer.endOffsets(consumer.assignment());
            return ends.entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
        } catch (KafkaException problem) {
            System.err.println("position: " + problem);
            return false;
        }
    }

    static void verify(String target, int count) {
        Map<Integer, Integer> found = new TreeMap<>();
        try (KafkaConsumer<String, String> consumer = consumer("verifiers-" + System.nanoTime())) {
            List<TopicPartition> partitions = consumer.partitionsFor(target).stream()
                .map(info -> new TopicPartition(target, info.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long deadline = System.currentTimeMillis() + 60_000;
            while (!isDone(consumer)) {
                if (System.currentTimeMillis() > deadline) {
                    throw new IllegalStateException("no end of " + target + " after " + found.size());
                }
                for (ConsumerRecord<String, String> record : consumer.poll(POLL)) {
                    found.merge(Integer.parseInt(record.value()), 1, Integer::sum);
                }
            }
        }
        List<Integer> twice = found.entrySet().stream().filter(one -> one.getValue() > 1).map(Map.Entry::getKey).toList();
        if (!twice.isEmpty() || found.size() != count) {
            throw new IllegalStateException(found.size() + " of " + count + ", twice: " + twice);
        }
        System.out.println(count + " records, each once");
    }
}

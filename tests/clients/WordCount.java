// Kafka Streams with exactly_once_v2: counts words, each once, whatever happens to the broker and to the application.
//
//   java -cp 'libs/*' WordCount.java fill BOOTSTRAP TOPIC COUNT       COUNT lines of three words
//   java -cp 'libs/*' WordCount.java count BOOTSTRAP SOURCE TARGET    each word's count goes to TARGET when it changes; until SIGTERM
//   java -cp 'libs/*' WordCount.java await BOOTSTRAP TARGET COUNT     until the words of COUNT lines are counted
//   java -cp 'libs/*' WordCount.java verify BOOTSTRAP TARGET COUNT    every word's counts are 1, 2, 3 and so on, each once

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

public class WordCount {
    static final int WORDS = 17;
    static final int WORDS_PER_LINE = 3;
    static final long PATIENCE_MS = 180_000;
    static String bootstrap;

    public static void main(String[] args) throws InterruptedException {
        bootstrap = args[1];
        switch (args[0]) {
            case "fill" -> fill(args[2], Integer.parseInt(args[3]));
            case "count" -> count(args[2], args[3]);
            case "await" -> read(args[2], Integer.parseInt(args[3]));
            case "verify" -> verify(args[2], Integer.parseInt(args[3]));
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    static String word(int line, int at) {
        return "word" + (line * 7 + at * 5) % WORDS;
    }

    static Properties common() {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("reconnect.backoff.max.ms", "200");
        return properties;
    }

    static void fill(String topic, int count) {
        try (KafkaProducer<String, String> producer =
                 new KafkaProducer<>(common(), new StringSerializer(), new StringSerializer())) {
            for (int n = 0; n < count; n++) {
                int line = n;
                List<String> words = IntStream.range(0, WORDS_PER_LINE).mapToObj(at -> word(line, at)).toList();
                producer.send(new ProducerRecord<>(topic, "line" + n, String.join(" ", words)));
            }
        }
    }

    static void count(String source, String target) throws InterruptedException {
        Properties properties = common();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, "word-count");
        properties.put(StreamsConfig.STATE_DIR_CONFIG, System.getProperty("state.dir"));
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        // Every change is to be seen in the target.
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), "6000");
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG), "500");
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), "100");
        KafkaStreams streams = new KafkaStreams(topology(source, target), properties);
        streams.setUncaughtExceptionHandler(problem -> {
            System.err.println("thread ends: " + problem);
            return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(Duration.ofSeconds(30));
            closed.countDown();
        }));
        streams.start();
        closed.await();
    }

    static Topology topology(String source, String target) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(source, Consumed.with(Serdes.String(), Serdes.String()))
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
            .count(Materialized.<String, Long>as(Stores.inMemoryKeyValueStore("counts"))
                .withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()))
            .toStream()
            .to(target, Produced.with(Serdes.String(), Serdes.Long()));
        return builder.build();
    }

    /** The committed counts of each word in their order, at least as many as the lines have words. */
    static Map<String, List<Long>> read(String target, int count) {
        Map<String, List<Long>> found = new TreeMap<>();
        Properties properties = common();
        properties.put("isolation.level", "read_committed");
        try (KafkaConsumer<String, Long> consumer =
                 new KafkaConsumer<>(properties, new StringDeserializer(), new LongDeserializer())) {
            List<TopicPartition> partitions = consumer.partitionsFor(target).stream()
                .map(info -> new TopicPartition(target, info.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long deadline = System.currentTimeMillis() + PATIENCE_MS;
            int total = 0;
            while (total < count * WORDS_PER_LINE || !isAtEnd(consumer)) {
                if (System.currentTimeMillis() > deadline) {
                    throw new IllegalStateException(total + " of " + count * WORDS_PER_LINE + " words are counted");
                }
                for (ConsumerRecord<String, Long> record : consumer.poll(Duration.ofMillis(200))) {
                    found.computeIfAbsent(record.key(), word -> new ArrayList<>()).add(record.value());
                    total++;
                }
            }
        }
        return found;
    }

    static boolean isAtEnd(KafkaConsumer<String, Long> consumer) {
        return consumer.endOffsets(consumer.assignment()).entrySet().stream()
            .allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
    }

    static void verify(String target, int count) {
        Map<String, Integer> expected = new TreeMap<>();
        for (int n = 0; n < count; n++) {
            for (int at = 0; at < WORDS_PER_LINE; at++) {
                expected.merge(word(n, at), 1, Integer::sum);
            }
        }
        Map<String, List<Long>> found = read(target, count);
        if (!found.keySet().equals(expected.keySet())) {
            throw new IllegalStateException("other words: " + found.keySet());
        }
        found.forEach((word, counts) -> {
            for (int at = 0; at < counts.size(); at++) {
                if (counts.get(at) != at + 1) {
                    throw new IllegalStateException(word + ": count " + counts.get(at) + " in place " + (at + 1));
                }
            }
            if (counts.size() != expected.get(word)) {
                throw new IllegalStateException(word + " is counted up to " + counts.size() + " instead of " + expected.get(word));
            }
        });
        System.out.println(count + " lines, every word counted once");
    }
}

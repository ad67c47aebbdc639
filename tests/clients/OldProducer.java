import java.util.Properties;
import kafka.javaapi.producer.Producer;
import kafka.producer.KeyedMessage;
import kafka.producer.Partitioner;
import kafka.producer.ProducerConfig;
import kafka.utils.VerifiableProperties;

/** A program of Kafka 0.8: sends COUNT keyed messages by the producer of those days. Arguments: BROKERS TOPIC COUNT ACKS CODEC TYPE. */
public class OldProducer {
    /** The key is a number, and says where the message goes. */
    public static class ByNumber implements Partitioner {
        public ByNumber(VerifiableProperties properties) {}

        public int partition(Object key, int partitions) {
            return Integer.parseInt(key.toString()) % partitions;
        }
    }

    public static void main(String[] args) {
        Properties properties = new Properties();
        properties.put("metadata.broker.list", args[0]);
        properties.put("serializer.class", "kafka.serializer.StringEncoder");
        properties.put("partitioner.class", ByNumber.class.getName());
        properties.put("request.required.acks", args[3]);
        properties.put("compression.codec", args[4]);
        properties.put("producer.type", args[5]);
        properties.put("batch.num.messages", "50");
        Producer<String, String> producer = new Producer<>(new ProducerConfig(properties));
        for (int at = 0; at < Integer.parseInt(args[2]); at++) {
            producer.send(new KeyedMessage<>(args[1], Integer.toString(at), args[4] + " " + at));
        }
        producer.close();
    }
}

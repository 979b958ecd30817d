import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Sends the record that a framework is to fail at, and writes down the dead letter that it made of it. README.md says how. */
public class Letters {
  public static void main(String[] arguments) throws Exception {
    String bootstrap = arguments[1], topic = arguments[2];
    switch (arguments[0]) {
      case "send" -> send(bootstrap, topic, arguments.length > 3 ? arguments[3] : "every kind of header");
      case "dump" -> dump(bootstrap, topic, arguments[3], arguments[4], arguments[5]);
      default -> throw new IllegalArgumentException("send BOOTSTRAP TOPIC [plain] | dump BOOTSTRAP TOPIC DEAD_LETTER_TOPIC FAMILY SOURCE");
    }
  }

  /** One record in partition 1, behind two others, so that no part of its place is zero. */
  static void send(String bootstrap, String topic, String headers) throws Exception {
    try (var admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
      // The record's time is a fixed one, so that recordings differ in nothing else: retention would take it at once.
      var kept = new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", "-1"));
      admin.createTopics(List.of(kept)).all().get();
    }
    Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
    try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
      byte[] key = "acme/o-1".getBytes(StandardCharsets.UTF_8);
      byte[] value = "{\"order\": \"o-1\", \"note\": \"caf\u00e9\"} \u0000".getBytes(StandardCharsets.ISO_8859_1);
      for (String word : List.of("good", "good")) {
        producer.send(new ProducerRecord<>(topic, 1, 1767323045000L, key, ("\"" + word + "\"").getBytes(StandardCharsets.UTF_8))).get();
      }
      var record = new ProducerRecord<>(topic, 1, 1767323045678L, key, value);
      record.headers().add("content-type", "application/json".getBytes(StandardCharsets.UTF_8));
      record.headers().add("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".getBytes(StandardCharsets.UTF_8));
      if (!headers.equals("plain")) {
        record.headers().add("bytes", new byte[] {0, (byte) 0xff, 7}).add("null", null).add("empty", new byte[0]);
        record.headers().add("twice", "1".getBytes(StandardCharsets.UTF_8)).add("twice", "2".getBytes(StandardCharsets.UTF_8));
      }
      producer.send(record).get();
    }
  }

  static void dump(String bootstrap, String topic, String deadLetterTopic, String family, String source) throws Exception {
    var original = last(bootstrap, topic);
    var letter = last(bootstrap, deadLetterTopic);
    Map<String, Integer> ours = new HashMap<>();
    original.headers().forEach(header -> ours.merge(pair(header), 1, Integer::sum));
    List<String> remaining = new ArrayList<>();
    for (Header header : letter.headers()) {
      if (ours.getOrDefault(pair(header), 0) > 0) {
        ours.merge(pair(header), -1, Integer::sum);
        remaining.add(pair(header));
      }
    }
    List<String> all = new ArrayList<>();
    letter.headers().forEach(header -> all.add(pair(header)));
    System.out.printf("{%n  \"family\": %s,%n  \"source\": %s,%n", quoted(family), quoted(source));
    System.out.printf("  \"says\": {%n    \"topic\": %s, \"partition\": %d, \"offset\": %d,%n    \"timestamp\": %s, \"group\": null,%n"
        + "    \"error_type\": null, \"message\": null, \"attempts\": null, \"failed_at\": null%n  },%n",
        quoted(topic), original.partition(), original.offset(), quoted(java.time.Instant.ofEpochMilli(original.timestamp()).toString()));
    System.out.printf("  \"timestamp_ms\": %d,%n  \"key\": %s,%n  \"value\": %s,%n", letter.timestamp(), encoded(letter.key()), encoded(letter.value()));
    System.out.printf("  \"headers\": [%n    %s%n  ],%n", String.join(",\n    ", all));
    System.out.printf("  \"remaining\": [%n    %s%n  ]%n}%n", String.join(",\n    ", remaining));
  }

  /** The last record of a topic by its time. */
  static ConsumerRecord<byte[], byte[]> last(String bootstrap, String topic) {
    Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest");
    try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      var partitions = consumer.partitionsFor(topic).stream().map(info -> new TopicPartition(topic, info.partition())).collect(Collectors.toList());
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      long wanted = consumer.endOffsets(partitions).values().stream().mapToLong(Long::longValue).sum(), read = 0;
      ConsumerRecord<byte[], byte[]> last = null;
      while (read < wanted) {
        for (var record : consumer.poll(Duration.ofSeconds(1))) {
          read++;
          if (last == null || record.timestamp() >= last.timestamp()) last = record;
        }
      }
      return last;
    }
  }

  static String pair(Header header) { return "[" + quoted(header.key()) + ", " + encoded(header.value()) + "]"; }

  /** Text as text, other bytes in hexadecimal. */
  static String encoded(byte[] bytes) {
    if (bytes == null) return "null";
    var text = new String(bytes, StandardCharsets.UTF_8);
    boolean isText = Arrays.equals(text.getBytes(StandardCharsets.UTF_8), bytes)
        && text.chars().allMatch(character -> character >= ' ' || character == '\n' || character == '\t');
    return isText ? quoted(text) : "{\"hex\": \"" + HexFormat.of().formatHex(bytes) + "\"}";
  }

  static String quoted(String text) {
    return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n").replace("\t", "\\t") + '"';
  }
}

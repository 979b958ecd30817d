import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Rejects or releases the orders of a topic as a share group, until the broker writes the dead letter. */
public class Recorder {
  public static void main(String[] arguments) throws Exception {
    String bootstrap = arguments[0], topic = arguments[1], copies = arguments[2];
    var answer = AcknowledgeType.valueOf(arguments[3]);
    String group = "payment-" + topic, deadLetterTopic = "dlq." + topic;
    try (var admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
      admin.createTopics(List.of(new NewTopic(deadLetterTopic, 3, (short) 1)
          .configs(Map.of("errors.deadletterqueue.group.enable", "true")))).all().get();
      var settings = Map.of("share.auto.offset.reset", "earliest", "share.delivery.count.limit", "3",
          "errors.deadletterqueue.topic.name", deadLetterTopic, "errors.deadletterqueue.copy.record.enable", copies);
      var set = settings.entrySet().stream()
          .map(entry -> new AlterConfigOp(new ConfigEntry(entry.getKey(), entry.getValue()), AlterConfigOp.OpType.SET)).toList();
      admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, group), set)).all().get();
      Map<String, Object> consuming = Map.of("bootstrap.servers", bootstrap, "group.id", group, "share.acknowledgement.mode", "explicit");
      try (var consumer = new KafkaShareConsumer<>(consuming, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
        consumer.subscribe(List.of(topic));
        long deadline = System.currentTimeMillis() + 30_000;
        while (System.currentTimeMillis() < deadline) {
          for (var record : consumer.poll(Duration.ofMillis(500))) {
            System.err.println("offset " + record.offset() + ", delivery " + record.deliveryCount().orElse((short) 0));
            consumer.acknowledge(record, record.value()[0] == '{' ? answer : AcknowledgeType.ACCEPT);
          }
          consumer.commitSync();
        }
      }
    }
  }
}

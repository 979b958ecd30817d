package peers;

import io.debezium.embedded.Connect;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.RecordChangeEvent;
import io.debezium.engine.format.ChangeEventFormat;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.connect.source.SourceRecord;

/** An outbox relay: Debezium's engine (pgoutput, EventRouter) before an idempotent producer, until SIGTERM. */
public class W4 {
  private final KafkaProducer<String, String> producer;

  private W4(KafkaProducer<String, String> producer) {
    this.producer = producer;
  }

  public static void main(String[] args) {
    var producer = new KafkaProducer<>(
        Map.<String, Object>of(
            "bootstrap.servers", variable("BOOTSTRAP"),
            "acks", "all",
            "compression.type", "lz4",
            "linger.ms", 0,
            "batch.size", 256 * 1024),
        new StringSerializer(),
        new StringSerializer());
    var relay = new W4(producer);
    var engine = DebeziumEngine.create(ChangeEventFormat.of(Connect.class))
        .using(properties())
        .using(new DebeziumEngine.ConnectorCallback() {
          @Override
          public void taskStarted() {
            System.out.println("{\"ready\":true}");
          }
        })
        .using((success, message, error) -> {
          if (!success) {
            System.err.println(message + " " + error);
            System.exit(1);
          }
        })
        .notifying(relay::send)
        .build();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        engine.close();
      } catch (Exception error) {
        error.printStackTrace();
      }
    }));
    Executors.newSingleThreadExecutor().execute(engine);
  }

  private static Properties properties() {
    var database = URI.create(variable("DATABASE_URL"));
    var user = database.getUserInfo().split(":");
    var properties = new Properties();
    properties.putAll(Map.of(
        "name", "outbox",
        "connector.class", "io.debezium.connector.postgresql.PostgresConnector",
        "offset.storage", "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.storage.file.filename", variable("OFFSETS"),
        "offset.flush.interval.ms", "1000",
        "topic.prefix", "peers"));
    properties.putAll(Map.of(
        "database.hostname", database.getHost(),
        "database.port", String.valueOf(database.getPort()),
        "database.user", user[0],
        "database.password", user.length > 1 ? user[1] : "none",
        "database.dbname", database.getPath().substring(1),
        "plugin.name", "pgoutput",
        "slot.name", variable("SLOT"),
        "publication.name", variable("SLOT"),
        "publication.autocreate.mode", "disabled",
        "table.include.list", "public.outbox"));
    properties.putAll(Map.of(
        "snapshot.mode", "no_data",
        "poll.interval.ms", "10",
        "max.batch.size", "2048",
        "max.queue.size", "8192",
        "transforms", "outbox",
        "transforms.outbox.type", "io.debezium.transforms.outbox.EventRouter",
        "transforms.outbox.route.topic.replacement", variable("TOPIC")));
    return properties;
  }

  /** Sends a batch whole, and only then says that it is done. */
  private void send(
      List<RecordChangeEvent<SourceRecord>> records,
      DebeziumEngine.RecordCommitter<RecordChangeEvent<SourceRecord>> committer)
      throws InterruptedException {
    List<Future<RecordMetadata>> acknowledged = new ArrayList<>(records.size());
    for (var change : records) {
      var event = change.record();
      var record = new ProducerRecord<>(event.topic(), (String) event.key(), (String) event.value());
      event.headers().forEach(header -> record.headers().add(header.key(), header.value().toString().getBytes()));
      acknowledged.add(producer.send(record));
    }
    producer.flush();
    try {
      for (var acknowledgement : acknowledged) {
        acknowledgement.get();
      }
    } catch (ExecutionException error) {
      throw new IllegalStateException(error);
    }
    for (var change : records) {
      committer.markProcessed(change);
    }
    committer.markBatchFinished();
  }

  private static String variable(String name) {
    return System.getenv(name);
  }
}

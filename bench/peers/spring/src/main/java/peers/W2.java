package peers;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.UUID;
import org.springframework.boot.ApplicationArguments;
import org.springframework.boot.ApplicationRunner;
import org.springframework.context.annotation.Profile;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.config.KafkaListenerEndpointRegistry;
import org.springframework.stereotype.Component;
import org.springframework.transaction.support.TransactionTemplate;
import tools.jackson.databind.json.JsonMapper;

/** Exactly-once effects: record listener (transaction per record) and batch listener (transaction per batch). */
class W2 {
  record Event(UUID id, String orderId, String type) {
    static Event of(JsonMapper json, String value) {
      var e = json.readTree(value);
      return new Event(UUID.fromString(e.get("event_id").asString()), e.get("payload").get("order_id").asString(), e.get("event").asString());
    }
  }

  abstract static class Base implements ApplicationRunner {
    final Harness.Progress progress = new Harness.Progress();
    final String group = Harness.env("GROUP");
    final JdbcTemplate jdbc;
    final TransactionTemplate tx;
    final JsonMapper json;
    final KafkaListenerEndpointRegistry listeners;
    Base(JdbcTemplate jdbc, TransactionTemplate tx, JsonMapper json, KafkaListenerEndpointRegistry listeners) {
      this.jdbc = jdbc; this.tx = tx; this.json = json; this.listeners = listeners;
    }
    @Override public void run(ApplicationArguments a) throws Exception {
      progress.await();
      listeners.stop(); // commits what was handled
      progress.print();
    }
  }

  @Component
  @Profile("w2-record")
  static class Records extends Base {
    Records(JdbcTemplate j, TransactionTemplate t, JsonMapper m, KafkaListenerEndpointRegistry r) { super(j, t, m, r); }

    @KafkaListener(topics = "${TOPIC}", groupId = "${GROUP}")
    void on(String value) {
      progress.begin();
      var e = Event.of(json, value);
      tx.executeWithoutResult(s -> {
        if (jdbc.update("insert into processed_events(consumer_group, event_id) values (?, ?) on conflict do nothing", group, e.id()) == 1)
          jdbc.update("insert into effects(event_id, order_id, event) values (?, ?, ?)", e.id(), e.orderId(), e.type());
      });
      progress.add(1);
    }
  }

  /** The inbox insert returns the fresh ids (a rewritten JDBC batch cannot tell them); the effects are a rewritten batch. */
  @Component
  @Profile("w2-batch")
  static class Batches extends Base {
    Batches(JdbcTemplate j, TransactionTemplate t, JsonMapper m, KafkaListenerEndpointRegistry r) { super(j, t, m, r); }

    @KafkaListener(topics = "${TOPIC}", groupId = "${GROUP}")
    void on(List<String> values) {
      progress.begin();
      var events = new ArrayList<Event>(values.size());
      for (var v : values) events.add(Event.of(json, v));
      tx.executeWithoutResult(s -> {
        Object[] ids = events.stream().map(Event::id).toArray();
        var fresh = new HashSet<>(jdbc.query(
            "insert into processed_events(consumer_group, event_id) select ?, unnest(?::uuid[]) on conflict do nothing returning event_id",
            ps -> { ps.setString(1, group); ps.setArray(2, ps.getConnection().createArrayOf("uuid", ids)); },
            (rs, i) -> rs.getObject(1, UUID.class)));
        var rows = new ArrayList<Object[]>(events.size());
        for (var e : events) if (fresh.remove(e.id())) rows.add(new Object[] {e.id(), e.orderId(), e.type()});
        jdbc.batchUpdate("insert into effects(event_id, order_id, event) values (?, ?, ?)", rows);
      });
      progress.add(values.size());
    }
  }
}

package compat;

import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.sink.SinkConnector;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;

/** A sink that takes what its converter can read, and so leaves the rest to Connect's own dead letters. */
public class Ledger extends SinkConnector {
  @Override public void start(Map<String, String> settings) {}
  @Override public void stop() {}
  @Override public ConfigDef config() { return new ConfigDef(); }
  @Override public String version() { return "1"; }
  @Override public Class<? extends Task> taskClass() { return Book.class; }
  @Override public List<Map<String, String>> taskConfigs(int tasks) { return Collections.nCopies(1, Map.of()); }

  public static class Book extends SinkTask {
    @Override public void start(Map<String, String> settings) {}
    @Override public void stop() {}
    @Override public String version() { return "1"; }
    @Override public void put(Collection<SinkRecord> records) {}
  }
}

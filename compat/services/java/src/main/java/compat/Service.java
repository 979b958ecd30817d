package compat;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import compat.Contract.Dead;
import compat.Contract.Header;
import compat.Contract.Record;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.StreamSupport;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * A retailer that places orders, and a payment service that takes the money for them: SQLite, and no code of the bus.
 *
 * <pre>
 * Service place N      N orders, each with its event in one transaction; ends when all are sent
 * Service run          handles OrderPlaced and publishes PaymentCaptured, until SIGTERM
 * </pre>
 */
public final class Service {
    private static final String NAMESPACE = setting("NAMESPACE", "blindstrader"), SERVICE = "payment", EVENT = "OrderPlaced";
    private static final String TOPIC = NAMESPACE + ".order.placed", GROUP = NAMESPACE + "-" + SERVICE + "-order-placed";
    private static final List<String> KEY = List.of("/tenant_id", "/payload/order_id");
    private static final long[] WAITS_MS = {500, 2000, 8000};
    private static final int WINDOW = 1000;
    private static final Map<String, Object> KAFKA = Map.of("bootstrap.servers", setting("BOOTSTRAP", "localhost:9092"));
    private static final List<String> TABLES = List.of("""
            CREATE TABLE IF NOT EXISTS outbox (
                id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL, topic TEXT NOT NULL, partition_id INTEGER,
                record_key BLOB, record_value BLOB, headers TEXT NOT NULL)""", """
            CREATE TABLE IF NOT EXISTS processed_events (
                consumer_group TEXT NOT NULL, epoch INTEGER NOT NULL DEFAULT 0, tenant_id TEXT NOT NULL, topic TEXT NOT NULL,
                event_id TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('done', 'dead')), dlq_id TEXT,
                value_sha256 BLOB NOT NULL, partition_id INTEGER NOT NULL, record_offset INTEGER NOT NULL,
                processed_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
                PRIMARY KEY (event_id, tenant_id, topic, consumer_group, epoch)) WITHOUT ROWID""", """
            CREATE TABLE IF NOT EXISTS orders (order_id TEXT PRIMARY KEY, status TEXT NOT NULL) WITHOUT ROWID""", """
            CREATE TABLE IF NOT EXISTS payments (
                event_id TEXT NOT NULL, tenant_id TEXT NOT NULL, order_id TEXT NOT NULL, amount TEXT NOT NULL)""");

    private static String setting(String name, String otherwise) {
        return System.getenv().getOrDefault(name, otherwise);
    }

    private static JsonNode catalogue(String name) throws IOException {
        return Contract.JSON.readTree(Path.of(setting("CATALOGUE", "catalogue"), name).toFile());
    }

    private static Map<String, Object> kafka(Map<String, Object> more) {
        var all = new HashMap<>(KAFKA);
        all.putAll(more);
        return all;
    }

    /** A connection of its own. SQLite has one writer, which each transaction is from its beginning. */
    private static final class Database {
        private final Connection connection;

        Database() throws SQLException {
            connection = DriverManager.getConnection("jdbc:sqlite:" + setting("STORE", "service.db") + "?busy_timeout=10000");
            for (var pragma : List.of("journal_mode = WAL", "synchronous = FULL")) {
                execute("PRAGMA " + pragma);
            }
            for (var table : TABLES) {
                execute(table);
            }
        }

        private PreparedStatement prepare(String sql, Object... values) throws SQLException {
            var statement = connection.prepareStatement(sql);
            for (int at = 0; at < values.length; at++) {
                statement.setObject(at + 1, values[at]);
            }
            return statement;
        }

        /** How many rows were written. */
        int execute(String sql, Object... values) throws SQLException {
            try (var statement = prepare(sql, values)) {
                return statement.execute() ? 0 : statement.getUpdateCount();
            }
        }

        <T> T query(String sql, Reading<T> reading, Object... values) throws SQLException {
            try (var statement = prepare(sql, values); var rows = statement.executeQuery()) {
                return reading.read(rows);
            }
        }

        void transaction(Work work) throws Exception {
            execute("BEGIN IMMEDIATE");
            try {
                work.run();
                execute("COMMIT");
            } catch (Exception error) {
                execute("ROLLBACK");
                throw error;
            }
        }
    }

    private interface Reading<T> {
        T read(ResultSet rows) throws SQLException;
    }

    private interface Work {
        void run() throws Exception;
    }

    private static void addText(ArrayNode pair, byte[] value) {
        try {
            pair.add(value == null ? null : UTF_8.newDecoder().decode(ByteBuffer.wrap(value)).toString());
        } catch (CharacterCodingException error) {
            pair.addObject().put("hex", HexFormat.of().formatHex(value));
        }
    }

    private static byte[] bytes(JsonNode value) {
        return value.isNull() ? null : value.isTextual() ? value.textValue().getBytes(UTF_8) : HexFormat.of().parseHex(value.get("hex").textValue());
    }

    /** A row of the outbox, in the caller's transaction: ids have the order of commits. */
    private static void enqueue(Database db, String eventId, String topic, Integer partition, byte[] key, byte[] value, List<Header> headers)
            throws SQLException {
        var list = Contract.JSON.createArrayNode();
        headers.forEach(header -> addText(list.addArray().add(header.name()), header.value()));
        db.execute("INSERT INTO outbox (event_id, topic, partition_id, record_key, record_value, headers) VALUES (?, ?, ?, ?, ?, ?)",
                eventId, topic, partition, key, value, list.toString());
    }

    private static void publish(Database db, String event, String topic, String service, String tenant, JsonNode payload, String eventId,
            String trace) throws SQLException {
        ObjectNode envelope = Contract.JSON.createObjectNode().put("event_id", eventId).put("event", event).put("version", "1.0")
                .put("occurred_at", Instant.now().toString()).put("service", service).put("tenant_id", tenant);
        envelope.set("payload", payload);
        var key = Contract.orderingKey(envelope, KEY).getBytes(UTF_8);
        enqueue(db, eventId, topic, null, key, envelope.toString().getBytes(UTF_8), Contract.firstHeaders(NAMESPACE, envelope, trace));
    }

    private record Row(long id, String topic, Integer partition, byte[] key, byte[] value, String headers) {}

    /** Sends the rows of the outbox in their order, and removes a row once it is acknowledged. There is one a database. */
    private static final class Relay implements AutoCloseable {
        private final Database db = new Database();
        private final KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(kafka(Map.of("acks", "all", "enable.idempotence", true,
                "delivery.timeout.ms", Integer.MAX_VALUE, "max.request.size", 4_194_304)), new ByteArraySerializer(), new ByteArraySerializer());

        Relay() throws SQLException {}

        /** Sends what waits, but one row of a topic and key at a time: nothing passes a row that failed. How many went. */
        int turn() throws Exception {
            var rows = db.query("SELECT id, topic, partition_id, record_key, record_value, headers FROM outbox ORDER BY id LIMIT 500", found -> {
                var list = new ArrayList<Row>();
                while (found.next()) {
                    list.add(new Row(found.getLong(1), found.getString(2), (Integer) found.getObject(3), found.getBytes(4), found.getBytes(5),
                            found.getString(6)));
                }
                return list;
            });
            Set<List<Object>> lanes = new HashSet<>();
            var sent = new ConcurrentLinkedQueue<Long>();
            for (var row : rows) {
                if (!lanes.add(Arrays.asList(row.topic, row.key == null ? null : ByteBuffer.wrap(row.key)))) {
                    continue;
                }
                var partition = row.partition == null ? null : row.partition % producer.partitionsFor(row.topic).size();
                var record = new ProducerRecord<>(row.topic, partition, row.key, row.value);
                Contract.JSON.readTree(row.headers).forEach(pair -> record.headers().add(pair.get(0).textValue(), bytes(pair.get(1))));
                producer.send(record, (delivered, error) -> {
                    if (error == null) {
                        sent.add(row.id);
                    } else {
                        System.err.println(error);
                    }
                });
            }
            producer.flush();
            if (!sent.isEmpty()) {
                db.transaction(() -> {
                    for (var id : sent) {
                        db.execute("DELETE FROM outbox WHERE id = ?", id);
                    }
                });
            }
            return sent.size();
        }

        void run(CountDownLatch stopping) {
            try {
                while (stopping.getCount() > 0) {
                    if (turn() == 0) {
                        Thread.sleep(50);
                    }
                }
            } catch (Exception error) {
                error.printStackTrace();
                System.exit(1);
            }
        }

        @Override
        public void close() {
            producer.close();
        }
    }

    private record Replay(String id, String of, String group, String eventId) {
        static Replay read(List<Header> headers) {
            var found = List.of("replay.id", "replay.of", "replay.for", "event-bus.event-id").stream()
                    .map(name -> Contract.last(headers, name)).toList();
            return found.contains(null) ? null : new Replay(found.get(0), found.get(1), found.get(2), found.get(3));
        }
    }

    /** A record that is not settled. */
    private static final class Waiting {
        final Record record;
        final Replay replay;
        int attempts;
        String firstFailedAt;
        long dueMs;

        Waiting(ConsumerRecord<byte[], byte[]> read) {
            var headers = StreamSupport.stream(read.headers().spliterator(), false).map(one -> new Header(one.key(), one.value())).toList();
            record = new Record(read.topic(), read.partition(), read.offset(), read.timestamp(), read.key(), read.value(), headers);
            replay = Replay.read(headers);
        }
    }

    private record Lane(int partition, ByteBuffer key) {}

    /** Handles each event once, keys in their order, and what fails again and again becomes a dead letter. */
    private static final class Payment implements ConsumerRebalanceListener {
        private static final String OF_ROW = " WHERE consumer_group = ? AND epoch = 0 AND tenant_id = ? AND topic = ? AND event_id = ?";
        private final Database db = new Database();
        private final Contract.Checker checker = new Contract.Checker(EVENT, "1.0", catalogue("schemas/OrderPlaced/1.0.json"));
        private final Map<Lane, Deque<Waiting>> lanes = new HashMap<>();
        private final Map<Integer, Long> ends = new HashMap<>(), committed = new HashMap<>();
        private final KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(kafka(Map.of("group.id", GROUP, "enable.auto.commit", false,
                "auto.offset.reset", "none", "isolation.level", "read_committed", "allow.auto.create.topics", false,
                "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor")),
                new ByteArrayDeserializer(), new ByteArrayDeserializer());

        Payment() throws SQLException, IOException {}

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            var known = consumer.committed(new HashSet<>(partitions));
            consumer.seekToBeginning(partitions.stream().filter(partition -> known.get(partition) == null).toList());
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            commit();
            onPartitionsLost(partitions);
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            var numbers = partitions.stream().map(TopicPartition::partition).toList();
            ends.keySet().removeAll(numbers);
            committed.keySet().removeAll(numbers);
            lanes.keySet().removeIf(lane -> numbers.contains(lane.partition));
        }

        /** The lowest offset that is not settled, of each partition. */
        private void commit() {
            var lowest = new HashMap<>(ends);
            lanes.forEach((lane, waiting) -> lowest.merge(lane.partition, waiting.peek().record.offset(), Math::min));
            lowest.entrySet().removeIf(one -> Objects.equals(committed.get(one.getKey()), one.getValue()));
            if (!lowest.isEmpty()) {
                var offsets = new HashMap<TopicPartition, OffsetAndMetadata>();
                lowest.forEach((partition, offset) -> offsets.put(new TopicPartition(TOPIC, partition), new OffsetAndMetadata(offset)));
                consumer.commitSync(offsets);
                committed.putAll(lowest);
            }
        }

        void run(CountDownLatch stopping) throws Exception {
            consumer.subscribe(List.of(TOPIC), this);
            while (stopping.getCount() > 0) {
                // While too much waits nothing more is fetched; polling goes on, or the group would think us dead.
                if (lanes.values().stream().mapToInt(Deque::size).sum() >= WINDOW) {
                    consumer.pause(consumer.assignment());
                } else {
                    consumer.resume(consumer.paused());
                }
                var isBusy = lanes.values().stream().anyMatch(waiting -> waiting.peek().dueMs <= System.currentTimeMillis());
                for (var read : consumer.poll(Duration.ofMillis(isBusy ? 0 : 50))) {
                    var lane = new Lane(read.partition(), read.key() == null ? null : ByteBuffer.wrap(read.key()));
                    lanes.computeIfAbsent(lane, ignored -> new ArrayDeque<>()).add(new Waiting(read));
                    ends.put(read.partition(), read.offset() + 1);
                }
                for (var waiting : lanes.values()) {
                    if (waiting.peek().dueMs <= System.currentTimeMillis() && settle(waiting.peek())) {
                        waiting.remove();
                    }
                }
                lanes.values().removeIf(Deque::isEmpty);
                commit();
            }
            consumer.close();
        }

        /** Whether the record is done with: handled, seen before, passed over, or dead. */
        private boolean settle(Waiting waiting) throws Exception {
            Record record = waiting.record;
            Replay replay = waiting.replay;
            if (replay != null && !replay.group.equals(GROUP)) {
                return true;
            }
            String eventId = Contract.positionId(record), tenant = "";
            try {
                var envelope = Contract.open(record);
                tenant = envelope.get("tenant_id").textValue();
                eventId = replay != null ? replay.eventId : envelope.path("event_id").asText(eventId);
                checker.check(envelope);
                waiting.attempts++;
                var id = eventId;
                db.transaction(() -> handle(waiting, id, envelope));
            } catch (SQLException error) {
                // The database is in trouble, and not the event: that is no attempt.
                waiting.attempts--;
                waiting.dueMs = System.currentTimeMillis() + 1000;
                System.err.println(error);
                return false;
            } catch (Dead dead) {
                bury(waiting, dead, dead.reason.equals("id-collision") ? Contract.positionId(record) : eventId, tenant);
            } catch (Exception error) {
                waiting.firstFailedAt = Objects.requireNonNullElseGet(waiting.firstFailedAt, () -> Instant.now().toString());
                if (waiting.attempts <= WAITS_MS.length) {
                    var wait = WAITS_MS[waiting.attempts - 1] * ThreadLocalRandom.current().nextDouble(0.8, 1.2);
                    waiting.dueMs = System.currentTimeMillis() + (long) wait;
                    return false;
                }
                bury(waiting, new Dead("retries-exhausted", error.getClass().getSimpleName(), error.getMessage()), eventId, tenant);
            }
            return true;
        }

        private void handle(Waiting waiting, String eventId, ObjectNode envelope) throws Exception {
            Record record = waiting.record;
            Replay replay = waiting.replay;
            var tenant = envelope.get("tenant_id").textValue();
            var fresh = replay != null && db.execute("UPDATE processed_events SET status = 'done', dlq_id = NULL" + OF_ROW
                    + " AND status = 'dead' AND dlq_id = ?", GROUP, tenant, record.topic(), eventId, replay.of) > 0;
            if (!fresh) {
                fresh = claim(record, eventId, tenant, "done", null);
                if (!fresh && replay == null) {
                    var seen = db.query("SELECT value_sha256 FROM processed_events" + OF_ROW, row -> row.getBytes(1), GROUP, tenant,
                            record.topic(), eventId);
                    if (!Arrays.equals(seen, Contract.sha256(record.value()))) {
                        throw new Dead("id-collision", "IdCollision", "another event with the id " + eventId + " was handled");
                    }
                }
            }
            if (fresh) {
                capture(eventId, tenant, envelope.get("payload"), Contract.last(record.headers(), "traceparent"));
            }
            if (replay != null) {
                tell(replay, fresh ? "processed" : "duplicate");
            }
        }

        /** The handler: takes the money, and says so. */
        private void capture(String eventId, String tenant, JsonNode order, String trace) throws SQLException {
            String orderId = order.get("order_id").textValue(), total = order.get("total").textValue();
            var currency = order.get("currency").textValue();
            if (currency.equals("XTS")) {
                throw new IllegalStateException("the bank does not answer for this currency");
            }
            db.execute("INSERT INTO payments VALUES (?, ?, ?, ?)", eventId, tenant, orderId, total);
            var payload = Contract.JSON.createObjectNode().put("payment_id", "pay-" + eventId).put("order_id", orderId).put("method", "card")
                    .put("captured_at", Instant.now().toString());
            payload.putObject("amount").put("amount", total).put("currency", currency);
            var emitted = Contract.derived(eventId, GROUP, 0);
            publish(db, "PaymentCaptured", NAMESPACE + ".payment.captured", SERVICE, tenant, payload, emitted, trace);
        }

        /** Whether the row is new. */
        private boolean claim(Record record, String eventId, String tenant, String status, String dlqId) throws SQLException {
            return db.execute("INSERT INTO processed_events (consumer_group, tenant_id, topic, event_id, status, dlq_id, value_sha256, "
                    + "partition_id, record_offset) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", GROUP, tenant, record.topic(),
                    eventId, status, dlqId, Contract.sha256(record.value()), record.partition(), record.offset()) > 0;
        }

        /** The dead row and the dead letter in one transaction; the letter only if the row is new, or the replayed one's. */
        private void bury(Waiting waiting, Dead dead, String eventId, String tenant) throws Exception {
            Record record = waiting.record;
            Replay replay = waiting.replay;
            var now = Instant.now().toString();
            var headers = Contract.deadLetter(record, new Contract.Death(GROUP, SERVICE, dead.reason, dead.kind, dead.getMessage(),
                    waiting.attempts, Objects.requireNonNullElse(waiting.firstFailedAt, now), now, eventId));
            var dlqId = Contract.derived(GROUP, record.topic(), record.partition(), record.offset());
            db.transaction(() -> {
                var again = replay != null && db.execute("UPDATE processed_events SET dlq_id = ? WHERE consumer_group = ? AND epoch = 0 "
                        + "AND topic = ? AND event_id = ? AND status = 'dead' AND dlq_id = ?", dlqId, GROUP, record.topic(), eventId, replay.of) > 0;
                if (again || claim(record, eventId, tenant, "dead", dlqId)) {
                    enqueue(db, eventId, record.topic() + ".dlq", record.partition(), record.key(), record.value(), headers);
                }
                if (replay != null) {
                    tell(replay, again ? "dead-again" : "duplicate");
                }
            });
        }

        private void tell(Replay replay, String outcome) throws SQLException {
            var told = Contract.JSON.createObjectNode().put("replay_id", replay.id).put("dlq_id", replay.of).put("group", GROUP)
                    .put("service", SERVICE).put("event_id", replay.eventId).put("outcome", outcome).put("at", Instant.now().toString());
            enqueue(db, replay.eventId, NAMESPACE + ".event-bus.outcomes", null, replay.of.getBytes(UTF_8), told.toString().getBytes(UTF_8),
                    List.of(Header.text("content-type", "application/json")));
        }
    }

    /** Orders of a new retailer each time, placed and then changed once: two events of each key. */
    private static void place(int count) throws Exception {
        var db = new Database();
        var sample = (ObjectNode) catalogue("samples/OrderPlaced/1.0/valid-two-lines.json").get("payload");
        var tenant = "retailer-" + HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextInt());
        for (int number = 0; number < count; number++) {
            var orderId = "o-" + tenant + "-" + number / 2;
            db.transaction(() -> {
                db.execute("INSERT INTO orders VALUES (?, 'placed') ON CONFLICT (order_id) DO UPDATE SET status = 'changed'", orderId);
                var payload = sample.deepCopy().put("order_id", orderId).put("retailer_id", tenant).put("placed_at", Instant.now().toString());
                publish(db, EVENT, TOPIC, "retailer", tenant, payload, Contract.newId(System.currentTimeMillis()), null);
            });
        }
        try (var relay = new Relay()) {
            while (relay.turn() > 0) {
            }
        }
        System.out.println(count + " orders placed");
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("place")) {
            place(Integer.parseInt(args[1]));
            return;
        }
        CountDownLatch stopping = new CountDownLatch(1), stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stopping.countDown();
            try {
                stopped.await();
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
        }));
        try (var relay = new Relay()) {
            var sender = new Thread(() -> relay.run(stopping));
            sender.setDaemon(true);
            sender.start();
            new Payment().run(stopping);
            sender.join();
        } finally {
            stopped.countDown();
        }
    }

    private Service() {}
}

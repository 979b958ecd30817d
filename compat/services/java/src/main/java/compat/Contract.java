package compat;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.networknt.schema.JsonSchema;
import com.networknt.schema.JsonSchemaFactory;
import com.networknt.schema.SchemaValidatorsConfig;
import com.networknt.schema.SpecVersion;
import java.io.IOException;
import java.net.URLEncoder;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** What docs/CONTRACT.md says: ids, keys, headers, what is an event, and what a dead letter looks like. No I/O. */
final class Contract {
    static final UUID BUS = UUID.fromString("b5f2a375-135e-4d6b-a71a-cc7273b12bd8");
    private static final int MAX_RECORD = 1_000_000, MAX_KEY = 1024, MAX_HEADERS = 64, MAX_HEADER_BYTES = 16 * 1024, MAX_NESTING = 64;
    private static final Set<String> REPLAYS = Set.of("replay.id", "replay.of", "replay.for", "replay.chain.seq", "replay.edited-by",
            "event-bus.event-id", "dlq.replays");
    private static final Pattern SLUG = Pattern.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*");
    private static final Pattern TIME = Pattern.compile("\\d{4}-\\d\\d-\\d\\d[Tt ]\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?([Zz]|[+-]\\d\\d:\\d\\d)");
    private static final Pattern VERSION = Pattern.compile("(0|[1-9]\\d*)\\.(0|[1-9]\\d*)");
    private static final Pattern ID = Pattern.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}");
    private static final Pattern CONTROL = Pattern.compile("\\p{Cc}");
    private static final SecureRandom RANDOM = new SecureRandom();
    static final ObjectMapper JSON = new ObjectMapper(JsonFactory.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(MAX_NESTING).build()).build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    record Header(String name, byte[] value) {
        static Header text(String name, Object value) {
            return new Header(name, value.toString().getBytes(UTF_8));
        }
    }

    record Record(String topic, int partition, long offset, long timestampMs, byte[] key, byte[] value, List<Header> headers) {}

    /** The record can't be handled, ever: the reason, the kind of the error, and the error. */
    static final class Dead extends Exception {
        final String reason, kind;

        Dead(String reason, String kind, String message) {
            super(message);
            this.reason = reason;
            this.kind = kind;
        }
    }

    static byte[] hash(String algorithm, byte[]... parts) {
        try {
            var digest = MessageDigest.getInstance(algorithm);
            Arrays.stream(parts).forEach(digest::update);
            return digest.digest();
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    private static String uuid(long high, long low, long version) {
        return new UUID(high & 0xffffffffffff0fffL | version << 12, low & 0x3fffffffffffffffL | 1L << 63).toString();
    }

    static String derived(Object... parts) {
        var name = Arrays.stream(parts).map(Object::toString).collect(Collectors.joining("\n"));
        var space = ByteBuffer.allocate(16).putLong(BUS.getMostSignificantBits()).putLong(BUS.getLeastSignificantBits());
        var sha1 = ByteBuffer.wrap(hash("SHA-1", space.array(), name.getBytes(UTF_8)));
        return uuid(sha1.getLong(), sha1.getLong(), 5);
    }

    static byte[] sha256(byte[] value) {
        return hash("SHA-256", value == null ? new byte[0] : value);
    }

    static String positionId(Record record) {
        var digest = HexFormat.of().formatHex(sha256(record.value));
        return derived(record.topic, record.partition, record.offset, record.timestampMs, digest);
    }

    /** UUIDv7: the time, and the rest at random. */
    static String newId(long nowMs) {
        return uuid(nowMs << 16 | RANDOM.nextInt(1 << 12), RANDOM.nextLong(), 7);
    }

    static String orderingKey(JsonNode envelope, List<String> pointers) {
        return pointers.stream().map(pointer -> {
            var value = envelope.at(pointer);
            var isWhole = value.isNumber() && value.decimalValue().stripTrailingZeros().scale() <= 0
                    && (value.isIntegralNumber() || Math.abs(value.doubleValue()) < 1L << 53);
            if (!value.isTextual() && !isWhole) {
                throw new IllegalArgumentException(pointer + " holds neither a string nor an integer");
            }
            var text = value.isTextual() ? value.textValue() : value.decimalValue().toBigInteger().toString();
            return URLEncoder.encode(text, UTF_8).replace("+", "%20").replace("*", "%2A").replace("%7E", "~");
        }).collect(Collectors.joining("/"));
    }

    static List<Header> firstHeaders(String namespace, JsonNode envelope, String trace) {
        var hex = HexFormat.of();
        byte[] newTrace = new byte[16], span = new byte[8];
        RANDOM.nextBytes(newTrace);
        RANDOM.nextBytes(span);
        var parent = trace == null ? "00-" + hex.formatHex(newTrace) : trace.substring(0, 35);
        return List.of(Header.text("ce_specversion", "1.0"), Header.text("ce_id", envelope.get("event_id").textValue()),
                Header.text("ce_type", envelope.get("event").textValue()),
                Header.text("ce_source", "/" + namespace + "/" + envelope.get("service").textValue()),
                Header.text("ce_time", envelope.get("occurred_at").textValue()),
                Header.text("ce_tenantid", envelope.get("tenant_id").textValue()),
                Header.text("content-type", "application/json"), Header.text("traceparent", parent + "-" + hex.formatHex(span) + "-01"));
    }

    static String last(List<Header> headers, String name) {
        var found = headers.stream().filter(header -> header.name.equals(name) && header.value != null).reduce((first, second) -> second);
        return found.map(header -> new String(header.value, UTF_8)).orElse(null);
    }

    private static int length(byte[] bytes) {
        return bytes == null ? 0 : bytes.length;
    }

    private static void checkLimits(Record record) throws Dead {
        var seen = new HashSet<String>();
        var counted = record.headers.stream().filter(header -> !REPLAYS.contains(header.name) || !seen.add(header.name)).toList();
        var headerBytes = counted.stream().mapToInt(header -> header.name.getBytes(UTF_8).length + length(header.value)).sum();
        if (length(record.key) > MAX_KEY || counted.size() > MAX_HEADERS || headerBytes > MAX_HEADER_BYTES) {
            throw new Dead("malformed", "LimitExceeded", "the key or the headers are too large");
        }
        if (length(record.key) + record.value.length + headerBytes > MAX_RECORD) {
            throw new Dead("too-large", "LimitExceeded", "the record has more than " + MAX_RECORD + " bytes");
        }
    }

    private static boolean is(JsonNode value, Pattern pattern) {
        return value != null && value.isTextual() && pattern.matcher(value.textValue()).matches();
    }

    /** The envelope, its id in lower case, or why there is none. */
    static ObjectNode open(Record record) throws Dead {
        if (record.value == null) {
            throw new Dead("null-value", "NullValue", "the record has no value, so it is no event");
        }
        checkLimits(record);
        JsonNode read;
        try {
            read = JSON.readTree(UTF_8.newDecoder().decode(ByteBuffer.wrap(record.value)).toString());
        } catch (IOException error) {
            throw new Dead("malformed", error.getClass().getSimpleName(), "no JSON of the allowed depth in which each field occurs once");
        }
        if (!(read instanceof ObjectNode envelope)) {
            throw new Dead("malformed", "NotAnEnvelope", "JSON, but not an envelope");
        }
        JsonNode tenant = envelope.get("tenant_id"), id = envelope.get("event_id"), event = envelope.get("event");
        var isTenant = tenant != null && tenant.isTextual() && !tenant.textValue().isEmpty()
                && tenant.textValue().getBytes(UTF_8).length <= 128 && !CONTROL.matcher(tenant.textValue()).find();
        var isId = id == null || is(id, ID) && !UUID.fromString(id.textValue()).equals(new UUID(0, 0));
        if (!isTenant || !isId || event == null || !event.isTextual() || !is(envelope.get("version"), VERSION)
                || !is(envelope.get("occurred_at"), TIME) || !is(envelope.get("service"), SLUG) || !envelope.has("payload")) {
            throw new Dead("malformed", "NotAnEnvelope", "JSON, but not an envelope");
        }
        if (id != null) {
            envelope.put("event_id", id.textValue().toLowerCase());
        }
        return envelope;
    }

    /** What may arrive on the topic of one event, of one major version. */
    static final class Checker {
        private final String event, major;
        private final JsonSchema schema;

        Checker(String event, String version, JsonNode schema) {
            this.event = event;
            this.major = version.split("\\.")[0];
            var config = SchemaValidatorsConfig.builder().formatAssertionsEnabled(true).build();
            this.schema = JsonSchemaFactory.getInstance(SpecVersion.VersionFlag.V202012).getSchema(schema, config);
        }

        void check(JsonNode envelope) throws Dead {
            String event = envelope.get("event").textValue(), version = envelope.get("version").textValue();
            if (!event.equals(this.event)) {
                throw new Dead("wrong-topic", "WrongTopic", "the envelope says " + event + ", not " + this.event);
            }
            if (!version.split("\\.")[0].equals(major)) {
                throw new Dead("unsupported-version", "UnsupportedVersion", "version " + version + " is not known");
            }
            var wrong = schema.validate(envelope.get("payload"));
            if (!wrong.isEmpty()) {
                var all = wrong.stream().map(one -> one.getInstanceLocation() + ": " + one.getType());
                throw new Dead("schema-invalid", "SchemaInvalid", all.collect(Collectors.joining("; ")));
            }
        }
    }

    /** How a record died. */
    record Death(String group, String service, String reason, String kind, String message, int attempts, String firstFailedAt,
            String failedAt, String eventId) {}

    private static boolean isAdded(String name) {
        return Stream.of("dlq.", "__dlq.errors.", "replay.").anyMatch(name::startsWith) || name.equals("event-bus.event-id");
    }

    /** The headers of the record for the dead letter topic; key and value stay as they are. */
    static List<Header> deadLetter(Record record, Death death) {
        Map<String, Object> added = new LinkedHashMap<>();
        added.put("__dlq.errors.topic", record.topic);
        added.put("__dlq.errors.partition", record.partition);
        added.put("__dlq.errors.offset", record.offset);
        added.put("__dlq.errors.group", death.group);
        added.put("__dlq.errors.delivery.count", death.attempts);
        added.put("__dlq.errors.message", death.message.substring(0, Math.min(death.message.length(), 1024)));
        added.put("dlq.id", derived(death.group, record.topic, record.partition, record.offset));
        added.put("dlq.reason", death.reason);
        added.put("dlq.error.type", death.kind);
        var alike = sha256((death.group + " " + death.reason + " " + death.kind).getBytes(UTF_8));
        added.put("dlq.fingerprint", HexFormat.of().formatHex(alike, 0, 8));
        added.put("dlq.first-failed-at", death.firstFailedAt);
        added.put("dlq.failed-at", death.failedAt);
        added.put("dlq.service", death.service);
        var replays = last(record.headers, "dlq.replays");
        added.put("dlq.replays", replays == null ? "0" : replays);
        added.put("event-bus.event-id", death.eventId);
        if (last(record.headers, "replay.of") != null) {
            added.put("dlq.previous", last(record.headers, "replay.of"));
        }
        var headers = new ArrayList<>(record.headers.stream().filter(header -> !isAdded(header.name)).toList());
        added.forEach((name, value) -> headers.add(Header.text(name, value)));
        return headers;
    }

    private Contract() {}
}

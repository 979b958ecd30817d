package compat;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;

/** Holds Contract against the golden vectors: `Vectors REPOSITORY`. */
final class Vectors {
    private static void same(Object made, Object wanted, Object what) {
        if (!String.valueOf(made).equals(String.valueOf(wanted))) {
            throw new AssertionError(what + ": " + made + " is not " + wanted);
        }
    }

    private static byte[] bytes(JsonNode text) {
        return text == null || text.isNull() ? null : text.textValue().getBytes(UTF_8);
    }

    private static List<Contract.Header> given(JsonNode headers) {
        return StreamSupport.stream(headers.spliterator(), false)
                .map(header -> new Contract.Header(header.get(0).textValue(), bytes(header.get(1)))).toList();
    }

    private static String shown(List<Contract.Header> headers) {
        return headers.stream().filter(header -> !header.name().equals("dlq.fingerprint"))
                .map(header -> header.name() + "=" + (header.value() == null ? null : new String(header.value(), UTF_8)))
                .collect(Collectors.joining("\n"));
    }

    private static Contract.Record record(JsonNode v) {
        return new Contract.Record(v.get("topic").textValue(), v.path("partition").asInt(), v.path("offset").asLong(),
                v.path("timestamp_ms").asLong(), null, bytes(v.get("value")), List.of());
    }

    public static void main(String[] args) throws IOException {
        var root = Path.of(args[0]);
        var vectors = root.resolve("compat/vectors");
        for (var v : read(vectors.resolve("keys.json"))) {
            var envelope = Contract.JSON.createObjectNode().put("tenant_id", v.get("tenant_id").textValue());
            envelope.set("payload", Contract.JSON.readTree(v.get("payload").textValue()));
            String made;
            try {
                made = Contract.orderingKey(envelope, StreamSupport.stream(v.get("pointers").spliterator(), false).map(JsonNode::textValue).toList());
            } catch (IllegalArgumentException error) {
                made = null;
            }
            same(made, v.get("key").textValue(), v);
        }
        var ids = read(vectors.resolve("ids.json"));
        same(Contract.BUS, ids.get("namespace").textValue(), "namespace");
        for (var v : ids.get("emitted")) {
            same(Contract.derived(v.get("handled").textValue(), v.get("group").textValue(), v.get("ordinal")), v.get("id").textValue(), v);
        }
        for (var v : ids.get("of_position")) {
            same(Contract.positionId(record(v)), v.get("id").textValue(), v);
        }
        for (var v : ids.get("dead_letter")) {
            same(Contract.derived(v.get("group").textValue(), v.get("topic").textValue(), v.get("partition"), v.get("offset")), v.get("id").textValue(), v);
        }
        for (var v : read(vectors.resolve("records.json"))) {
            var made = Contract.firstHeaders("blindstrader", Contract.JSON.readTree(v.get("envelope").textValue()), null);
            var wanted = new ArrayList<Contract.Header>();
            v.get("headers").fields().forEachRemaining(field -> wanted.add(Contract.Header.text(field.getKey(), field.getValue().textValue())));
            same(shown(made.subList(0, 7)), shown(wanted), v.get("topic"));
        }
        var checker = new Contract.Checker("OrderPlaced", "1.0", read(root.resolve("catalogue/schemas/OrderPlaced/1.0.json")));
        for (var v : read(vectors.resolve("received.json"))) {
            var value = v.has("value_hex") ? HexFormat.of().parseHex(v.get("value_hex").textValue()) : bytes(v.get("value"));
            String reason = null;
            try {
                var envelope = Contract.open(new Contract.Record("", 0, 0, 0, bytes(v.get("key")), value, List.of()));
                checker.check(envelope);
                same(envelope.path("event_id").textValue(), v.get("event_id").textValue(), v.get("what"));
            } catch (Contract.Dead dead) {
                reason = dead.reason;
            }
            same(reason, v.get("reason").textValue(), v.get("what"));
        }
        for (var v : read(vectors.resolve("dead-letters.json"))) {
            var r = record(v.get("record"));
            var record = new Contract.Record(r.topic(), r.partition(), r.offset(), r.timestampMs(), null, null, given(v.at("/record/headers")));
            var death = new Contract.Death(v.get("group").textValue(), v.get("service").textValue(), v.get("reason").textValue(),
                    v.get("error_type").textValue(), v.get("message").textValue(), v.get("attempts").asInt(),
                    v.get("first_failed_at").textValue(), v.get("failed_at").textValue(), v.get("event_id").textValue());
            same(shown(Contract.deadLetter(record, death)), shown(given(v.at("/letter/headers"))), v.get("what"));
        }
        System.out.println("ok: the golden vectors hold");
    }

    private static JsonNode read(Path path) throws IOException {
        return Contract.JSON.readTree(path.toFile());
    }

    private Vectors() {}
}

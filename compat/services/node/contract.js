"use strict";
// What docs/CONTRACT.md says: ids, keys, headers, what is an event, and what a dead letter looks like. No I/O.

const crypto = require("node:crypto");
const Ajv2020 = require("ajv/dist/2020");
const addFormats = require("ajv-formats");

const BUS = "b5f2a375-135e-4d6b-a71a-cc7273b12bd8";
const MAX = { record: 1_000_000, key: 1024, headers: 64, headerBytes: 16 * 1024, nesting: 64 };
const REPLAYS = new Set([
  "replay.id", "replay.of", "replay.for", "replay.chain.seq", "replay.edited-by", "event-bus.event-id", "dlq.replays",
]);
const SLUG = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
const TIME = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;
const VERSION = /^(0|[1-9]\d*)\.(0|[1-9]\d*)$/;
const ID = /^(?!0{8}(-0{4}){3}-0{12}$)[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;

/** The record can't be handled, ever: the reason, the kind of the error, and the error. */
class Dead extends Error {
  constructor(reason, kind, message) {
    super(message);
    Object.assign(this, { reason, kind });
  }
}

const sha256 = (bytes) => crypto.createHash("sha256").update(bytes).digest();

function uuidOf(bytes, version) {
  bytes[6] = (bytes[6] & 0x0f) | (version << 4);
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function derived(...parts) {
  const space = Buffer.from(BUS.replaceAll("-", ""), "hex");
  const hash = crypto.createHash("sha1").update(space).update(parts.join("\n")).digest();
  return uuidOf(hash.subarray(0, 16), 5);
}

function positionId({ topic, partition, offset, timestamp, value }) {
  return derived(topic, partition, offset, timestamp, sha256(value ?? "").toString("hex"));
}

/** UUIDv7: the time, and the rest at random. */
function newId(now = Date.now()) {
  const bytes = crypto.randomBytes(16);
  bytes.writeUIntBE(now, 0, 6);
  return uuidOf(bytes, 7);
}

const encoded = (text) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());

/** JSON.parse rounds integers above 2^53, so they can't be keys here. */
function orderingKey(envelope, pointers) {
  return pointers
    .map((pointer) => {
      const tokens = pointer.split("/").slice(1).map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
      const value = tokens.reduce((at, token) => at?.[token], envelope);
      if (typeof value !== "string" && !Number.isSafeInteger(value)) {
        throw new Error(`${pointer} holds neither a string nor an integer`);
      }
      return encoded(String(value));
    })
    .join("/");
}

function firstHeaders(namespace, envelope, trace) {
  const span = crypto.randomBytes(8).toString("hex");
  return {
    ce_specversion: "1.0",
    ce_id: envelope.event_id,
    ce_type: envelope.event,
    ce_source: `/${namespace}/${envelope.service}`,
    ce_time: envelope.occurred_at,
    ce_tenantid: envelope.tenant_id,
    "content-type": "application/json",
    traceparent: `${trace?.slice(0, 35) ?? "00-" + crypto.randomBytes(16).toString("hex")}-${span}-01`,
  };
}

/** Headers as a list of names and values, whatever repeats. */
const listed = (headers) =>
  Object.entries(headers ?? {}).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));

const last = (list, name) => list.findLast(([key]) => key === name)?.[1]?.toString();

/** How deep the text is nested; a field that occurs twice is an error. JSON.parse says the rest. */
function scan(text) {
  const levels = [];
  let deepest = 0;
  let keyIsNext = false;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{},:]/gs)) {
    if (token === "{" || token === "[") {
      levels.push(token === "{" ? new Set() : null);
      deepest = Math.max(deepest, levels.length);
      keyIsNext = token === "{";
    } else if (token === "}" || token === "]") {
      levels.pop();
      keyIsNext = false;
    } else if (token === ",") {
      keyIsNext = Boolean(levels.at(-1));
    } else if (token === ":") {
      keyIsNext = false;
    } else if (keyIsNext) {
      const [fields, name] = [levels.at(-1), JSON.parse(token)];
      if (fields.has(name)) throw new SyntaxError("a field occurs twice");
      fields.add(name);
      keyIsNext = false;
    }
  }
  return deepest;
}

function checkLimits({ key, value, headers }) {
  const seen = new Set();
  const counted = headers
    .filter(([name]) => !(REPLAYS.has(name) && !seen.has(name) && seen.add(name)))
    .map(([name, value]) => Buffer.byteLength(name) + (value?.length ?? 0));
  const headerBytes = counted.reduce((sum, bytes) => sum + bytes, 0);
  if ((key?.length ?? 0) > MAX.key || counted.length > MAX.headers || headerBytes > MAX.headerBytes) {
    throw new Dead("malformed", "LimitExceeded", "the key or the headers are too large");
  }
  if ((key?.length ?? 0) + value.length + headerBytes > MAX.record) {
    throw new Dead("too-large", "LimitExceeded", `the record has more than ${MAX.record} bytes`);
  }
}

const isText = (value, pattern) => typeof value === "string" && pattern.test(value);

/** The envelope, its id in lower case, or why there is none. */
function openEnvelope(record) {
  if (record.value === null) throw new Dead("null-value", "NullValue", "the record has no value, so it is no event");
  checkLimits(record);
  let envelope;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(record.value);
    if (scan(text) > MAX.nesting) throw new SyntaxError(`nested deeper than ${MAX.nesting} levels`);
    envelope = JSON.parse(text);
  } catch (error) {
    throw new Dead("malformed", error.name, `no JSON: ${error.message}`);
  }
  const { tenant_id: tenant, event_id: id } = envelope ?? {};
  const isEnvelope =
    isText(tenant, /^[^\p{Cc}]+$/u) && Buffer.byteLength(tenant) <= 128 && typeof envelope.event === "string" &&
    isText(envelope.version, VERSION) && isText(envelope.occurred_at, TIME) && isText(envelope.service, SLUG) &&
    "payload" in envelope && (!("event_id" in envelope) || isText(id, ID));
  if (!isEnvelope) throw new Dead("malformed", "NotAnEnvelope", "JSON, but not an envelope");
  return { ...envelope, ...(id && { event_id: id.toLowerCase() }) };
}

/** A function that throws what is wrong with an envelope on the topic of one event, of one major version. */
function checker(event, version, schema) {
  const ajv = new Ajv2020({ allErrors: true, strict: false });
  addFormats(ajv);
  const validate = ajv.compile(schema);
  return (envelope) => {
    if (envelope.event !== event) {
      throw new Dead("wrong-topic", "WrongTopic", `the envelope says ${envelope.event}, not ${event}`);
    }
    if (envelope.version.split(".")[0] !== version.split(".")[0]) {
      throw new Dead("unsupported-version", "UnsupportedVersion", `version ${envelope.version} is not known`);
    }
    if (!validate(envelope.payload)) {
      const wrong = validate.errors.map((error) => `${error.instancePath || "(root)"}: ${error.keyword}`);
      throw new Dead("schema-invalid", "SchemaInvalid", wrong.join("; "));
    }
  };
}

const isAdded = (name) => /^(dlq\.|__dlq\.errors\.|replay\.)/.test(name) || name === "event-bus.event-id";

/** The headers of the record for the dead letter topic; key and value stay as they are. */
function deadLetter(record, { group, service, dead, attempts, firstFailedAt, failedAt, eventId }) {
  const previous = last(record.headers, "replay.of");
  const added = {
    "__dlq.errors.topic": record.topic,
    "__dlq.errors.partition": record.partition,
    "__dlq.errors.offset": record.offset,
    "__dlq.errors.group": group,
    "__dlq.errors.delivery.count": attempts,
    "__dlq.errors.message": dead.message.slice(0, 1024),
    "dlq.id": derived(group, record.topic, record.partition, record.offset),
    "dlq.reason": dead.reason,
    "dlq.error.type": dead.kind,
    "dlq.fingerprint": sha256(`${group} ${dead.reason} ${dead.kind}`).toString("hex").slice(0, 16),
    "dlq.first-failed-at": firstFailedAt,
    "dlq.failed-at": failedAt,
    "dlq.service": service,
    "dlq.replays": last(record.headers, "dlq.replays") ?? "0",
    "event-bus.event-id": eventId,
    ...(previous && { "dlq.previous": previous }),
  };
  const kept = record.headers.filter(([name]) => !isAdded(name));
  return [...kept, ...Object.entries(added).map(([name, value]) => [name, Buffer.from(String(value))])];
}

module.exports = { BUS, Dead, checker, deadLetter, derived, firstHeaders, last, listed, newId, openEnvelope, orderingKey, positionId, sha256 };

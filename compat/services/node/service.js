"use strict";
// A retailer that places orders, and a payment service that takes the money for them: PostgreSQL, and no code of the bus.
//
//   service.js place N      N orders, each with its event in one transaction; ends when all are sent
//   service.js run          handles OrderPlaced and publishes PaymentCaptured, until SIGTERM; the first line says where it
//                           answers GET /effects?event_id=…

const crypto = require("node:crypto");
const http = require("node:http");
const { setTimeout: pause } = require("node:timers/promises");
const { Pool } = require("pg");
const contract = require("./contract");
const { EVENT, KEY, NAMESPACE, TOPIC, catalogue, kafka } = require("./kafka");
const { Dead, last } = contract;

const SERVICE = "payment";
const GROUP = `${NAMESPACE}-${SERVICE}-order-placed`;
const WAITS = [500, 2000, 8000];
const WINDOW = 1000;
const TABLES = `
  CREATE TABLE IF NOT EXISTS outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid NOT NULL, topic text NOT NULL, partition_id integer,
    record_key bytea, record_value bytea, headers text NOT NULL);
  CREATE TABLE IF NOT EXISTS processed_events (
    consumer_group text NOT NULL, epoch integer NOT NULL DEFAULT 0, tenant_id text NOT NULL, topic text NOT NULL,
    event_id uuid NOT NULL, status text NOT NULL CHECK (status IN ('done', 'dead')), dlq_id uuid, value_sha256 bytea NOT NULL,
    partition_id integer NOT NULL, record_offset bigint NOT NULL, processed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, tenant_id, topic, consumer_group, epoch));
  CREATE TABLE IF NOT EXISTS orders (order_id text PRIMARY KEY, status text NOT NULL);
  CREATE TABLE IF NOT EXISTS payments (event_id uuid NOT NULL, tenant_id text NOT NULL, order_id text NOT NULL, amount text NOT NULL);
`;

const pool = new Pool({ connectionString: process.env.STORE });
// A connection that breaks while nobody uses it is replaced; one in use fails its transaction.
pool.on("error", (error) => console.error(error.message));
const now = () => new Date().toISOString();
const stopping = new AbortController();

async function transaction(work) {
  const db = await pool.connect();
  try {
    await db.query("BEGIN");
    const result = await work(db);
    await db.query("COMMIT");
    return result;
  } catch (error) {
    await db.query("ROLLBACK").catch(() => {});
    throw error;
  } finally {
    db.release();
  }
}

function asText(value) {
  if (value === null || value === undefined || typeof value === "string") return value ?? null;
  const text = value.toString("utf8");
  return Buffer.from(text).equals(value) && !text.includes("\0") ? text : { hex: value.toString("hex") };
}

const asBytes = (value) => (value?.hex !== undefined ? Buffer.from(value.hex, "hex") : value);

/**
 * A row of the outbox, at the end of the caller's transaction. The lock of the key is held to the commit, so the ids of a key
 * have the order of its commits.
 */
async function enqueue(db, { eventId, topic, key, value, headers, partition = null }) {
  await db.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [`${topic}/${key}`]);
  const texts = JSON.stringify(headers.map(([name, value]) => [name, asText(value)]));
  await db.query(
    "INSERT INTO outbox (event_id, topic, partition_id, record_key, record_value, headers) VALUES ($1, $2, $3, $4, $5, $6)",
    [eventId, topic, partition, key && Buffer.from(key), value && Buffer.from(value), texts],
  );
}

async function publish(db, { event, topic, service, tenant, payload, eventId, trace }) {
  const envelope = { event_id: eventId, event, version: "1.0", occurred_at: now(), service, tenant_id: tenant, payload };
  const headers = Object.entries(contract.firstHeaders(NAMESPACE, envelope, trace));
  await enqueue(db, { eventId, topic, key: contract.orderingKey(envelope, KEY), value: JSON.stringify(envelope), headers });
}

/** Sends the rows of the outbox in their order, and removes a row once it is acknowledged. There is one a database. */
class Relay {
  producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false });
  admin = kafka.admin();
  counts = new Map();

  async partition(topic, partition) {
    if (!this.counts.has(topic)) {
      const { topics } = await this.admin.fetchTopicMetadata({ topics: [topic] });
      this.counts.set(topic, topics[0].partitions.length);
    }
    return partition % this.counts.get(topic);
  }

  /** Sends what waits, but one row of a topic and key at a time: nothing passes a row that failed. How many went. */
  async turn() {
    const { rows } = await pool.query("SELECT * FROM outbox ORDER BY id LIMIT 500");
    const lanes = new Set();
    const next = rows.filter(({ topic, record_key: key }) => {
      const lane = `${topic}/${key?.toString("hex")}`;
      return !lanes.has(lane) && lanes.add(lane);
    });
    const byTopic = new Map();
    for (const row of next) {
      const headers = {};
      for (const [name, value] of JSON.parse(row.headers)) (headers[name] ??= []).push(asBytes(value));
      const message = { key: row.record_key, value: row.record_value, headers };
      if (row.partition_id !== null) message.partition = await this.partition(row.topic, row.partition_id);
      byTopic.set(row.topic, [...(byTopic.get(row.topic) ?? []), message]);
    }
    if (next.length === 0) return 0;
    const topicMessages = [...byTopic].map(([topic, messages]) => ({ topic, messages }));
    await this.producer.sendBatch({ acks: -1, topicMessages });
    await pool.query("DELETE FROM outbox WHERE id = ANY ($1)", [next.map(({ id }) => id)]);
    return next.length;
  }

  async connect() {
    await Promise.all([this.producer.connect(), this.admin.connect()]);
  }

  async disconnect() {
    await Promise.all([this.producer.disconnect(), this.admin.disconnect()]);
  }

  async run() {
    while (!stopping.signal.aborted) {
      const sent = await this.turn().catch((error) => console.error(error.message));
      if (!sent) await pause(50);
    }
  }
}

/** The handler: takes the money, and says so. */
async function capture(db, eventId, { tenant_id: tenant, payload: order }, trace) {
  if (order.currency === "XTS") throw new Error("the bank does not answer for this currency");
  await db.query("INSERT INTO payments VALUES ($1, $2, $3, $4)", [eventId, tenant, order.order_id, order.total]);
  const payload = {
    payment_id: `pay-${eventId}`, order_id: order.order_id, method: "card", captured_at: now(),
    amount: { amount: order.total, currency: order.currency },
  };
  await publish(db, {
    event: "PaymentCaptured", topic: `${NAMESPACE}.payment.captured`, service: SERVICE, tenant, payload,
    eventId: contract.derived(eventId, GROUP, 0), trace,
  });
}

/** A record that is not settled. */
class Waiting {
  attempts = 0;
  due = 0;

  constructor(record) {
    this.record = record;
    const [id, of, group, eventId] = ["replay.id", "replay.of", "replay.for", "event-bus.event-id"].map((name) => last(record.headers, name));
    this.replay = id && of && group && eventId ? { id, of, group, eventId } : null;
  }
}

/** The database is in trouble, and not the event: it is down, or two transactions got into each other's way. */
const isTrouble = (error) => /^(08|40|53|55P03|57)|^E[A-Z]+$/.test(error.code ?? "");

/** Handles each event once, keys in their order, and what fails again and again becomes a dead letter. */
class Payment {
  consumer = kafka.consumer({ groupId: GROUP, allowAutoTopicCreation: false, readUncommitted: false });
  check = contract.checker(EVENT, "1.0", catalogue("schemas/OrderPlaced/1.0.json"));
  forget() {
    [this.lanes, this.ends, this.committed] = [new Map(), new Map(), new Map()];
  }

  async run() {
    this.forget();
    await this.consumer.connect();
    await this.consumer.subscribe({ topics: [TOPIC], fromBeginning: true });
    // After a rebalance kafkajs reads on from what is committed: what is not settled comes again.
    this.consumer.on(this.consumer.events.GROUP_JOIN, () => this.forget());
    await this.consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: (given) => this.take(given) });
    while (!stopping.signal.aborted) {
      const due = [...this.lanes].filter(([, waiting]) => waiting[0].due <= Date.now());
      for (const [lane, waiting] of due) {
        if (!(await this.settle(waiting[0]))) continue;
        waiting.shift();
        if (waiting.length === 0 && this.lanes.get(lane) === waiting) this.lanes.delete(lane);
      }
      await this.commit();
      if (due.length === 0) await pause(20);
    }
    await this.consumer.disconnect();
  }

  async take({ batch, resolveOffset, heartbeat, isRunning, isStale }) {
    for (const { key, value, headers, offset, timestamp } of batch.messages) {
      const record = { topic: batch.topic, partition: batch.partition, offset: BigInt(offset), timestamp, key, value, headers: contract.listed(headers) };
      const lane = `${batch.partition}/${key?.toString("hex")}`;
      if (!this.lanes.has(lane)) this.lanes.set(lane, []);
      this.lanes.get(lane).push(new Waiting(record));
      resolveOffset(offset);
    }
    this.ends.set(batch.partition, BigInt(batch.lastOffset()) + 1n);
    // While too much waits nothing more is fetched.
    while ([...this.lanes.values()].flat().length >= WINDOW && isRunning() && !isStale()) {
      await pause(100);
      await heartbeat();
    }
  }

  /** The lowest offset that is not settled, of each partition. */
  async commit() {
    const lowest = new Map(this.ends);
    for (const [{ record }] of this.lanes.values()) {
      if (record.offset < lowest.get(record.partition)) lowest.set(record.partition, record.offset);
    }
    const moved = [...lowest].filter(([partition, offset]) => this.committed.get(partition) !== offset);
    if (moved.length === 0) return;
    const committed = this.committed;
    const offsets = moved.map(([partition, offset]) => ({ topic: TOPIC, partition, offset: String(offset) }));
    try {
      await this.consumer.commitOffsets(offsets);
      for (const [partition, offset] of moved) committed.set(partition, offset);
    } catch (error) {
      // The group rebalances: what is not committed comes again, and is known then.
      console.error(error.message);
    }
  }

  /** Whether the record is done with: handled, seen before, passed over, or dead. */
  async settle(waiting) {
    const { record, replay } = waiting;
    if (replay && replay.group !== GROUP) return true;
    let [eventId, tenant] = [contract.positionId(record), ""];
    try {
      const envelope = contract.openEnvelope(record);
      [eventId, tenant] = [replay?.eventId ?? envelope.event_id ?? eventId, envelope.tenant_id];
      this.check(envelope);
      waiting.attempts += 1;
      await transaction((db) => this.handle(db, waiting, eventId, envelope));
    } catch (error) {
      if (isTrouble(error)) {
        waiting.attempts -= 1;
        waiting.due = Date.now() + 1000;
        console.error(error.message);
        return false;
      }
      let dead = error;
      if (!(error instanceof Dead)) {
        waiting.firstFailedAt ??= now();
        if (waiting.attempts <= WAITS.length) {
          waiting.due = Date.now() + WAITS[waiting.attempts - 1] * (0.8 + 0.4 * Math.random());
          return false;
        }
        dead = new Dead("retries-exhausted", error.name, error.message);
      }
      if (dead.reason === "id-collision") eventId = contract.positionId(record);
      await transaction((db) => this.bury(db, waiting, dead, eventId, tenant));
    }
    return true;
  }

  async handle(db, waiting, eventId, envelope) {
    const { record, replay } = waiting;
    const row = [GROUP, envelope.tenant_id, record.topic, eventId];
    const ofRow = "WHERE consumer_group = $1 AND epoch = 0 AND tenant_id = $2 AND topic = $3 AND event_id = $4";
    const claimed = replay && (await db.query(
      `UPDATE processed_events SET status = 'done', dlq_id = NULL ${ofRow} AND status = 'dead' AND dlq_id = $5`, [...row, replay.of]));
    let fresh = claimed?.rowCount > 0;
    if (!fresh) {
      fresh = await this.claim(db, record, eventId, envelope.tenant_id, "done", null);
      if (!fresh && !replay) {
        const seen = await db.query(`SELECT value_sha256 FROM processed_events ${ofRow}`, row);
        if (!seen.rows[0].value_sha256.equals(contract.sha256(record.value))) {
          throw new Dead("id-collision", "IdCollision", `another event with the id ${eventId} was handled`);
        }
      }
    }
    if (fresh) await capture(db, eventId, envelope, last(record.headers, "traceparent"));
    if (replay) await this.tell(db, replay, fresh ? "processed" : "duplicate");
  }

  /** Whether the row is new. */
  async claim(db, record, eventId, tenant, status, dlqId) {
    const { rowCount } = await db.query(
      `INSERT INTO processed_events
         (consumer_group, tenant_id, topic, event_id, status, dlq_id, value_sha256, partition_id, record_offset)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
      [GROUP, tenant, record.topic, eventId, status, dlqId, contract.sha256(record.value ?? ""), record.partition, String(record.offset)],
    );
    return rowCount > 0;
  }

  /** The dead row and the dead letter in one transaction; the letter only if the row is new, or the replayed one's. */
  async bury(db, { record, replay, attempts, firstFailedAt }, dead, eventId, tenant) {
    const failedAt = now();
    const dlqId = contract.derived(GROUP, record.topic, record.partition, record.offset);
    const again = replay && (await db.query(
      `UPDATE processed_events SET dlq_id = $1
       WHERE consumer_group = $2 AND epoch = 0 AND topic = $3 AND event_id = $4 AND status = 'dead' AND dlq_id = $5`,
      [dlqId, GROUP, record.topic, eventId, replay.of]));
    const isNew = again?.rowCount > 0 || (await this.claim(db, record, eventId, tenant, "dead", dlqId));
    if (isNew) {
      const told = { group: GROUP, service: SERVICE, dead, attempts, firstFailedAt: firstFailedAt ?? failedAt, failedAt, eventId };
      const { key, value, partition } = record;
      await enqueue(db, { eventId, topic: `${record.topic}.dlq`, key, value, headers: contract.deadLetter(record, told), partition });
    }
    if (replay) await this.tell(db, replay, again?.rowCount > 0 ? "dead-again" : "duplicate");
  }

  async tell(db, replay, outcome) {
    const told = { replay_id: replay.id, dlq_id: replay.of, group: GROUP, service: SERVICE, event_id: replay.eventId, outcome, at: now() };
    const headers = [["content-type", "application/json"]];
    await enqueue(db, { eventId: replay.eventId, topic: `${NAMESPACE}.event-bus.outcomes`, key: replay.of, value: JSON.stringify(told), headers });
  }
}

/** Orders of a new retailer each time, placed and then changed once: two events of each key. */
async function place(count) {
  const { payload: sample } = catalogue("samples/OrderPlaced/1.0/valid-two-lines.json");
  const tenant = `retailer-${crypto.randomBytes(4).toString("hex")}`;
  for (let number = 0; number < count; number += 1) {
    const orderId = `o-${tenant}-${Math.floor(number / 2)}`;
    await transaction(async (db) => {
      await db.query("INSERT INTO orders VALUES ($1, 'placed') ON CONFLICT (order_id) DO UPDATE SET status = 'changed'", [orderId]);
      const payload = { ...sample, order_id: orderId, retailer_id: tenant, placed_at: now() };
      await publish(db, { event: EVENT, topic: TOPIC, service: "retailer", tenant, payload, eventId: contract.newId() });
    });
  }
  const relay = new Relay();
  await relay.connect();
  while (await relay.turn());
  await relay.disconnect();
  console.log(`${count} orders placed`);
}

/** Answers how many effects an event has had. */
function answer(request, response) {
  const id = new URL(request.url, "http://localhost").searchParams.get("event_id");
  pool.query("SELECT count(*)::int AS effects FROM payments WHERE event_id = $1", [id]).then(
    ({ rows }) => response.setHeader("content-type", "application/json").end(JSON.stringify(rows[0])),
    (error) => response.writeHead(500).end(error.message),
  );
}

async function run() {
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => stopping.abort());
  const server = http.createServer(answer);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  console.log(`effects at http://127.0.0.1:${server.address().port}/effects`);
  const relay = new Relay();
  await relay.connect();
  await Promise.all([relay.run(), new Payment().run()]);
  await relay.disconnect();
  server.close();
}

async function main([command, count]) {
  await pool.query(TABLES);
  await (command === "place" ? place(Number(count)) : run());
  await pool.end();
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});

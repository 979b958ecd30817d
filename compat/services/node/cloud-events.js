"use strict";
// Reads the bus's records by CloudEvents' own SDK, and writes records for the bus by it.
//
//   cloud-events.js read N        reads N records of OrderPlaced, and compares what the SDK says with the envelope
//   cloud-events.js write N       writes N

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const { CloudEvent, Kafka: Binding } = require("cloudevents");
const contract = require("./contract");
const { EVENT, KEY, NAMESPACE, TOPIC, catalogue, kafka } = require("./kafka");

async function read(count) {
  const consumer = kafka.consumer({ groupId: `${NAMESPACE}-cloud-events`, allowAutoTopicCreation: false });
  await consumer.connect();
  await consumer.subscribe({ topics: [TOPIC], fromBeginning: true });
  let left = count;
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${left} records did not come`)), 60_000).unref();
    const eachMessage = async ({ message: { headers, key, value } }) => {
      try {
        const texts = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.toString()]));
        const event = Binding.toEvent({ headers: texts, key: key.toString(), value: value.toString() });
        const envelope = event.data;
        assert.deepEqual([event.specversion, event.datacontenttype, event.type], ["1.0", "application/json", EVENT]);
        assert.deepEqual([event.id, event.tenantid], [envelope.event_id, envelope.tenant_id]);
        assert.equal(event.source, `/${NAMESPACE}/${envelope.service}`);
        assert.equal(Date.parse(event.time), Date.parse(envelope.occurred_at));
        assert.equal(event.partitionkey, key.toString());
        if ((left -= 1) === 0) resolve();
      } catch (error) {
        reject(error);
      }
    };
    consumer.run({ autoCommit: false, eachMessage }).catch(reject);
  });
  await consumer.disconnect();
  console.log(`ok: ${count} records are CloudEvents`);
}

async function write(count) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false });
  await producer.connect();
  const { payload } = catalogue("samples/OrderPlaced/1.0/valid-two-lines.json");
  const messages = Array.from({ length: count }, (_, number) => {
    const [time, tenant] = [new Date().toISOString(), `node-${number}`];
    const envelope = {
      event_id: contract.newId(), event: EVENT, version: "1.0", occurred_at: time, service: "retailer", tenant_id: tenant, payload,
    };
    const event = new CloudEvent({
      id: envelope.event_id, type: EVENT, source: `/${NAMESPACE}/retailer`, time, tenantid: tenant, datacontenttype: "application/json",
      partitionkey: contract.orderingKey(envelope, KEY), data: envelope,
    });
    const { headers, key, value } = Binding.binary(event);
    const traceparent = `00-${crypto.randomBytes(16).toString("hex")}-${crypto.randomBytes(8).toString("hex")}-01`;
    // The SDK has headers without values for attributes that are not set.
    const set = Object.entries({ ...headers, traceparent }).filter(([, value]) => value !== undefined);
    return { key, value: JSON.stringify(value), headers: Object.fromEntries(set) };
  });
  await producer.send({ topic: TOPIC, acks: -1, messages });
  await producer.disconnect();
  console.log(`ok: ${count} CloudEvents are written`);
}

const [command, count] = process.argv.slice(2);
({ read, write })[command](Number(count)).catch((error) => {
  console.error(error);
  process.exit(1);
});

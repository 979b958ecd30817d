"use strict";
// Where Kafka and the catalogue are, and the codec of the bus.

const fs = require("node:fs");
const path = require("node:path");
const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = require("kafkajs");
const lz4 = require("lz4js");

// The bus compresses with lz4, which kafkajs does not bring.
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async ({ buffer }) => Buffer.from(lz4.compress(buffer)),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});

const NAMESPACE = process.env.NAMESPACE ?? "blindstrader";
const kafka = new Kafka({
  brokers: (process.env.BOOTSTRAP ?? "localhost:9092").split(","),
  logLevel: logLevel.ERROR,
  retry: { retries: 20 },
});
const catalogue = (name) => JSON.parse(fs.readFileSync(path.join(__dirname, "../../../catalogue", name), "utf8"));

module.exports = { EVENT: "OrderPlaced", KEY: ["/tenant_id", "/payload/order_id"], NAMESPACE, TOPIC: `${NAMESPACE}.order.placed`, catalogue, kafka };

"""A retailer that places orders, and a payment service that takes the money for them: SQLite, and no code of the bus.

    service.py place N      N orders, each with its event in one transaction; ends when all are sent
    service.py run          handles OrderPlaced and publishes PaymentCaptured, until SIGTERM
"""

import hashlib
import json
import os
import random
import secrets
import signal
import sqlite3
import sys
import threading
import time
from collections import deque
from datetime import datetime, timezone
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

import contract
from contract import Dead, Record

NAMESPACE = os.environ.get("NAMESPACE", "blindstrader")
KAFKA = {"bootstrap.servers": os.environ.get("BOOTSTRAP", "localhost:9092"), "allow.auto.create.topics": False}
CATALOGUE = Path(__file__).parents[3] / "catalogue"
SERVICE, EVENT, TOPIC = "payment", "OrderPlaced", f"{NAMESPACE}.order.placed"
GROUP = f"{NAMESPACE}-{SERVICE}-order-placed"
KEY = ["/tenant_id", "/payload/order_id"]
WAITS = [0.5, 2, 8]
WINDOW = 1000

TABLES = """
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL, topic TEXT NOT NULL, partition_id INTEGER,
    record_key BLOB, record_value BLOB, headers TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS processed_events (
    consumer_group TEXT NOT NULL, epoch INTEGER NOT NULL DEFAULT 0, tenant_id TEXT NOT NULL, topic TEXT NOT NULL,
    event_id TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('done', 'dead')), dlq_id TEXT,
    value_sha256 BLOB NOT NULL, partition_id INTEGER NOT NULL, record_offset INTEGER NOT NULL,
    processed_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (event_id, tenant_id, topic, consumer_group, epoch)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (order_id TEXT PRIMARY KEY, status TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS payments (event_id TEXT NOT NULL, tenant_id TEXT NOT NULL, order_id TEXT NOT NULL, amount TEXT NOT NULL);
"""


def connect():
    db = sqlite3.connect(os.environ.get("STORE", "service.db"), isolation_level=None, timeout=10)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.executescript(TABLES)
    return db


def transaction(db, work):
    db.execute("BEGIN IMMEDIATE")
    try:
        result = work()
        db.execute("COMMIT")
        return result
    except BaseException:
        db.execute("ROLLBACK")
        raise


def now():
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def as_text(value):
    try:
        return None if value is None else value if isinstance(value, str) else value.decode()
    except UnicodeDecodeError:
        return {"hex": value.hex()}


def as_bytes(value):
    return None if value is None else value.encode() if isinstance(value, str) else bytes.fromhex(value["hex"])


def enqueue(db, event_id, topic, key, value, headers, partition=None):
    """A row of the outbox, in the caller's transaction. SQLite has one writer, so ids have the order of commits."""
    headers = json.dumps([[name, as_text(value)] for name, value in headers])
    db.execute(
        "INSERT INTO outbox (event_id, topic, partition_id, record_key, record_value, headers) VALUES (?, ?, ?, ?, ?, ?)",
        (event_id, topic, partition, key, value, headers),
    )


def publish(db, event, topic, service, tenant, payload, event_id, trace=None):
    envelope = {"event_id": event_id, "event": event, "version": "1.0", "occurred_at": now(), "service": service,
                "tenant_id": tenant, "payload": payload}
    key = contract.ordering_key(envelope, KEY).encode()
    enqueue(db, event_id, topic, key, json.dumps(envelope).encode(), contract.first_headers(NAMESPACE, envelope, trace))


class Relay:
    """Sends the rows of the outbox in their order, and removes a row once it is acknowledged. There is one a database."""

    def __init__(self):
        self.producer = Producer({**KAFKA, "acks": "all", "enable.idempotence": True, "partitioner": "murmur2_random",
                                  "message.timeout.ms": 0, "message.max.bytes": 4_194_304, "linger.ms": 5})
        self.counts = {}

    def partition(self, topic, partition):
        if topic not in self.counts:
            self.counts[topic] = len(self.producer.list_topics(topic, timeout=30).topics[topic].partitions)
        return partition % self.counts[topic]

    def turn(self, db):
        """Sends what waits, but one row of a topic and key at a time: nothing passes a row that failed. How many went."""
        rows = db.execute("SELECT id, topic, partition_id, record_key, record_value, headers FROM outbox ORDER BY id LIMIT 500").fetchall()
        lanes, sent = set(), []
        for row, topic, partition, key, value, headers in rows:
            if (topic, key) in lanes:
                continue
            lanes.add((topic, key))
            where = {} if partition is None else {"partition": self.partition(topic, partition)}
            headers = [(name, as_bytes(text)) for name, text in json.loads(headers)]
            report = lambda error, _, row=row: sent.append(row) if error is None else print(error, file=sys.stderr)
            self.producer.produce(topic, value, key, headers=headers, on_delivery=report, **where)
        self.producer.flush()
        if sent:
            transaction(db, lambda: db.executemany("DELETE FROM outbox WHERE id = ?", [(row,) for row in sent]))
        return len(sent)

    def run(self, stopping):
        db = connect()
        while not stopping.is_set():
            if not self.turn(db):
                stopping.wait(0.05)


def capture(db, event_id, envelope, trace):
    """The handler: takes the money, and says so."""
    order = envelope["payload"]
    if order["currency"] == "XTS":
        raise RuntimeError("the bank does not answer for this currency")
    db.execute("INSERT INTO payments VALUES (?, ?, ?, ?)", (event_id, envelope["tenant_id"], order["order_id"], order["total"]))
    payload = {"payment_id": "pay-" + event_id, "order_id": order["order_id"], "method": "card", "captured_at": now(),
               "amount": {"amount": order["total"], "currency": order["currency"]}}
    publish(db, "PaymentCaptured", f"{NAMESPACE}.payment.captured", SERVICE, envelope["tenant_id"], payload,
            contract.derived(event_id, GROUP, 0), trace)


class Waiting:
    """A record that is not settled."""

    def __init__(self, record):
        self.record, self.attempts, self.first_failed_at, self.due = record, 0, None, 0
        self.replay = {name: contract.last(record.headers, name) for name in ("replay.id", "replay.of", "replay.for", "event-bus.event-id")}
        if not all(self.replay.values()):
            self.replay = None


class Payment:
    """Handles each event once, keys in their order, and what fails again and again becomes a dead letter."""

    def __init__(self, stopping):
        self.db, self.stopping = connect(), stopping
        schema = json.loads((CATALOGUE / "schemas/OrderPlaced/1.0.json").read_text())
        self.checker = contract.Checker(EVENT, "1.0", schema)
        self.lanes, self.ends, self.committed = {}, {}, {}
        self.consumer = Consumer({**KAFKA, "group.id": GROUP, "enable.auto.commit": False, "auto.offset.reset": "error",
                                  "isolation.level": "read_committed", "partition.assignment.strategy": "cooperative-sticky"})

    def assign(self, consumer, partitions):
        for partition in consumer.committed(partitions, timeout=30):
            if partition.offset < 0:
                partition.offset = OFFSET_BEGINNING
            consumer.incremental_assign([partition])

    def revoke(self, consumer, partitions):
        self.commit()
        for number in [partition.partition for partition in partitions]:
            self.ends.pop(number, None)
            self.committed.pop(number, None)
            self.lanes = {lane: waiting for lane, waiting in self.lanes.items() if lane[0] != number}
        consumer.incremental_unassign(partitions)

    def commit(self):
        """The lowest offset that is not settled, of each partition."""
        lowest = dict(self.ends)
        for (number, _), waiting in self.lanes.items():
            lowest[number] = min(lowest[number], waiting[0].record.offset)
        moved = {number: offset for number, offset in lowest.items() if self.committed.get(number) != offset}
        if moved:
            self.consumer.commit(offsets=[TopicPartition(TOPIC, number, offset) for number, offset in moved.items()], asynchronous=False)
            self.committed.update(moved)

    def run(self):
        self.consumer.subscribe([TOPIC], on_assign=self.assign, on_revoke=self.revoke)
        while not self.stopping.is_set():
            # While too much waits nothing more is fetched; polling goes on, or the group would think us dead.
            full = sum(map(len, self.lanes.values())) >= WINDOW
            (self.consumer.pause if full else self.consumer.resume)(self.consumer.assignment())
            busy = any(waiting[0].due <= time.monotonic() for waiting in self.lanes.values())
            for message in self.consumer.consume(100, timeout=0 if busy else 0.1):
                if message.error():
                    raise RuntimeError(f"reading stopped: {message.error()}")
                record = Record(message.topic(), message.partition(), message.offset(), message.timestamp()[1],
                                message.key(), message.value(), message.headers() or [])
                self.lanes.setdefault((record.partition, record.key), deque()).append(Waiting(record))
                self.ends[record.partition] = record.offset + 1
            for lane in [lane for lane, waiting in self.lanes.items() if waiting[0].due <= time.monotonic()]:
                if self.settle(self.lanes[lane][0]):
                    self.lanes[lane].popleft()
                    if not self.lanes[lane]:
                        del self.lanes[lane]
            self.commit()
        self.consumer.close()

    def settle(self, waiting):
        """Whether the record is done with: handled, seen before, passed over, or dead."""
        record, replay = waiting.record, waiting.replay
        if replay and replay["replay.for"] != GROUP:
            return True
        event_id, tenant = contract.position_id(record), ""
        try:
            envelope = contract.open_envelope(record)
            event_id, tenant = envelope.get("event_id", event_id), envelope["tenant_id"]
            event_id = replay["event-bus.event-id"] if replay else event_id
            self.checker.check(envelope)
            waiting.attempts += 1
            transaction(self.db, lambda: self.handle(waiting, event_id, tenant, envelope))
        except sqlite3.OperationalError as error:
            # The database is in trouble, and not the event: that is no attempt.
            waiting.attempts -= 1
            waiting.due = time.monotonic() + 1
            print(error, file=sys.stderr)
            return False
        except Dead as dead:
            event_id = contract.position_id(record) if dead.reason == "id-collision" else event_id
            self.bury(waiting, dead, event_id, tenant)
        except Exception as error:
            waiting.first_failed_at = waiting.first_failed_at or now()
            if waiting.attempts <= len(WAITS):
                waiting.due = time.monotonic() + WAITS[waiting.attempts - 1] * random.uniform(0.8, 1.2)
                return False
            self.bury(waiting, Dead("retries-exhausted", type(error).__name__, str(error)), event_id, tenant)
        return True

    def handle(self, waiting, event_id, tenant, envelope):
        record, replay = waiting.record, waiting.replay
        row = (GROUP, tenant, record.topic, event_id)
        of_row = " WHERE consumer_group = ? AND epoch = 0 AND tenant_id = ? AND topic = ? AND event_id = ?"
        fresh = replay and self.db.execute(
            "UPDATE processed_events SET status = 'done', dlq_id = NULL" + of_row + " AND status = 'dead' AND dlq_id = ?",
            (*row, replay["replay.of"])).rowcount
        if not fresh:
            fresh = self.claim(record, event_id, tenant, "done", None)
            if not fresh and not replay:
                (seen,) = self.db.execute("SELECT value_sha256 FROM processed_events" + of_row, row).fetchone()
                if seen != hashlib.sha256(record.value).digest():
                    raise Dead("id-collision", "IdCollision", f"another event with the id {event_id} was handled")
        if fresh:
            capture(self.db, event_id, envelope, contract.last(record.headers, "traceparent"))
        if replay:
            self.tell(replay, "processed" if fresh else "duplicate")

    def claim(self, record, event_id, tenant, status, dlq_id):
        """Whether the row is new."""
        digest = hashlib.sha256(record.value or b"").digest()
        return self.db.execute(
            "INSERT INTO processed_events (consumer_group, tenant_id, topic, event_id, status, dlq_id, value_sha256, partition_id, "
            "record_offset) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (GROUP, tenant, record.topic, event_id, status, dlq_id, digest, record.partition, record.offset)).rowcount

    def bury(self, waiting, dead, event_id, tenant):
        """The dead row and the dead letter in one transaction; the letter only if the row is new, or the replayed one's."""
        record, replay, at = waiting.record, waiting.replay, now()
        headers = contract.dead_letter(record, GROUP, SERVICE, dead, waiting.attempts, waiting.first_failed_at or at, at, event_id)
        dlq_id = contract.derived(GROUP, record.topic, record.partition, record.offset)

        def work():
            again = replay and self.db.execute(
                "UPDATE processed_events SET dlq_id = ? WHERE consumer_group = ? AND epoch = 0 AND topic = ? AND event_id = ? "
                "AND status = 'dead' AND dlq_id = ?", (dlq_id, GROUP, record.topic, event_id, replay["replay.of"])).rowcount
            if again or self.claim(record, event_id, tenant, "dead", dlq_id):
                enqueue(self.db, event_id, record.topic + ".dlq", record.key, record.value, headers, record.partition)
            if replay:
                self.tell(replay, "dead-again" if again else "duplicate")

        transaction(self.db, work)

    def tell(self, replay, outcome):
        told = {"replay_id": replay["replay.id"], "dlq_id": replay["replay.of"], "group": GROUP, "service": SERVICE,
                "event_id": replay["event-bus.event-id"], "outcome": outcome, "at": now()}
        enqueue(self.db, told["event_id"], f"{NAMESPACE}.event-bus.outcomes", told["dlq_id"].encode(), json.dumps(told).encode(),
                [("content-type", "application/json")])


def place(count):
    """Orders of a new retailer each time, placed and then changed once: two events of each key."""
    db, relay = connect(), Relay()
    sample = json.loads((CATALOGUE / "samples/OrderPlaced/1.0/valid-two-lines.json").read_text())["payload"]
    tenant = "retailer-" + secrets.token_hex(4)
    for number in range(count):
        order_id = f"o-{tenant}-{number // 2}"

        def work():
            db.execute("INSERT INTO orders VALUES (?, 'placed') ON CONFLICT (order_id) DO UPDATE SET status = 'changed'", (order_id,))
            payload = {**sample, "order_id": order_id, "retailer_id": tenant, "placed_at": now()}
            publish(db, EVENT, TOPIC, "retailer", tenant, payload, contract.new_id(time.time_ns() // 1_000_000))

        transaction(db, work)
    while relay.turn(db):
        pass
    print(f"{count} orders placed")


if __name__ == "__main__":
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    if sys.argv[1] == "place":
        place(int(sys.argv[2]))
    else:
        sender = threading.Thread(target=Relay().run, args=[stop])
        sender.start()
        try:
            Payment(stop).run()
        finally:
            stop.set()
            sender.join()

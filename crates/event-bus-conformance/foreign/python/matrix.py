"""The matrix by kafka-python: create, produce, consume in a group of three, commit, reset, describe, delete.

Run as `python matrix.py HOST:PORT`; says what it checked, and ends with the first thing that was wrong.
"""

import sys
import threading
import time
import uuid

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetSpec, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

RECORDS = 300
PARTITIONS = 6
MEMBERS = 3
DEADLINE_S = 60
# Longer than a rebalance: this client forgets a JoinGroup that a poll's end leaves unanswered, and then spins.
POLL_MS = 5000

bootstrap = sys.argv[1]
topic = f"python-{uuid.uuid4().hex[:12]}"
group = f"python-group-{uuid.uuid4().hex[:12]}"
partitions = [TopicPartition(topic, index) for index in range(PARTITIONS)]


def check(what, seen, wanted):
    if seen != wanted:
        sys.exit(f"{what}: seen {seen!r}, wanted {wanted!r}")
    print(f"ok: {what}")


def create(admin):
    options = {"num_partitions": PARTITIONS, "replication_factor": 1, "configs": {"retention.ms": "3600000"}}
    admin.create_topics({topic: options}, wait_for_metadata=True)
    described = admin.describe_topics([topic])[0]
    check("the topic has its partitions", len(described["partitions"]), PARTITIONS)


def produce():
    """With every codec that needs no further package, from an idempotent producer."""
    for codec in [None, "gzip"]:
        producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type=codec)
        futures = []
        for number in range(RECORDS // 2):
            name = f"{codec}-{number}".encode()
            futures.append(producer.send(topic, key=name, value=name, headers=[("number", str(number).encode())]))
        producer.flush()
        written = [future.get(timeout=DEADLINE_S) for future in futures]
        producer.close()
        check(f"records are acknowledged, codec {codec}", len(written), RECORDS // 2)


class Member(threading.Thread):
    """A member of the group that reads until it is told to end, and commits what it reads."""

    def __init__(self):
        super().__init__(daemon=True)
        self.values = []
        self.assigned = set()
        self.end = threading.Event()

    def run(self):
        consumer = KafkaConsumer(
            topic,
            bootstrap_servers=bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=10000,
            heartbeat_interval_ms=500,
        )
        consumer.partitions_for_topic(topic)
        while not self.end.is_set():
            polled = consumer.poll(timeout_ms=POLL_MS)
            for records in polled.values():
                self.values.extend(record.value for record in records)
            # At once: the first that leaves makes the others begin again where they committed.
            if polled:
                consumer.commit()
            self.assigned = set(consumer.assignment())
        consumer.close(autocommit=False)


def until(what, holds):
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {DEADLINE_S} s")
        threading.Event().wait(0.05)
    print(f"ok: {what}")


def consume_in_a_group(admin):
    """Records come first to whoever is there first, so the records are sent once all three are."""
    members = [Member() for _ in range(MEMBERS)]
    for member in members:
        member.start()

    def shared():
        assigned = [member.assigned for member in members]
        return all(assigned) and sorted(set().union(*assigned)) == partitions and sum(map(len, assigned)) == PARTITIONS

    until("three members share the partitions", shared)
    described = admin.describe_groups([group])[group]
    check("the group has three members", len(described["members"]), MEMBERS)
    produce()
    until("every record is read", lambda: sum(len(member.values) for member in members) >= RECORDS)
    for member in members:
        member.end.set()
    for member in members:
        member.join(DEADLINE_S)
    values = sorted(value for member in members for value in member.values)
    check("no record is read twice", len(set(values)), len(values))


def committed(admin):
    offsets = admin.list_group_offsets(group)[group]
    return sum(offset.offset for offset in offsets.values())


def ends(admin, spec):
    found = admin.list_partition_offsets({partition: spec for partition in partitions})
    return sum(offset.offset for offset in found.values())


def commit_and_reset(admin):
    check("the group's offsets are committed", committed(admin), RECORDS)
    admin.reset_group_offsets(group, {partition: OffsetSpec.EARLIEST for partition in partitions})
    check("the group's offsets are reset", committed(admin), 0)
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    again = []
    until(
        "every record is read again",
        lambda: again.extend(r.value for rs in consumer.poll(timeout_ms=POLL_MS).values() for r in rs)
        or len(again) >= RECORDS,
    )
    consumer.close()
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    found = consumer.offsets_for_times({partition: 0 for partition in partitions})
    consumer.close()
    check("a time leads to the first records", sum(offset.offset for offset in found.values()), 0)


def transact():
    """One committed and one aborted transaction, seen by a reader of committed records."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"python-{uuid.uuid4().hex[:12]}")
    producer.init_transactions()
    for value, commits in [(b"aborted", False), (b"committed", True)]:
        producer.begin_transaction()
        producer.send(topic, value=value, partition=0).get(timeout=DEADLINE_S)
        if commits:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    producer.close()
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    consumer.assign([partitions[0]])
    consumer.seek_to_beginning(partitions[0])
    seen = []
    until(
        "the committed transaction is read",
        lambda: seen.extend(r.value for rs in consumer.poll(timeout_ms=POLL_MS).values() for r in rs)
        or b"committed" in seen,
    )
    check("the aborted transaction is not read", b"aborted" in seen, False)
    consumer.close()


def describe_and_delete(admin):
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    configs = admin.describe_configs([resource])["topic"][topic]
    check("the topic's setting is described", configs["retention.ms"]["value"], "3600000")
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "7200000"})])
    until(
        "the topic's setting is changed",
        lambda: admin.describe_configs([resource])["topic"][topic]["retention.ms"]["value"] == "7200000",
    )
    admin.create_partitions({topic: PARTITIONS + 1})
    until("the topic has grown", lambda: len(admin.describe_topics([topic])[0]["partitions"]) == PARTITIONS + 1)
    check("the cluster has one broker", len(admin.describe_cluster()["brokers"]), 1)
    end = ends(admin, OffsetSpec.LATEST)
    admin.delete_records({partition: -1 for partition in partitions})
    check("all records are deleted", ends(admin, OffsetSpec.EARLIEST), end)
    check("the group is deleted", admin.delete_groups([group])[group], "OK")
    check("the group is gone", group in [listed["group_id"] for listed in admin.list_groups()], False)
    admin.delete_topics([topic])
    until("the topic is gone", lambda: topic not in admin.list_topics())


def main():
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    create(admin)
    consume_in_a_group(admin)
    commit_and_reset(admin)
    transact()
    describe_and_delete(admin)
    admin.close()


main()

"""Reads the bus's records by CloudEvents' own SDK, and writes records for the bus by it.

    cloud_events.py read N        reads N records of OrderPlaced, and compares what the SDK says with the envelope
    cloud_events.py write N       writes N
"""

import json
import secrets
import sys
import time
from datetime import datetime, timezone

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

import contract
from service import CATALOGUE, EVENT, KAFKA, KEY, NAMESPACE, TOPIC


def read(count):
    consumer = Consumer({**KAFKA, "group.id": "cloud-events", "enable.auto.commit": False})
    partitions = consumer.list_topics(TOPIC, timeout=30).topics[TOPIC].partitions
    consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in partitions])
    for _ in range(count):
        message = consumer.poll(30)
        assert message is not None and not message.error(), message
        event = from_binary(KafkaMessage(dict(message.headers()), message.key(), message.value()), JSONFormat())
        envelope = event.get_data()
        assert event.get_specversion() == "1.0" and event.get_datacontenttype() == "application/json"
        assert (event.get_id(), event.get_type()) == (envelope["event_id"], EVENT)
        assert event.get_source() == f"/{NAMESPACE}/{envelope['service']}"
        assert event.get_time() == datetime.fromisoformat(envelope["occurred_at"].replace("Z", "+00:00"))
        assert event.get_extension("tenantid") == envelope["tenant_id"]
        assert event.get_extension("partitionkey") == message.key().decode()
    consumer.close()
    print(f"ok: {count} records are CloudEvents")


def write(count):
    producer = Producer({**KAFKA, "acks": "all", "enable.idempotence": True, "partitioner": "murmur2_random"})
    sample = json.loads((CATALOGUE / "samples/OrderPlaced/1.0/valid-two-lines.json").read_text())["payload"]
    for number in range(count):
        at, tenant = datetime.now(timezone.utc), f"python-{number}"
        envelope = {"event_id": contract.new_id(time.time_ns() // 1_000_000), "event": EVENT, "version": "1.0", "occurred_at": at.isoformat(),
                    "service": "retailer", "tenant_id": tenant, "payload": sample}
        event = CloudEvent(
            {"id": envelope["event_id"], "type": EVENT, "source": f"/{NAMESPACE}/retailer", "time": at, "tenantid": tenant,
             "datacontenttype": "application/json", "partitionkey": contract.ordering_key(envelope, KEY)}, envelope)
        message = to_binary(event, JSONFormat())
        trace = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
        producer.produce(TOPIC, message.value, message.key, headers={**message.headers, "traceparent": trace})
    assert producer.flush(30) == 0
    print(f"ok: {count} CloudEvents are written")


if __name__ == "__main__":
    {"read": read, "write": write}[sys.argv[1]](int(sys.argv[2]))

"""Holds contract.py against the golden vectors."""

import json
from pathlib import Path

import contract
from contract import Dead, Record


def given(headers):
    return [(name, value.encode() if value is not None else None) for name, value in headers]


def run(vectors, checker):
    read = lambda name: json.loads((vectors / name).read_text())
    for v in read("keys.json"):
        envelope = {"tenant_id": v["tenant_id"], "payload": json.loads(v["payload"])}
        try:
            key = contract.ordering_key(envelope, v["pointers"])
        except ValueError:
            key = None
        assert key == v["key"], v
    ids = read("ids.json")
    assert ids["namespace"] == str(contract.BUS)
    for v in ids["emitted"]:
        assert contract.derived(v["handled"], v["group"], v["ordinal"]) == v["id"], v
    for v in ids["of_position"]:
        record = Record(v["topic"], v["partition"], v["offset"], v["timestamp_ms"], None, v["value"].encode(), [])
        assert contract.position_id(record) == v["id"], v
    for v in ids["dead_letter"]:
        assert contract.derived(v["group"], v["topic"], v["partition"], v["offset"]) == v["id"], v
    for v in read("records.json"):
        made = dict(contract.first_headers("blindstrader", json.loads(v["envelope"])))
        assert made.pop("traceparent") and made == v["headers"], v
    for v in read("received.json"):
        value = bytes.fromhex(v["value_hex"]) if "value_hex" in v else v["value"] and v["value"].encode()
        value = b"" if v.get("value") == "" else value
        record = Record(v["topic"], 2, 5, 0, v["key"] and v["key"].encode(), value, [])
        try:
            envelope = contract.open_envelope(record)
            checker.check(envelope)
            assert v["reason"] is None and envelope.get("event_id") == v["event_id"], v
        except Dead as dead:
            assert dead.reason == v["reason"], (dead, v)
    for v in read("dead-letters.json"):
        r = v["record"]
        record = Record(r["topic"], r["partition"], r["offset"], r["timestamp_ms"], None, None, given(r["headers"]))
        dead = Dead(v["reason"], v["error_type"], v["message"])
        made = contract.dead_letter(record, v["group"], v["service"], dead, v["attempts"], v["first_failed_at"], v["failed_at"], v["event_id"])
        assert [h for h in made if h[0] != "dlq.fingerprint"] == given(v["letter"]["headers"]), v["what"]
        assert [record.partition % 6, record.partition % 12] == [v["letter"]["partition_of_6"], v["letter"]["partition_of_12"]]
    print("ok: the golden vectors hold")


if __name__ == "__main__":
    catalogue = Path(__file__).parents[3] / "catalogue"
    schema = json.loads((catalogue / "schemas/OrderPlaced/1.0.json").read_text())
    run(Path(__file__).parents[2] / "vectors", contract.Checker("OrderPlaced", "1.0", schema))

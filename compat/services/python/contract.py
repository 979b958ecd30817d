"""What docs/CONTRACT.md says: ids, keys, headers, what is an event, and what a dead letter looks like. No I/O."""

import hashlib
import json
import re
import secrets
import uuid
from collections import namedtuple
from urllib.parse import quote

from jsonschema import Draft202012Validator

BUS = uuid.UUID("b5f2a375-135e-4d6b-a71a-cc7273b12bd8")
MAX_RECORD, MAX_KEY, MAX_HEADERS, MAX_HEADER_BYTES, MAX_NESTING = 1_000_000, 1024, 64, 16 * 1024, 64
REPLAYS = {"replay.id", "replay.of", "replay.for", "replay.chain.seq", "replay.edited-by", "event-bus.event-id", "dlq.replays"}
SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)")
ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Record = namedtuple("Record", "topic partition offset timestamp_ms key value headers")


class Dead(Exception):
    """The record can't be handled, ever: the reason, the kind of the error, and the error."""

    def __init__(self, reason, kind, message):
        super().__init__(message)
        self.reason, self.kind, self.message = reason, kind, message


def derived(*parts):
    return str(uuid.uuid5(BUS, "\n".join(str(part) for part in parts)))


def position_id(record):
    digest = hashlib.sha256(record.value or b"").hexdigest()
    return derived(record.topic, record.partition, record.offset, record.timestamp_ms, digest)


def new_id(now_ms):
    """UUIDv7: the time, and the rest at random."""
    bits = now_ms << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=bits))


def ordering_key(envelope, pointers):
    parts = []
    for pointer in pointers:
        value = envelope
        for token in pointer.split("/")[1:]:
            value = value[token.replace("~1", "/").replace("~0", "~")]
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise ValueError(f"{pointer} holds neither a string nor an integer")
        parts.append(quote(str(value), safe="-_.~"))
    return "/".join(parts)


def first_headers(namespace, envelope, trace=None):
    span = f"-{secrets.token_hex(8)}-01"
    return [
        ("ce_specversion", "1.0"),
        ("ce_id", envelope["event_id"]),
        ("ce_type", envelope["event"]),
        ("ce_source", f"/{namespace}/{envelope['service']}"),
        ("ce_time", envelope["occurred_at"]),
        ("ce_tenantid", envelope["tenant_id"]),
        ("content-type", "application/json"),
        ("traceparent", (trace[:35] if trace else f"00-{secrets.token_hex(16)}") + span),
    ]


def last(headers, name):
    value = next((value for key, value in reversed(headers) if key == name), None)
    return value.decode("utf-8", "replace") if value is not None else None


def nesting(text):
    deepest, depth, quoted, escaped = 0, 0, False, False
    for byte in text:
        if quoted:
            quoted, escaped = escaped or byte != 0x22, not escaped and byte == 0x5C
        elif byte == 0x22:
            quoted = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def once(pairs):
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field occurs twice")
    return fields


def no_constant(name):
    raise ValueError(f"{name} is not JSON")


def check_limits(record):
    counted, seen = [], set()
    for name, value in record.headers:
        if name in REPLAYS and name not in seen:
            seen.add(name)
        else:
            counted.append(len(name.encode()) + len(value or b""))
    if len(record.key or b"") > MAX_KEY or len(counted) > MAX_HEADERS or sum(counted) > MAX_HEADER_BYTES:
        raise Dead("malformed", "LimitExceeded", "the key or the headers are too large")
    if len(record.key or b"") + len(record.value) + sum(counted) > MAX_RECORD:
        raise Dead("too-large", "LimitExceeded", f"the record has more than {MAX_RECORD} bytes")


def is_name(value, pattern):
    return isinstance(value, str) and pattern.fullmatch(value)


def open_envelope(record):
    """The envelope, its id in lower case, or why there is none."""
    if record.value is None:
        raise Dead("null-value", "NullValue", "the record has no value, so it is no event")
    check_limits(record)
    if nesting(record.value) > MAX_NESTING:
        raise Dead("malformed", "TooDeep", f"nested deeper than {MAX_NESTING} levels")
    try:
        envelope = json.loads(record.value.decode(), object_pairs_hook=once, parse_constant=no_constant)
    except ValueError as error:
        raise Dead("malformed", "NotJson", f"no JSON: {error}") from error
    tenant = envelope.get("tenant_id") if isinstance(envelope, dict) else None
    is_envelope = (
        isinstance(tenant, str)
        and 1 <= len(tenant.encode("utf-8", "replace")) <= 128
        and not re.search(r"[\x00-\x1f\x7f-\x9f]", tenant)
        and isinstance(envelope.get("event"), str)
        and is_name(envelope.get("version"), VERSION)
        and is_name(envelope.get("occurred_at"), TIME)
        and is_name(envelope.get("service"), SLUG)
        and "payload" in envelope
        and ("event_id" not in envelope or is_name(envelope["event_id"], ID) and uuid.UUID(envelope["event_id"]).int)
    )
    if not is_envelope:
        raise Dead("malformed", "NotAnEnvelope", "JSON, but not an envelope")
    if "event_id" in envelope:
        envelope["event_id"] = envelope["event_id"].lower()
    return envelope


class Checker:
    """What may arrive on the topic of one event, of one major version."""

    def __init__(self, event, version, schema):
        self.event, self.major = event, version.split(".")[0]
        self.validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)

    def check(self, envelope):
        if envelope["event"] != self.event:
            raise Dead("wrong-topic", "WrongTopic", f"the envelope says {envelope['event']}, not {self.event}")
        if envelope["version"].split(".")[0] != self.major:
            raise Dead("unsupported-version", "UnsupportedVersion", f"version {envelope['version']} is not known")
        wrong = [f"/{'/'.join(map(str, error.absolute_path))}: {error.validator}" for error in self.validator.iter_errors(envelope["payload"])]
        if wrong:
            raise Dead("schema-invalid", "SchemaInvalid", "; ".join(wrong))


def is_added(name):
    return name.startswith(("dlq.", "__dlq.errors.", "replay.")) or name == "event-bus.event-id"


def dead_letter(record, group, service, dead, attempts, first_failed_at, failed_at, event_id):
    """The headers of the record for the dead letter topic; key and value stay as they are."""
    fingerprint = hashlib.sha256(f"{group} {dead.reason} {dead.kind}".encode()).hexdigest()[:16]
    added = {
        "__dlq.errors.topic": record.topic,
        "__dlq.errors.partition": record.partition,
        "__dlq.errors.offset": record.offset,
        "__dlq.errors.group": group,
        "__dlq.errors.delivery.count": attempts,
        "__dlq.errors.message": dead.message.encode()[:4096].decode(errors="ignore"),
        "dlq.id": derived(group, record.topic, record.partition, record.offset),
        "dlq.reason": dead.reason,
        "dlq.error.type": dead.kind,
        "dlq.fingerprint": fingerprint,
        "dlq.first-failed-at": first_failed_at,
        "dlq.failed-at": failed_at,
        "dlq.service": service,
        "dlq.replays": last(record.headers, "dlq.replays") or "0",
        "event-bus.event-id": event_id,
    }
    if last(record.headers, "replay.of"):
        added["dlq.previous"] = last(record.headers, "replay.of")
    kept = [(name, value) for name, value in record.headers if not is_added(name)]
    return kept + [(name, str(value).encode()) for name, value in added.items()]

-- The bucket of a topic and key, by which relays share the rows out: shard = bucket % 8. SQLite has no hash function, so
-- it is made of their lengths and the key's last characters.
ALTER TABLE outbox ADD COLUMN bucket INTEGER GENERATED ALWAYS AS (
    (31 * length(topic) + 7 * length(hex(coalesce(record_key, '')))
     + 1 * instr('0123456789ABCDEF', substr(hex(coalesce(record_key, '')), -1, 1))
     + 3 * instr('0123456789ABCDEF', substr(hex(coalesce(record_key, '')), -3, 1))
     + 37 * instr('0123456789ABCDEF', substr(hex(coalesce(record_key, '')), -5, 1))
     + 77 * instr('0123456789ABCDEF', substr(hex(coalesce(record_key, '')), -7, 1))) & 1023
) VIRTUAL;

INSERT INTO outbox_lease (shard) VALUES (1), (2), (3), (4), (5), (6), (7);

-- The relays that are alive. Each holds its share of the shards.
CREATE TABLE outbox_relays (
    holder     TEXT PRIMARY KEY,
    expires_at REAL NOT NULL
);

-- What somebody decided never to send.
CREATE TABLE outbox_discarded (
    id           INTEGER PRIMARY KEY,
    event_id     TEXT    NOT NULL,
    topic        TEXT    NOT NULL,
    partition_id INTEGER,
    record_key   BLOB,
    record_value BLOB,
    headers      TEXT    NOT NULL,
    error        TEXT,
    created_at   TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    discarded_at TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

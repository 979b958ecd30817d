-- The inbox. Written before any effect of a handler, in the handler's transaction.
CREATE TABLE processed_events (
    consumer_group TEXT    NOT NULL,
    epoch          INTEGER NOT NULL DEFAULT 0,
    tenant_id      TEXT    NOT NULL,
    topic          TEXT    NOT NULL,
    event_id       TEXT    NOT NULL,
    status         TEXT    NOT NULL CHECK (status IN ('done', 'dead')),
    dlq_id         TEXT,
    value_sha256   BLOB    NOT NULL,
    partition_id   INTEGER NOT NULL,
    record_offset  INTEGER NOT NULL,
    processed_at   TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (consumer_group, epoch, tenant_id, topic, event_id)
) WITHOUT ROWID;

-- The outbox. AUTOINCREMENT: the id of a deleted row is never given again.
CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id     TEXT    NOT NULL,
    topic        TEXT    NOT NULL,
    partition_id INTEGER,
    record_key   BLOB,
    record_value BLOB,
    headers      TEXT    NOT NULL DEFAULT '[]',
    status       TEXT    NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'quarantined')),
    error        TEXT,
    created_at   TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE INDEX outbox_quarantined ON outbox (topic, record_key, id) WHERE status = 'quarantined';

CREATE TABLE outbox_lease (
    shard      INTEGER PRIMARY KEY,
    holder     TEXT,
    token      INTEGER NOT NULL DEFAULT 0,
    expires_at REAL    NOT NULL DEFAULT 0
);
INSERT INTO outbox_lease (shard) VALUES (0);

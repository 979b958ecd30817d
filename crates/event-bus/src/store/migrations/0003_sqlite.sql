-- The id first: it tells almost all rows apart, and comparisons end at it.
CREATE TABLE processed_events_by_id (
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
    PRIMARY KEY (event_id, tenant_id, topic, consumer_group, epoch)
) WITHOUT ROWID;
INSERT INTO processed_events_by_id
    (consumer_group, epoch, tenant_id, topic, event_id, status, dlq_id, value_sha256, partition_id, record_offset,
     processed_at)
SELECT consumer_group, epoch, tenant_id, topic, event_id, status, dlq_id, value_sha256, partition_id, record_offset,
       processed_at
FROM processed_events;
DROP TABLE processed_events;
ALTER TABLE processed_events_by_id RENAME TO processed_events;

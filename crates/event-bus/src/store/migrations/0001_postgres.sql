-- The inbox. Written before any effect of a handler, in the handler's transaction.
CREATE TABLE processed_events (
    consumer_group text        NOT NULL,
    epoch          integer     NOT NULL DEFAULT 0,
    tenant_id      text        NOT NULL,
    topic          text        NOT NULL,
    event_id       uuid        NOT NULL,
    status         text        NOT NULL CHECK (status IN ('done', 'dead')),
    dlq_id         uuid,
    value_sha256   bytea       NOT NULL,
    partition_id   integer     NOT NULL,
    record_offset  bigint      NOT NULL,
    processed_at   timestamptz NOT NULL DEFAULT now(),
    -- No partitioning by time: the partition column would join the key and end deduplication.
    PRIMARY KEY (consumer_group, epoch, tenant_id, topic, event_id)
);

-- The outbox. Per topic and key the order of ids is the order of commits.
CREATE TABLE outbox (
    -- CACHE 1: with more, a session's later id could be smaller than another session's earlier one.
    id           bigint      GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    event_id     uuid        NOT NULL,
    topic        text        NOT NULL,
    partition_id integer,
    record_key   bytea,
    record_value bytea,
    headers      text        NOT NULL DEFAULT '[]',
    status       text        NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'quarantined')),
    error        text,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_quarantined ON outbox (topic, record_key, id) WHERE status = 'quarantined';

CREATE TABLE outbox_lease (
    shard      integer     PRIMARY KEY,
    holder     uuid,
    token      bigint      NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO outbox_lease (shard) VALUES (0);

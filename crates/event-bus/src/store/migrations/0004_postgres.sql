-- The bucket of a topic and key: what is locked while their rows are written, and by which relays share the rows out.
-- The first 16 bits of a SHA-256, and none of PostgreSQL's own hashes, for those may change with its version.
CREATE FUNCTION event_bus_bucket(topic text, record_key bytea) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ('x' || substr(encode(sha256(decode(topic, 'escape') || '\x00'::bytea || coalesce(record_key, ''::bytea)),
                                 'hex'), 1, 4))::bit(16)::integer & 1023;

ALTER TABLE outbox ADD COLUMN bucket integer GENERATED ALWAYS AS (event_bus_bucket(topic, record_key)) STORED NOT NULL;
-- Rows come and go all the time, so a share of the table's size says nothing about its dead rows.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
                        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000);

-- A relay holds shards: shard = bucket % 8.
INSERT INTO outbox_lease (shard) SELECT generate_series(1, 7);

-- The relays that are alive. Each holds its share of the shards.
CREATE TABLE outbox_relays (
    holder     uuid        PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

-- What somebody decided never to send.
CREATE TABLE outbox_discarded (
    id           bigint      PRIMARY KEY,
    event_id     uuid        NOT NULL,
    topic        text        NOT NULL,
    partition_id integer,
    record_key   bytea,
    record_value bytea,
    headers      text        NOT NULL,
    error        text,
    created_at   timestamptz NOT NULL,
    reason       text        NOT NULL,
    discarded_at timestamptz NOT NULL DEFAULT now()
);

-- For a transaction that enqueues under several topics and keys: takes the locks of all of them in the one order in
-- which nobody waits for each other in a ring. First the locks, then the rows.
CREATE FUNCTION event_bus_lock(topics text[], record_keys bytea[]) RETURNS void
    LANGUAGE sql
    BEGIN ATOMIC
        SELECT count(pg_advisory_xact_lock(1161973592, bucket))
        FROM (SELECT DISTINCT event_bus_bucket(topic, record_key) AS bucket
              FROM unnest(topics, record_keys) AS record (topic, record_key)
              ORDER BY bucket) AS buckets;
        SELECT;
    END;

-- Writes one event into the outbox, for services without the library. Gives the row's id.
CREATE FUNCTION event_bus_enqueue(event_id uuid, topic text, record_key bytea, record_value bytea,
                                  headers text DEFAULT '[]') RETURNS bigint
    LANGUAGE sql
    BEGIN ATOMIC
        SELECT pg_advisory_xact_lock(1161973592, event_bus_bucket(topic, record_key));
        INSERT INTO outbox (event_id, topic, record_key, record_value, headers)
        VALUES (event_id, topic, record_key, record_value, headers)
        RETURNING id;
    END;

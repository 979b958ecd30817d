-- What many dead letters say alike, once. Where a dead letter says nothing, it has 0.
CREATE TABLE ops_names (
    id   integer PRIMARY KEY AUTOINCREMENT,
    name text   NOT NULL UNIQUE
);

CREATE TABLE ops_letters (
    seq             integer PRIMARY KEY AUTOINCREMENT,
    id              text    NOT NULL UNIQUE,
    event_id        text    NOT NULL,
    dlq_topic       bigint  NOT NULL,
    dlq_partition   bigint  NOT NULL,
    dlq_offset      bigint  NOT NULL,
    topic           bigint  NOT NULL,
    partition_id    bigint  NOT NULL,
    record_offset   bigint  NOT NULL,
    consumer_group  bigint  NOT NULL,
    service         bigint  NOT NULL,
    tenant          bigint  NOT NULL,
    event           bigint  NOT NULL,
    version         bigint  NOT NULL,
    reason          bigint  NOT NULL,
    error_type      bigint  NOT NULL,
    fingerprint     bigint  NOT NULL,
    message         text    NOT NULL,
    record_key      text,
    attempts        bigint  NOT NULL,
    replays         bigint  NOT NULL,
    previous        text,
    chain_seq       bigint,
    first_failed_at bigint  NOT NULL,
    failed_at       bigint  NOT NULL,
    -- Follows from ops_histories.
    state           bigint  NOT NULL,
    replay          text,
    resolved_at     bigint
);

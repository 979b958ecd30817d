-- Who owns a partition. A transaction under an older token is not committed.
CREATE TABLE partition_owners (
    consumer_group text        NOT NULL,
    topic          text        NOT NULL,
    partition_id   integer     NOT NULL,
    token          bigint      NOT NULL DEFAULT 0,
    -- From the takeover to the release. An owner that died leaves it so.
    is_dirty       boolean     NOT NULL DEFAULT false,
    taken_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic, partition_id)
);

-- Attempts that were noted before they began, of events that may kill their process.
CREATE TABLE noted_attempts (
    consumer_group text    NOT NULL,
    topic          text    NOT NULL,
    partition_id   integer NOT NULL,
    record_offset  bigint  NOT NULL,
    attempts       bigint  NOT NULL,
    PRIMARY KEY (consumer_group, topic, partition_id, record_offset)
);

-- Keys whose later events follow a dead letter.
CREATE TABLE parked_keys (
    consumer_group text        NOT NULL,
    topic          text        NOT NULL,
    partition_id   integer     NOT NULL,
    -- Records without a key share a lane; a column of a primary key can't be null.
    is_keyless     boolean     NOT NULL,
    record_key     bytea       NOT NULL,
    tail_seq       bigint      NOT NULL,
    applied_seq    bigint      NOT NULL DEFAULT 0,
    parked_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic, partition_id, is_keyless, record_key)
);

-- Who owns a partition. A transaction under an older token is not committed.
CREATE TABLE partition_owners (
    consumer_group TEXT    NOT NULL,
    topic          TEXT    NOT NULL,
    partition_id   INTEGER NOT NULL,
    token          INTEGER NOT NULL DEFAULT 0,
    -- From the takeover to the release. An owner that died leaves it so.
    is_dirty       INTEGER NOT NULL DEFAULT 0,
    taken_at       TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (consumer_group, topic, partition_id)
) WITHOUT ROWID;

-- Attempts that were noted before they began, of events that may kill their process.
CREATE TABLE noted_attempts (
    consumer_group TEXT    NOT NULL,
    topic          TEXT    NOT NULL,
    partition_id   INTEGER NOT NULL,
    record_offset  INTEGER NOT NULL,
    attempts       INTEGER NOT NULL,
    PRIMARY KEY (consumer_group, topic, partition_id, record_offset)
) WITHOUT ROWID;

-- Keys whose later events follow a dead letter.
CREATE TABLE parked_keys (
    consumer_group TEXT    NOT NULL,
    topic          TEXT    NOT NULL,
    partition_id   INTEGER NOT NULL,
    -- Records without a key share a lane.
    is_keyless     INTEGER NOT NULL,
    record_key     BLOB    NOT NULL,
    tail_seq       INTEGER NOT NULL,
    applied_seq    INTEGER NOT NULL DEFAULT 0,
    parked_at      TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (consumer_group, topic, partition_id, is_keyless, record_key)
) WITHOUT ROWID;

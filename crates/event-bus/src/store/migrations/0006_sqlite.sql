-- Ranges of the log that a group reads once more. Of those that hold an event the one with the greatest seq counts.
CREATE TABLE inbox_reruns (
    consumer_group TEXT    NOT NULL,
    topic          TEXT    NOT NULL,
    topic_id       TEXT    NOT NULL,
    partition_id   INTEGER NOT NULL,
    rerun_id       TEXT    NOT NULL,
    seq            INTEGER NOT NULL,
    first_offset   INTEGER NOT NULL,
    -- What is meant ends here, and what the group had settled there.
    upto_offset    INTEGER NOT NULL,
    end_offset     INTEGER NOT NULL,
    -- Only events of this key, and of this tenant.
    record_key     TEXT,
    tenant_id      TEXT,
    -- Whether all runs again, under seq as its epoch. Else only what never took effect does.
    is_anew        INTEGER NOT NULL,
    emits          INTEGER NOT NULL,
    -- Rows of the epoch may have been purged below: what has none there ran.
    purged_below   INTEGER NOT NULL DEFAULT 0,
    -- Whether the group has passed it.
    is_over        INTEGER NOT NULL DEFAULT 0,
    opened_at      TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (consumer_group, topic, topic_id, partition_id, rerun_id)
) WITHOUT ROWID;

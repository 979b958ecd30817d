-- Ranges of the log that a group reads once more. Of those that hold an event the one with the greatest seq counts.
CREATE TABLE inbox_reruns (
    consumer_group text        NOT NULL,
    topic          text        NOT NULL,
    topic_id       uuid        NOT NULL,
    partition_id   integer     NOT NULL,
    rerun_id       uuid        NOT NULL,
    seq            integer     NOT NULL,
    first_offset   bigint      NOT NULL,
    -- What is meant ends here, and what the group had settled there.
    upto_offset    bigint      NOT NULL,
    end_offset     bigint      NOT NULL,
    -- Only events of this key, and of this tenant.
    record_key     text,
    tenant_id      text,
    -- Whether all runs again, under seq as its epoch. Else only what never took effect does.
    is_anew        boolean     NOT NULL,
    emits          boolean     NOT NULL,
    -- Rows of the epoch may have been purged below: what has none there ran.
    purged_below   bigint      NOT NULL DEFAULT 0,
    -- Whether the group has passed it.
    is_over        boolean     NOT NULL DEFAULT false,
    opened_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic, topic_id, partition_id, rerun_id)
);

-- Below which offsets rows of the inbox were purged. What stands there took effect, also where it has no row any more.
-- A topic that is deleted and made anew has another id, and counts from 0 again.
CREATE TABLE inbox_purged_below (
    consumer_group TEXT    NOT NULL,
    topic          TEXT    NOT NULL,
    topic_id       TEXT    NOT NULL,
    partition_id   INTEGER NOT NULL,
    record_offset  INTEGER NOT NULL,
    PRIMARY KEY (consumer_group, topic, topic_id, partition_id)
) WITHOUT ROWID;

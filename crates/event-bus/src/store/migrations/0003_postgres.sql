-- The id first: it tells almost all rows apart, and comparisons end at it. Behind the group, the topic and the tenant,
-- which are alike in most rows, those were compared at each step down the index.
ALTER TABLE processed_events
    DROP CONSTRAINT processed_events_pkey,
    ADD PRIMARY KEY (event_id, tenant_id, topic, consumer_group, epoch);

-- The first two statements of a transaction of a partition's owner, in one round trip. A takeover holds the lock alone.
-- Each statement of a volatile function has a snapshot of its own, so the second sees what the lock was waited for.
CREATE FUNCTION event_bus_share_partition(
    lock_class integer, lock_key integer, of_group text, of_topic text, of_partition integer)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    present bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(lock_class, lock_key);
    SELECT token INTO present FROM partition_owners
    WHERE consumer_group = of_group AND topic = of_topic AND partition_id = of_partition;
    RETURN present;
END
$$;

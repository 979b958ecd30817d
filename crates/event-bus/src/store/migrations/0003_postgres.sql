-- The id first: it tells almost all rows apart, and comparisons end at it. Behind the group, the topic and the tenant,
-- which are alike in most rows, those were compared at each step down the index.
ALTER TABLE processed_events
    DROP CONSTRAINT processed_events_pkey,
    ADD PRIMARY KEY (event_id, tenant_id, topic, consumer_group, epoch);

-- How a transaction of a partition's owner begins, in one round trip. A takeover holds the lock alone. Each statement of
-- a volatile function has a snapshot of its own, so the last one sees what the lock was waited for.
-- The time-outs are of this transaction only: an owner that is frozen in it does not hold the partition for ever.
CREATE FUNCTION event_bus_share_partition(
    lock_class integer, lock_key integer, of_group text, of_topic text, of_partition integer, limit_ms integer)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    present bigint;
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', limit_ms::text, true),
            set_config('statement_timeout', limit_ms::text, true),
            pg_advisory_xact_lock_shared(lock_class, lock_key);
    SELECT token INTO present FROM partition_owners
    WHERE consumer_group = of_group AND topic = of_topic AND partition_id = of_partition;
    RETURN present;
END
$$;

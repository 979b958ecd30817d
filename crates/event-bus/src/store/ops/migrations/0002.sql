-- How far the topics are read.
CREATE TABLE ops_positions (
    topic        text    NOT NULL,
    partition_id integer NOT NULL,
    next_offset  bigint  NOT NULL,
    PRIMARY KEY (topic, partition_id)
);

-- What was decided about a dead letter and what became of it, which may be told before the dead letter is read.
CREATE TABLE ops_histories (
    letter   text PRIMARY KEY,
    action   text,
    deed     text,
    outcome  text,
    ended_at bigint
);

-- Replays of which it was told that there was nothing to do.
CREATE TABLE ops_idle (
    letter  text   NOT NULL,
    replay  text   NOT NULL,
    outcome text   NOT NULL,
    at      bigint NOT NULL,
    PRIMARY KEY (letter, replay)
);

-- The sums of ops_letters, for pages that count. Times are of all that ever were in the state.
CREATE TABLE ops_sums (
    fingerprint    bigint NOT NULL,
    consumer_group bigint NOT NULL,
    topic          bigint NOT NULL,
    service        bigint NOT NULL,
    tenant         bigint NOT NULL,
    event          bigint NOT NULL,
    version        bigint NOT NULL,
    reason         bigint NOT NULL,
    state          bigint NOT NULL,
    letters        bigint NOT NULL,
    first_seen     bigint NOT NULL,
    last_seen      bigint NOT NULL,
    first_resolved bigint,
    PRIMARY KEY (fingerprint, consumer_group, topic, service, tenant, event, version, reason, state)
);

CREATE INDEX ops_letters_failed_at ON ops_letters (failed_at, seq);
CREATE INDEX ops_letters_event_id ON ops_letters (event_id);
CREATE INDEX ops_letters_topic ON ops_letters (topic, failed_at, seq);
CREATE INDEX ops_letters_group ON ops_letters (consumer_group, failed_at, seq);
CREATE INDEX ops_letters_service ON ops_letters (service, failed_at, seq);
CREATE INDEX ops_letters_tenant ON ops_letters (tenant, failed_at, seq);
CREATE INDEX ops_letters_event ON ops_letters (event, failed_at, seq);
CREATE INDEX ops_letters_reason ON ops_letters (reason, failed_at, seq);
CREATE INDEX ops_letters_state ON ops_letters (state, failed_at, seq);
CREATE INDEX ops_letters_fingerprint ON ops_letters (fingerprint, state, failed_at, seq);

-- Replays, each of an exact list of dead letters.
CREATE TABLE ops_replays (
    id          text   PRIMARY KEY,
    stage       text   NOT NULL,
    why_stopped text,
    asked_by    text   NOT NULL,
    reason      text,
    asked_at    bigint NOT NULL,
    guard       text   NOT NULL,
    letters     bigint NOT NULL,
    ended_by    text,
    holder      text,
    held_until  bigint NOT NULL DEFAULT 0
);

-- A lane is a partition of a dead letter topic. What of it is replayed goes in the order of the places; up to `sent` it went.
CREATE TABLE ops_replay_lanes (
    replay        text   NOT NULL REFERENCES ops_replays (id),
    dlq_topic     bigint NOT NULL,
    dlq_partition bigint NOT NULL,
    letters       bigint NOT NULL,
    sent          bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (replay, dlq_topic, dlq_partition)
);

-- With all that its record takes, so that a replay goes on while the index is read again.
CREATE TABLE ops_replay_letters (
    replay         text   NOT NULL REFERENCES ops_replays (id),
    dlq_topic      bigint NOT NULL,
    dlq_partition  bigint NOT NULL,
    place          bigint NOT NULL,
    dlq_offset     bigint NOT NULL,
    letter         text   NOT NULL,
    topic          bigint NOT NULL,
    partition_id   bigint NOT NULL,
    consumer_group bigint NOT NULL,
    event_id       text   NOT NULL,
    chain_seq      bigint,
    -- As it was told, or why it was not sent: gone, refused.
    outcome        text,
    PRIMARY KEY (replay, dlq_topic, dlq_partition, place)
);

CREATE UNIQUE INDEX ops_replay_letters_letter ON ops_replay_letters (replay, letter);
CREATE INDEX ops_replay_letters_outcome ON ops_replay_letters (replay, outcome);

-- Who may use the API. A token is not kept, but what it is known by.
CREATE TABLE ops_tokens (
    name         text   PRIMARY KEY,
    role         text   NOT NULL,
    token_sha256 text   NOT NULL UNIQUE,
    made_at      bigint NOT NULL
);

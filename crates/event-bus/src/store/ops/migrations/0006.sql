-- How many dead letters of a failure died in an hour since 1970, of each tenant, and in its row -1 of all of them. What is
-- long over goes.
CREATE TABLE ops_hours (
    fingerprint bigint NOT NULL,
    tenant      bigint NOT NULL,
    hour        bigint NOT NULL,
    service     bigint NOT NULL,
    letters     bigint NOT NULL,
    PRIMARY KEY (fingerprint, tenant, hour, service)
);

CREATE INDEX ops_hours_hour ON ops_hours (hour);

INSERT INTO ops_hours (fingerprint, tenant, hour, service, letters)
SELECT fingerprint, tenant, failed_at / 3600000000000, service, count(*) FROM ops_letters
GROUP BY fingerprint, tenant, failed_at / 3600000000000, service;

INSERT INTO ops_hours (fingerprint, tenant, hour, service, letters)
SELECT fingerprint, -1, failed_at / 3600000000000, service, count(*) FROM ops_letters
GROUP BY fingerprint, failed_at / 3600000000000, service;

-- What operators write about failures. It is nowhere else, and outlasts the index.
CREATE TABLE ops_notes (
    id          text   PRIMARY KEY,
    fingerprint text   NOT NULL,
    author      text   NOT NULL,
    body        text   NOT NULL,
    written_at  bigint NOT NULL
);

CREATE INDEX ops_notes_fingerprint ON ops_notes (fingerprint, written_at);

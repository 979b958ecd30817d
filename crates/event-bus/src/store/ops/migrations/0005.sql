-- What one asked for and another one has to approve.
CREATE TABLE ops_requests (
    id         text   PRIMARY KEY,
    action     text   NOT NULL,
    asked_by   text   NOT NULL,
    asked_at   bigint NOT NULL,
    expires_at bigint NOT NULL,
    reason     text,
    guard      text,
    letters    bigint NOT NULL,
    stage      text   NOT NULL,
    decided_by text,
    decided_at bigint,
    why        text
);

CREATE INDEX ops_requests_asked_at ON ops_requests (asked_at);

-- The dead letters that it is about, as they were when it was asked for.
CREATE TABLE ops_request_letters (
    request text NOT NULL REFERENCES ops_requests (id),
    letter  text NOT NULL,
    PRIMARY KEY (request, letter)
);

-- Whose dead letters these are.
CREATE TABLE ops_request_parts (
    request text   NOT NULL REFERENCES ops_requests (id),
    service bigint NOT NULL,
    tenant  bigint NOT NULL,
    PRIMARY KEY (request, service, tenant)
);

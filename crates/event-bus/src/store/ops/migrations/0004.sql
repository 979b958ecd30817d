-- What somebody did, written before. Rows are only ever added.
CREATE TABLE ops_audit (
    seq      bigint PRIMARY KEY,
    at       bigint NOT NULL,
    actor    text   NOT NULL,
    role     text   NOT NULL,
    action   text   NOT NULL,
    object   text   NOT NULL,
    reason   text,
    detail   text   NOT NULL,
    previous text   NOT NULL,
    hash     text   NOT NULL UNIQUE,
    -- Whether it is on the topic of audit.
    is_sent  bigint NOT NULL DEFAULT 0
);

CREATE INDEX ops_audit_actor ON ops_audit (actor, seq);
CREATE INDEX ops_audit_action ON ops_audit (action, seq);
CREATE INDEX ops_audit_unsent ON ops_audit (is_sent, seq);

-- Names the chain of this store.
CREATE TABLE ops_audit_chain (
    id text PRIMARY KEY
);

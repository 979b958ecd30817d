-- What the holder of a token may see, each a JSON list of names; null for all.
ALTER TABLE ops_tokens ADD COLUMN services text;
ALTER TABLE ops_tokens ADD COLUMN tenants text;

-- Who may sign in to the panel. Who has no password yet was invited.
CREATE TABLE ops_users (
    name        text   PRIMARY KEY,
    role        text   NOT NULL,
    services    text,
    tenants     text,
    -- An argon2id hash as a PHC string.
    password    text,
    is_disabled bigint NOT NULL DEFAULT 0,
    made_at     bigint NOT NULL
);

-- Links that are good once. That of the first user names nobody.
CREATE TABLE ops_invitations (
    token_sha256 text   PRIMARY KEY,
    user_name    text   REFERENCES ops_users (name),
    expires_at   bigint NOT NULL
);

CREATE INDEX ops_invitations_user ON ops_invitations (user_name);

-- Who is signed in. The id is in a cookie and nowhere else.
CREATE TABLE ops_sessions (
    id_sha256 text   PRIMARY KEY,
    user_name text   NOT NULL REFERENCES ops_users (name),
    opened_at bigint NOT NULL,
    seen_at   bigint NOT NULL,
    -- When the password was given last.
    proved_at bigint NOT NULL
);

CREATE INDEX ops_sessions_user ON ops_sessions (user_name);

-- Whose dead letters are in a replay.
CREATE TABLE ops_replay_parts (
    replay  text   NOT NULL REFERENCES ops_replays (id),
    service bigint NOT NULL,
    tenant  bigint NOT NULL,
    PRIMARY KEY (replay, service, tenant)
);

-- Who signs in by a provider of identities: which one, and what it knows the user by. Such a user has no password.
ALTER TABLE ops_users ADD COLUMN issuer text;
ALTER TABLE ops_users ADD COLUMN subject text;

CREATE UNIQUE INDEX ops_users_subject ON ops_users (issuer, subject);

-- Tokens that are not accepted any more although they have not expired, so that a restart does not forget them
-- and all processes with this database know them. Times are seconds since 1970.

CREATE TABLE revocations (
    id TEXT PRIMARY KEY,
    -- No foreign key: a project of a key in the configuration is not in this database.
    project TEXT NOT NULL,
    -- 'token', 'user', 'account', 'key' or 'project'.
    kind TEXT NOT NULL,
    -- The id of the token or key, the name of the user, the hash of the account, or empty.
    value TEXT NOT NULL,
    -- Of a user or account: tokens that were issued later are valid.
    since BIGINT NOT NULL,
    -- When the last of the tokens has expired. The row is deleted afterwards.
    until BIGINT NOT NULL
);

CREATE INDEX revocations_of_project ON revocations (project, until);

-- Accounts, keys and the audit log. The same text runs on SQLite and PostgreSQL.
--
-- A migration only adds tables, and columns with a default: the previous version of the program may still be
-- running. Times are milliseconds since 1970. Ids begin with their time of creation, so that their order is
-- that of creation.

CREATE TABLE projects (
    name TEXT PRIMARY KEY,
    created_at BIGINT NOT NULL
);

INSERT INTO projects (name, created_at) VALUES ('default', 0);

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL REFERENCES projects (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    is_admin BOOLEAN NOT NULL,
    is_disabled BOOLEAN NOT NULL,
    -- Sessions of an earlier epoch have ended.
    session_epoch BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (project, name)
);

CREATE TABLE api_keys (
    -- The `kid` in the header of a token.
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL REFERENCES projects (name) ON DELETE CASCADE,
    -- 'application', or 'server': signs the tokens that the server issues to users who log in.
    kind TEXT NOT NULL,
    label TEXT NOT NULL,
    secret TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE UNIQUE INDEX one_server_key ON api_keys (project) WHERE kind = 'server' AND revoked_at IS NULL;

CREATE INDEX keys_of_project ON api_keys (project);

CREATE TABLE stream_keys (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL REFERENCES projects (name) ON DELETE CASCADE,
    room TEXT NOT NULL,
    label TEXT NOT NULL,
    -- SHA-256 of the secret part, which has 256 random bits.
    secret_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE INDEX stream_keys_of_room ON stream_keys (project, room);

-- Append-only. It has no names of users, only their ids, and no foreign keys: an entry outlives what it names.
CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    project TEXT,
    details TEXT NOT NULL
);

CREATE INDEX audit_of_project ON audit (project, id);

-- One row: entries before this time may be deleted.
CREATE TABLE audit_retention (
    id BIGINT PRIMARY KEY,
    keep_from BIGINT NOT NULL
);

INSERT INTO audit_retention (id, keep_from) VALUES (1, 0);

-- What clients measured of their calls: one row for each session that has ended, until its retention has ended. No
-- foreign keys, and users by id as in the audit log. A column without a value: it was not measured.

CREATE TABLE call_quality (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    room TEXT NOT NULL,
    -- The id of the peer.
    session TEXT NOT NULL,
    -- 'user:ID' or 'participant:NAME'.
    participant TEXT NOT NULL,
    -- Milliseconds since 1970.
    joined_at BIGINT,
    ended_at BIGINT NOT NULL,
    join_ms BIGINT,
    first_frame_ms BIGINT,
    freezes BIGINT,
    frozen_ms BIGINT,
    packets_received BIGINT,
    packets_lost BIGINT,
    jitter_us BIGINT,
    round_trip_us BIGINT,
    -- Mean opinion score of received sound in hundredths: 100 to 450.
    mos_hundredths BIGINT,
    -- Whether a TURN server relayed media of the client.
    relayed BOOLEAN
);

CREATE INDEX call_quality_of_project ON call_quality (project, id);
CREATE INDEX call_quality_by_end ON call_quality (ended_at);

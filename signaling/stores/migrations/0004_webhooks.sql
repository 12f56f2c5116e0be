-- Events that wait to be delivered by webhooks: one row for each event and target, in the order of their ids.
-- Times are milliseconds since 1970.

CREATE TABLE webhook_queue (
    -- The first digits of the SHA-256 of its URL, which may contain a secret.
    target TEXT NOT NULL,
    id TEXT NOT NULL,
    -- PROJECT/ROOM: the events of one are delivered in order.
    room TEXT NOT NULL,
    body TEXT NOT NULL,
    queued_at BIGINT NOT NULL,
    PRIMARY KEY (target, id)
);

CREATE INDEX webhooks_of_room ON webhook_queue (target, room, id);

CREATE INDEX webhooks_by_age ON webhook_queue (queued_at);

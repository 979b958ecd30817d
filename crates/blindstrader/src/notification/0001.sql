-- One row for each message.
CREATE TABLE messages (
    retailer_id text NOT NULL,
    order_id text NOT NULL,
    -- order-placed, order-confirmed, order-dispatched, order-cancelled or payment-refunded
    kind text NOT NULL,
    text text NOT NULL,
    -- The event that the message tells of.
    event_id text NOT NULL,
    sent_at text NOT NULL
);
CREATE INDEX messages_by_order ON messages (retailer_id, order_id);

CREATE TABLE recipients (
    retailer_id text NOT NULL,
    order_id text NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    PRIMARY KEY (retailer_id, order_id)
);

CREATE VIEW mailbox AS
    SELECT r.name, r.email, m.retailer_id, m.order_id, m.kind, m.text, m.sent_at
    FROM messages m JOIN recipients r ON r.retailer_id = m.retailer_id AND r.order_id = m.order_id;

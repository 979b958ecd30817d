-- How many OrderPlaced and OrderCancelled came for each order.
CREATE TABLE orders (
    retailer_id text NOT NULL,
    order_id text NOT NULL,
    placed bigint NOT NULL,
    cancelled bigint NOT NULL,
    PRIMARY KEY (retailer_id, order_id)
);

CREATE TABLE payments (
    retailer_id text NOT NULL,
    order_id text NOT NULL,
    payment_id text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    captured_at text NOT NULL
);
CREATE INDEX payments_by_order ON payments (retailer_id, order_id);

CREATE TABLE refunds (
    retailer_id text NOT NULL,
    order_id text NOT NULL,
    refund_id text NOT NULL,
    payment_id text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    refunded_at text NOT NULL
);
CREATE INDEX refunds_by_order ON refunds (retailer_id, order_id);

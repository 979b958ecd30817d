CREATE TABLE fulfilments (
    retailer_id text NOT NULL,
    order_id text NOT NULL,
    -- waiting, dispatched or cancelled
    status text NOT NULL,
    -- Why it was cancelled.
    reason text,
    -- How many OrderPlaced and PaymentCaptured came for the order.
    placed bigint NOT NULL,
    paid bigint NOT NULL,
    PRIMARY KEY (retailer_id, order_id)
);

CREATE TABLE fulfilment_lines (
    retailer_id text NOT NULL,
    order_id text NOT NULL,
    line_no bigint NOT NULL,
    sku text NOT NULL,
    quantity bigint NOT NULL
);
CREATE INDEX fulfilment_lines_by_order ON fulfilment_lines (retailer_id, order_id);

CREATE TABLE stock (
    sku text PRIMARY KEY,
    quantity bigint NOT NULL CHECK (quantity >= 0)
);

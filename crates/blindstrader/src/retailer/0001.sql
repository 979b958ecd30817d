-- What suppliers offer, each product in the newest catalogue version.
CREATE TABLE offers (
    supplier_id text NOT NULL,
    sku text NOT NULL,
    name text NOT NULL,
    category text NOT NULL,
    catalog_version bigint NOT NULL,
    trade_price_minor bigint NOT NULL,
    currency text NOT NULL,
    lead_time_days bigint NOT NULL,
    -- How many SupplierProductPublished came for the product, older versions included.
    updates bigint NOT NULL,
    PRIMARY KEY (supplier_id, sku)
);

-- Which suppliers a retailer buys from, whether or not the supplier is known yet.
CREATE TABLE trading (
    retailer_id text NOT NULL,
    supplier_id text NOT NULL,
    PRIMARY KEY (retailer_id, supplier_id)
);
CREATE INDEX trading_by_supplier ON trading (supplier_id);

CREATE TABLE assortment (
    retailer_id text NOT NULL,
    supplier_id text NOT NULL,
    sku text NOT NULL,
    retail_price_minor bigint NOT NULL,
    currency text NOT NULL,
    adopted_at text NOT NULL,
    on_sale bigint NOT NULL,
    PRIMARY KEY (retailer_id, supplier_id, sku)
);
CREATE INDEX assortment_by_product ON assortment (supplier_id, sku);

-- An order that was published by somebody else than this service is here from the first news of it; then it has no
-- time, customer and total.
CREATE TABLE orders (
    retailer_id text NOT NULL,
    order_id text NOT NULL,
    status text NOT NULL,
    status_rank bigint NOT NULL,
    placed_at text,
    customer_name text,
    customer_email text,
    total_minor bigint,
    currency text,
    -- How many events of each kind came for the order.
    confirmed bigint NOT NULL,
    dispatched bigint NOT NULL,
    cancelled bigint NOT NULL,
    PRIMARY KEY (retailer_id, order_id)
);

CREATE TABLE order_lines (
    retailer_id text NOT NULL,
    order_id text NOT NULL,
    line_no bigint NOT NULL,
    supplier_id text NOT NULL,
    sku text NOT NULL,
    quantity bigint NOT NULL,
    width_mm bigint NOT NULL,
    drop_mm bigint NOT NULL,
    unit_price_minor bigint NOT NULL,
    PRIMARY KEY (retailer_id, order_id, line_no)
);

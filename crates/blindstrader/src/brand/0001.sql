CREATE TABLE brands (
    brand_id text PRIMARY KEY,
    -- The newest issued version; 0 before the first.
    catalog_version bigint NOT NULL
);

CREATE TABLE products (
    brand_id text NOT NULL,
    catalog_version bigint NOT NULL,
    sku text NOT NULL,
    name text NOT NULL,
    category text NOT NULL,
    list_price_minor bigint NOT NULL,
    currency text NOT NULL
);
CREATE INDEX products_by_version ON products (brand_id, catalog_version);

-- Which suppliers want to sell which brands, whether or not the brand is known yet.
CREATE TABLE applications (
    brand_id text NOT NULL,
    supplier_id text NOT NULL,
    PRIMARY KEY (brand_id, supplier_id)
);
CREATE INDEX applications_by_supplier ON applications (supplier_id);

CREATE TABLE permissions (
    brand_id text NOT NULL,
    supplier_id text NOT NULL,
    adopt_catalog bigint NOT NULL,
    set_prices bigint NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (brand_id, supplier_id)
);
CREATE INDEX permissions_by_supplier ON permissions (supplier_id);

-- One row each time a supplier took over a version.
CREATE TABLE adoptions (
    brand_id text NOT NULL,
    supplier_id text NOT NULL,
    catalog_version bigint NOT NULL,
    adopted_at text NOT NULL
);
CREATE INDEX adoptions_by_supplier ON adoptions (brand_id, supplier_id);

-- The newest version of each brand's catalogue.
CREATE TABLE catalogs (
    brand_id text PRIMARY KEY,
    catalog_version bigint NOT NULL,
    -- How many BrandCatalogUpdated came for the brand, older versions included.
    updates bigint NOT NULL
);

-- The products of that version, each as the brand published it.
CREATE TABLE catalog_products (
    brand_id text NOT NULL,
    product text NOT NULL
);
CREATE INDEX catalog_products_by_brand ON catalog_products (brand_id);

-- What the brands said last; the brands decide it.
CREATE TABLE permissions (
    brand_id text NOT NULL,
    supplier_id text NOT NULL,
    adopt_catalog bigint NOT NULL,
    set_prices bigint NOT NULL,
    revision bigint NOT NULL,
    -- How many BrandPermissionsUpdated came for the pair, older revisions included.
    updates bigint NOT NULL,
    PRIMARY KEY (brand_id, supplier_id)
);
CREATE INDEX permissions_by_supplier ON permissions (supplier_id);

-- One row for each version that a supplier took over.
CREATE TABLE adoptions (
    supplier_id text NOT NULL,
    brand_id text NOT NULL,
    catalog_version bigint NOT NULL,
    adopted_at text NOT NULL
);
CREATE INDEX adoptions_by_pair ON adoptions (supplier_id, brand_id);

-- One row each time a retailer took a product into its assortment.
CREATE TABLE product_adoptions (
    supplier_id text NOT NULL,
    sku text NOT NULL,
    retailer_id text NOT NULL
);
CREATE INDEX product_adoptions_by_product ON product_adoptions (supplier_id, sku);

CREATE TABLE organisations (
    organisation_id text PRIMARY KEY,
    kind text NOT NULL,
    name text NOT NULL,
    country text NOT NULL,
    contact_name text NOT NULL,
    contact_email text NOT NULL,
    status text NOT NULL,
    terminated_on text,
    termination_reason text
);

-- Suppliers' brands and retailers' suppliers.
CREATE TABLE trading (
    organisation_id text NOT NULL,
    partner_id text NOT NULL,
    PRIMARY KEY (organisation_id, partner_id)
);

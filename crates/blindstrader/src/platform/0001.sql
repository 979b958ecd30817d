CREATE TABLE tenants (
    organisation_id text PRIMARY KEY,
    kind text,
    name text,
    country text,
    -- How many OrganisationCreated and OrganisationTerminated came for it.
    created bigint NOT NULL,
    terminated bigint NOT NULL,
    reason text,
    effective_on text
);

-- One row for each payment and each refund; refunds are negative.
CREATE TABLE ledger (
    tenant_id text NOT NULL,
    order_id text NOT NULL,
    kind text NOT NULL,
    reference text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    occurred_at text NOT NULL
);
CREATE INDEX ledger_by_order ON ledger (tenant_id, order_id);

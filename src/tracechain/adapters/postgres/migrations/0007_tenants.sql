-- Whose a row is stands in the row, so that the database itself can keep tenants apart: a policy
-- may not look into another table where the tables are spread over machines. Issuers and regions
-- never change. Rows whose product or party is not here belong to nobody.
ALTER TABLE product ADD COLUMN issuer_region text COLLATE "C" NOT NULL DEFAULT '';
UPDATE product SET issuer_region = party.region FROM party WHERE party.gln = product.issuer_gln;
ALTER TABLE batch ADD COLUMN issuer_gln text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE batch ADD COLUMN issuer_region text COLLATE "C" NOT NULL DEFAULT '';
UPDATE batch SET issuer_gln = product.issuer_gln, issuer_region = product.issuer_region
    FROM product WHERE product.gtin = batch.gtin;
ALTER TABLE quantity_raise ADD COLUMN issuer_gln text COLLATE "C" NOT NULL DEFAULT '';
UPDATE quantity_raise SET issuer_gln = batch.issuer_gln
    FROM batch WHERE batch.batch_key = quantity_raise.batch_key;
ALTER TABLE allocation ADD COLUMN issuer_gln text COLLATE "C" NOT NULL DEFAULT '';
UPDATE allocation SET issuer_gln = batch.issuer_gln
    FROM batch WHERE batch.batch_key = allocation.batch_key;
ALTER TABLE refused_order ADD COLUMN issuer_gln text COLLATE "C" NOT NULL DEFAULT '';
UPDATE refused_order SET issuer_gln = batch.issuer_gln
    FROM batch WHERE batch.batch_key = refused_order.batch_key;
ALTER TABLE recall ADD COLUMN issuer_gln text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE recall ADD COLUMN issuer_region text COLLATE "C" NOT NULL DEFAULT '';
UPDATE recall SET issuer_gln = batch.issuer_gln, issuer_region = batch.issuer_region
    FROM batch WHERE batch.batch_key = recall.batch_key;

-- For whom a session acts is its setting tracechain.tenant (tracechain.adapters.postgres.tenancy):
-- `service`, `operator`, `auditor`, `issuer:` or `handler:` and a GLN, `inspector:` and the first
-- digits of a division. Where it is not set, or empty, no policy holds and nothing is seen.

-- What the service does for nobody: verdicts, what is written in groups, retention, archives.
CREATE POLICY service ON product USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON batch USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON quantity_raise
    USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON allocation USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON refused_order
    USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON recall USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON approval USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON report USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON audit USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON audit_default
    USING (current_setting('tracechain.tenant', true) = 'service');
-- Who may call and what signs is the service's alone, whoever calls.
CREATE POLICY service ON credential USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON issuer_key USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON service_secret
    USING (current_setting('tracechain.tenant', true) = 'service');
-- The log as well: it holds who supplies whom, opened. What is done for a tenant leaves its facts.
CREATE POLICY service ON log_pending USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON log_state USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON log_leaf USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON log_tile USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON log_link USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY service ON log_chain USING (current_setting('tracechain.tenant', true) = 'service');
CREATE POLICY anybody ON log_pending FOR INSERT
    WITH CHECK (current_setting('tracechain.tenant', true) <> '');

-- An issuer's own.
CREATE POLICY issuer ON product
    USING (current_setting('tracechain.tenant', true) = 'issuer:' || issuer_gln);
CREATE POLICY issuer ON batch
    USING (current_setting('tracechain.tenant', true) = 'issuer:' || issuer_gln);
CREATE POLICY issuer ON quantity_raise
    USING (current_setting('tracechain.tenant', true) = 'issuer:' || issuer_gln);
CREATE POLICY issuer ON allocation
    USING (current_setting('tracechain.tenant', true) = 'issuer:' || issuer_gln);
CREATE POLICY issuer ON refused_order
    USING (current_setting('tracechain.tenant', true) = 'issuer:' || issuer_gln);
CREATE POLICY issuer ON recall
    USING (current_setting('tracechain.tenant', true) = 'issuer:' || issuer_gln);
CREATE POLICY issuer ON approval
    USING (current_setting('tracechain.tenant', true) = 'issuer:' || issuer_gln);

-- An inspector sees what is of his division, decides on recalls of it, and erases its reports.
CREATE POLICY inspector ON product FOR SELECT
    USING (current_setting('tracechain.tenant', true) LIKE 'inspector:_%' AND
        starts_with('inspector:' || issuer_region, current_setting('tracechain.tenant', true)));
CREATE POLICY inspector ON batch FOR SELECT
    USING (current_setting('tracechain.tenant', true) LIKE 'inspector:_%' AND
        starts_with('inspector:' || issuer_region, current_setting('tracechain.tenant', true)));
CREATE POLICY inspector ON recall
    USING (current_setting('tracechain.tenant', true) LIKE 'inspector:_%' AND
        starts_with('inspector:' || issuer_region, current_setting('tracechain.tenant', true)));
CREATE POLICY inspector_reads ON report FOR SELECT
    USING (current_setting('tracechain.tenant', true) LIKE 'inspector:_%' AND
        starts_with('inspector:' || region, current_setting('tracechain.tenant', true)));
CREATE POLICY inspector_erases ON report FOR UPDATE
    USING (current_setting('tracechain.tenant', true) LIKE 'inspector:_%' AND
        starts_with('inspector:' || region, current_setting('tracechain.tenant', true)));

-- An operator sees what all issuers have, changes none of it, and decides on what they propose.
CREATE POLICY operator ON product FOR SELECT
    USING (current_setting('tracechain.tenant', true) = 'operator');
CREATE POLICY operator ON batch FOR SELECT
    USING (current_setting('tracechain.tenant', true) = 'operator');
CREATE POLICY operator ON recall FOR SELECT
    USING (current_setting('tracechain.tenant', true) = 'operator');
CREATE POLICY operator ON approval USING (current_setting('tracechain.tenant', true) = 'operator');

-- An auditor reads what was recorded, and nobody else does.
CREATE POLICY auditor ON audit FOR SELECT
    USING (current_setting('tracechain.tenant', true) = 'auditor');

-- FORCE: for the owner of the tables as well, which is whom the service connects as.
ALTER TABLE product ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE batch ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE quantity_raise ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE allocation ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE refused_order ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE recall ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE approval ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE report ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE credential ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE issuer_key ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE service_secret ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE log_pending ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE log_state ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE log_leaf ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE log_tile ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE log_link ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE log_chain ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE audit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
-- A month that is named itself obeys its own policies: it has none, so it is reached through its
-- parent alone. Months to come are made like this.
DO $$
DECLARE month regclass;
BEGIN
    FOR month IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'audit'::regclass LOOP
        EXECUTE format(
            'ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', month);
    END LOOP;
END $$;

-- Whose a row is, as in PostgreSQL, where policies read it; here the use cases alone keep tenants
-- apart. Issuers and regions never change. Rows whose product or party is not here belong to nobody.
ALTER TABLE product ADD COLUMN issuer_region TEXT NOT NULL DEFAULT '';
UPDATE product SET issuer_region =
    coalesce((SELECT region FROM party WHERE party.gln = product.issuer_gln), '');
ALTER TABLE batch ADD COLUMN issuer_gln TEXT NOT NULL DEFAULT '';
ALTER TABLE batch ADD COLUMN issuer_region TEXT NOT NULL DEFAULT '';
UPDATE batch SET (issuer_gln, issuer_region) =
    (SELECT issuer_gln, issuer_region FROM product WHERE product.gtin = batch.gtin)
    WHERE gtin IN (SELECT gtin FROM product);
ALTER TABLE quantity_raise ADD COLUMN issuer_gln TEXT NOT NULL DEFAULT '';
UPDATE quantity_raise SET issuer_gln =
    coalesce((SELECT issuer_gln FROM batch WHERE batch.batch_key = quantity_raise.batch_key), '');
ALTER TABLE allocation ADD COLUMN issuer_gln TEXT NOT NULL DEFAULT '';
UPDATE allocation SET issuer_gln =
    coalesce((SELECT issuer_gln FROM batch WHERE batch.batch_key = allocation.batch_key), '');
ALTER TABLE refused_order ADD COLUMN issuer_gln TEXT NOT NULL DEFAULT '';
UPDATE refused_order SET issuer_gln =
    coalesce((SELECT issuer_gln FROM batch WHERE batch.batch_key = refused_order.batch_key), '');
ALTER TABLE recall ADD COLUMN issuer_gln TEXT NOT NULL DEFAULT '';
ALTER TABLE recall ADD COLUMN issuer_region TEXT NOT NULL DEFAULT '';
UPDATE recall SET (issuer_gln, issuer_region) =
    (SELECT issuer_gln, issuer_region FROM batch WHERE batch.batch_key = recall.batch_key)
    WHERE batch_key IN (SELECT batch_key FROM batch);

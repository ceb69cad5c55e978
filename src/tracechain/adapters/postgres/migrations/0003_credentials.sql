-- When a credential ends by itself, and when it was last used (to the minute).
ALTER TABLE credential ADD COLUMN expire_time bigint;
ALTER TABLE credential ADD COLUMN last_use_time bigint;

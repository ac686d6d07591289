-- Linked accounts say more of themselves, and may be removed. What is removed stays for what was recorded of it; its
-- `name_key` gets an ending that no name can have, so that the name is free.
ALTER TABLE accounts ADD COLUMN removed_at_us BIGINT;

CREATE TABLE account_profiles (
  account BIGINT NOT NULL PRIMARY KEY REFERENCES accounts (id),
  name TEXT NOT NULL,
  fields TEXT NOT NULL,
  updated_at_us BIGINT NOT NULL
-- sqlite:
) STRICT;
-- postgres:
);
-- end

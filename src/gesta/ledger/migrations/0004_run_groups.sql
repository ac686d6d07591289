-- Runs by what they are listed by (run_groups.py): one combination of account, workflow, application and search text,
-- '' for a workflow or application that is not said, NULL for the search text of the one group that takes what a
-- workflow of very many names starts. `id` = organization << 32 | number, and it is a scope of the counter tree as an
-- account is; `key` is a 64-bit hash of the combination.
CREATE TABLE run_groups (
  id BIGINT NOT NULL PRIMARY KEY,
  organization BIGINT NOT NULL,
  key BIGINT NOT NULL,
  account BIGINT NOT NULL,
  workflow_id TEXT NOT NULL,
  application TEXT NOT NULL,
  search TEXT
-- sqlite:
) STRICT;
-- postgres:
);
-- end

CREATE INDEX run_groups_key ON run_groups (organization, key);

CREATE INDEX run_groups_by_account ON run_groups (organization, account, workflow_id);

CREATE INDEX run_groups_by_workflow ON run_groups (organization, workflow_id, account);

-- NULL for what is no run. The rows that are there get theirs from after_0004_run_groups.py.
ALTER TABLE executions ADD COLUMN run_group BIGINT;

-- As the index of an account's rows (0001_ledger.sql).
-- sqlite:
CREATE INDEX executions_by_run_group ON executions (run_group, created_at, rid, cell) WHERE run_group IS NOT NULL;
-- postgres:
CREATE INDEX executions_by_run_group ON executions (run_group, created_at, rid) WHERE run_group IS NOT NULL;
-- end

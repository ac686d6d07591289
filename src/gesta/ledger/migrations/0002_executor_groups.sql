-- Executors by what they are searched and summed up by (groups.py). A group is one combination of account, status,
-- type, connector, pair, controller and, of those that have ended, close type; what is not said is ''. `n` counts its
-- executors; the sums are of executors that have ended, decimals as text. `id` = organization << 32 | number; `key` is a
-- 64-bit hash of the combination, which finds it.
CREATE TABLE executor_groups (
  id BIGINT NOT NULL PRIMARY KEY,
  organization BIGINT NOT NULL,
  key BIGINT NOT NULL,
  account BIGINT NOT NULL,
  status BIGINT NOT NULL,
  executor_type TEXT NOT NULL,
  connector TEXT NOT NULL,
  trading_pair TEXT NOT NULL,
  controller_id TEXT NOT NULL,
  close_type TEXT NOT NULL,
  n BIGINT NOT NULL,
  won BIGINT NOT NULL,
  pnl TEXT NOT NULL,
  squares TEXT NOT NULL,
  pct TEXT NOT NULL,
  fees TEXT NOT NULL,
  volume TEXT NOT NULL
-- sqlite:
) STRICT;
-- postgres:
) WITH (fillfactor = 70);
-- end

CREATE INDEX executor_groups_key ON executor_groups (organization, key);

-- Of all the words, it is controllers that there may be very many of.
CREATE INDEX executor_groups_by_controller ON executor_groups (organization, controller_id);

-- NULL for what is no executor. The rows that are there get theirs from after_0002_executor_groups.py.
ALTER TABLE executions ADD COLUMN executor_group BIGINT;

CREATE INDEX executions_by_group ON executions (executor_group, created_at, rid) WHERE executor_group IS NOT NULL;

-- What an executor is besides its row in the ledger: its configuration, where its machine stands, and which orders it
-- follows. `number` is the order of creation. A start loads the active ones and goes on.
CREATE TABLE executor_states (
  number BIGINT NOT NULL PRIMARY KEY,
  organization BIGINT NOT NULL,
  account BIGINT NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  active BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  config BYTEA NOT NULL,
  state BYTEA NOT NULL,
  orders BYTEA NOT NULL
-- sqlite:
) STRICT;
-- postgres:
) WITH (fillfactor = 80);
-- end
CREATE UNIQUE INDEX executor_states_id ON executor_states (organization, id);
CREATE INDEX executor_states_active ON executor_states (number) WHERE active = 1;

-- Which request made which executor: the same key with the same content is the same executor.
CREATE TABLE executor_keys (
  organization BIGINT NOT NULL,
  key TEXT NOT NULL,
  id TEXT NOT NULL,
  content BYTEA NOT NULL,
  PRIMARY KEY (organization, key)
-- sqlite:
) STRICT, WITHOUT ROWID;
-- postgres:
);
-- end

-- The ledger. `rid` = organization << 40 | feed position of the birth; `eid` = organization << 40 | feed position.

-- One row per organization: its feed position, and on PostgreSQL the one lock of its writers.
CREATE TABLE streams (
  organization BIGINT NOT NULL PRIMARY KEY,
  seq BIGINT NOT NULL
-- sqlite:
) STRICT;
-- postgres:
) WITH (fillfactor = 50);
-- end

-- `key` is a 64-bit hash of the id: its index is a third of the size of one over the text, which is what ingest of
-- random ids costs. `cell` packs kind, status, source and mode (codes.py). `external_id` is NULL where it equals `id`; `search` is NULL
-- where it equals the name. `content` is the hash that tells a repeated row from a conflicting one.
CREATE TABLE executions (
  rid BIGINT NOT NULL PRIMARY KEY,
  organization BIGINT NOT NULL,
  account BIGINT NOT NULL,
  cell BIGINT NOT NULL,
  key BIGINT NOT NULL,
  id TEXT NOT NULL,
  external_id TEXT,
  origin TEXT NOT NULL,
  name TEXT NOT NULL,
  search TEXT,
  parent_id TEXT,
  created_at BIGINT NOT NULL,
  started_at BIGINT,
  finished_at BIGINT,
  updated_at BIGINT NOT NULL,
  recorded_at BIGINT NOT NULL,
  version BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  content BYTEA NOT NULL,
  body BYTEA NOT NULL
-- sqlite:
) STRICT;
-- postgres:
) WITH (fillfactor = 90);
-- end

CREATE UNIQUE INDEX executions_key ON executions (organization, key);

-- In SQLite the cell rides along, so that a filtered block is read from the index alone; in PostgreSQL it does not, so
-- that a status change stays a heap-only update.
-- sqlite:
CREATE INDEX executions_by_account ON executions (account, created_at, rid, cell);
CREATE INDEX executions_by_organization ON executions (organization, created_at, rid, cell);
-- postgres:
CREATE INDEX executions_by_account ON executions (account, created_at, rid);
CREATE INDEX executions_by_organization ON executions (organization, created_at, rid);
-- end

-- Transition log, timeline and change feed in one. The birth of an execution is not repeated here: it is the row of
-- `executions`, at the feed position that its `rid` holds.
CREATE TABLE events (
  eid BIGINT NOT NULL PRIMARY KEY,
  rid BIGINT NOT NULL,
  at BIGINT NOT NULL,
  recorded_at BIGINT NOT NULL,
  type TEXT NOT NULL,
  level BIGINT NOT NULL,
  from_status BIGINT,
  to_status BIGINT,
  title TEXT NOT NULL,
  message TEXT NOT NULL,
  data BYTEA
-- sqlite:
) STRICT;
-- postgres:
);
-- end
CREATE INDEX events_of_execution ON events (rid, eid);

-- Correlation ids and parents: what an execution can be found by besides its own id.
CREATE TABLE refs (
  organization BIGINT NOT NULL,
  key BIGINT NOT NULL,
  value TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  rid BIGINT NOT NULL,
  PRIMARY KEY (organization, key, value, created_at, rid)
-- sqlite:
) STRICT, WITHOUT ROWID;
-- postgres:
);
-- end

-- The counter tree (tree.py). A scope is an account (its id) or an organization (minus its id). `path` is JSON: the
-- newest node of each level.
CREATE TABLE scopes (
  scope BIGINT NOT NULL PRIMARY KEY,
  path TEXT NOT NULL
-- sqlite:
) STRICT;
-- postgres:
) WITH (fillfactor = 50);
-- end

CREATE TABLE tallies (
  scope BIGINT NOT NULL,
  level BIGINT NOT NULL,
  cell BIGINT NOT NULL,
  lo_at BIGINT NOT NULL,
  lo_rid BIGINT NOT NULL,
  n BIGINT NOT NULL,
  PRIMARY KEY (scope, level, cell, lo_at, lo_rid)
-- sqlite:
) STRICT, WITHOUT ROWID;
-- postgres:
) WITH (fillfactor = 70);
-- end

-- Exact sums per UTC day of event time; decimals as text.
CREATE TABLE days (
  organization BIGINT NOT NULL,
  day BIGINT NOT NULL,
  account BIGINT NOT NULL,
  cell BIGINT NOT NULL,
  currency TEXT NOT NULL,
  n BIGINT NOT NULL,
  quantity TEXT NOT NULL,
  volume TEXT NOT NULL,
  fees TEXT NOT NULL,
  pnl TEXT NOT NULL,
  PRIMARY KEY (organization, day, account, cell, currency)
-- sqlite:
) STRICT, WITHOUT ROWID;
-- postgres:
) WITH (fillfactor = 70);
-- end

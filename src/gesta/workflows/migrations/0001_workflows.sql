-- Workflows, their versions, and the runs that carry them out. A run is also an execution of the ledger, which is what
-- dialects show; here is what is needed to go on with it. Written with the ledger's row in one transaction.
CREATE TABLE workflows (
  number BIGINT NOT NULL PRIMARY KEY,
  organization BIGINT NOT NULL,
  -- 0: the whole organization's.
  account BIGINT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  alias TEXT NOT NULL,
  slug TEXT NOT NULL,
  description TEXT NOT NULL,
  status TEXT NOT NULL,
  visibility TEXT NOT NULL,
  application BYTEA,
  newest BIGINT NOT NULL,
  published BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  published_at BIGINT,
  -- Of the secret in the address of its webhook: a hash, and its first characters.
  hook_hash BYTEA,
  hook_hint TEXT NOT NULL
-- sqlite:
) STRICT;
-- postgres:
);
-- end
CREATE UNIQUE INDEX workflows_id ON workflows (id);
CREATE UNIQUE INDEX workflows_alias ON workflows (organization, alias) WHERE alias <> '';
CREATE INDEX workflows_list ON workflows (organization, number);

CREATE TABLE workflow_versions (
  workflow BIGINT NOT NULL,
  version BIGINT NOT NULL,
  definition BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  published_at BIGINT,
  PRIMARY KEY (workflow, version)
-- sqlite:
) STRICT, WITHOUT ROWID;
-- postgres:
);
-- end

-- What starts a published workflow besides a call: its event. Rewritten when a version is published.
CREATE TABLE workflow_triggers (
  organization BIGINT NOT NULL,
  application TEXT NOT NULL,
  event TEXT NOT NULL,
  workflow BIGINT NOT NULL,
  PRIMARY KEY (organization, event, application, workflow)
-- sqlite:
) STRICT, WITHOUT ROWID;
-- postgres:
);
-- end

-- `state`: unpaid, due (the segment is to be submitted), running (a segment of it is under way), parked, over.
-- `fence` counts claims: a process that lost a run writes nothing any more. `wave` counts what was written within a
-- segment. `definition` is that of a run that belongs to no workflow.
CREATE TABLE workflow_runs (
  organization BIGINT NOT NULL,
  id TEXT NOT NULL,
  account BIGINT NOT NULL,
  workflow BIGINT NOT NULL,
  version BIGINT NOT NULL,
  definition BYTEA,
  state TEXT NOT NULL,
  segment BIGINT NOT NULL,
  fence BIGINT NOT NULL,
  wave BIGINT NOT NULL,
  owner TEXT NOT NULL,
  stop_asked BIGINT NOT NULL,
  wake_at BIGINT,
  parent_run TEXT,
  parent_path TEXT,
  progress BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (organization, id)
-- sqlite:
) STRICT;
-- postgres:
) WITH (fillfactor = 80);
-- end
CREATE INDEX workflow_runs_id ON workflow_runs (id);
CREATE INDEX workflow_runs_due ON workflow_runs (updated_at) WHERE state = 'due';
CREATE INDEX workflow_runs_running ON workflow_runs (owner) WHERE state = 'running';
CREATE INDEX workflow_runs_wake ON workflow_runs (wake_at) WHERE state = 'parked' AND wake_at IS NOT NULL;
CREATE INDEX workflow_runs_over ON workflow_runs (updated_at) WHERE state = 'over';

-- What parked runs wait for, besides moments.
CREATE TABLE workflow_waits (
  organization BIGINT NOT NULL,
  run TEXT NOT NULL,
  path TEXT NOT NULL,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  account BIGINT NOT NULL,
  PRIMARY KEY (organization, run, path)
-- sqlite:
) STRICT, WITHOUT ROWID;
-- postgres:
);
-- end
CREATE INDEX workflow_waits_key ON workflow_waits (organization, kind, key);

-- What came for a run while a segment of it was under way: taken up when the segment parks.
CREATE TABLE workflow_wakes (
  organization BIGINT NOT NULL,
  run TEXT NOT NULL,
  number BIGINT NOT NULL,
  wake BYTEA NOT NULL,
  PRIMARY KEY (organization, run, number)
-- sqlite:
) STRICT, WITHOUT ROWID;
-- postgres:
);
-- end

-- Which request, event or webhook made which run. `until_at` NULL: for good.
CREATE TABLE workflow_keys (
  organization BIGINT NOT NULL,
  workflow BIGINT NOT NULL,
  key TEXT NOT NULL,
  run TEXT NOT NULL,
  content BYTEA NOT NULL,
  until_at BIGINT,
  PRIMARY KEY (organization, workflow, key)
-- sqlite:
) STRICT, WITHOUT ROWID;
-- postgres:
);
-- end
CREATE INDEX workflow_keys_until ON workflow_keys (until_at) WHERE until_at IS NOT NULL;

CREATE TABLE workflow_schedules (
  organization BIGINT NOT NULL,
  id TEXT NOT NULL,
  account BIGINT NOT NULL,
  workflow BIGINT NOT NULL,
  schedule BYTEA NOT NULL,
  paused BIGINT NOT NULL,
  next_at BIGINT,
  last_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (organization, id)
-- sqlite:
) STRICT;
-- postgres:
);
-- end
CREATE INDEX workflow_schedules_next ON workflow_schedules (next_at) WHERE paused = 0 AND next_at IS NOT NULL;

CREATE TABLE workflow_checkouts (
  id TEXT NOT NULL PRIMARY KEY,
  organization BIGINT NOT NULL,
  run TEXT NOT NULL,
  provider TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  amount TEXT NOT NULL,
  currency TEXT NOT NULL,
  status TEXT NOT NULL,
  url TEXT NOT NULL,
  payment_id TEXT NOT NULL,
  success_url TEXT NOT NULL,
  cancel_url TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
-- sqlite:
) STRICT;
-- postgres:
);
-- end
CREATE UNIQUE INDEX workflow_checkouts_run ON workflow_checkouts (organization, run);
CREATE INDEX workflow_checkouts_provider ON workflow_checkouts (provider, provider_id);
CREATE INDEX workflow_checkouts_open ON workflow_checkouts (expires_at) WHERE status IN ('open', 'processing');

-- Processes that carry runs out. One whose beat is old is dead, and another takes over its runs.
CREATE TABLE workflow_workers (
  id TEXT NOT NULL PRIMARY KEY,
  started_at BIGINT NOT NULL,
  beat_at BIGINT NOT NULL
-- sqlite:
) STRICT;
-- postgres:
);
-- end

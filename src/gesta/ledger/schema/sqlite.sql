CREATE TABLE access_settings (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  signing_key BLOB NOT NULL
) STRICT;
CREATE TABLE account_profiles (
  account INTEGER NOT NULL PRIMARY KEY REFERENCES accounts (id),
  name TEXT NOT NULL,
  fields TEXT NOT NULL,
  updated_at_us INTEGER NOT NULL
) STRICT;
CREATE TABLE accounts (
  id INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL REFERENCES organizations (id),
  name TEXT NOT NULL,
  name_key TEXT NOT NULL,
  type TEXT NOT NULL,
  environment TEXT NOT NULL,
  time_zone TEXT NOT NULL,
  currency TEXT NOT NULL,
  server_name TEXT NOT NULL,
  created_at_us INTEGER NOT NULL, removed_at_us INTEGER,
  UNIQUE (organization, type, environment, name_key)
) STRICT;
CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL REFERENCES organizations (id),
  at_us INTEGER NOT NULL,
  identity TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  data TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_organization ON audit (organization, id);
CREATE TABLE credentials (
  id INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL REFERENCES organizations (id),
  identity_id INTEGER NOT NULL REFERENCES identities (id),
  type TEXT NOT NULL,
  hint TEXT NOT NULL,
  label TEXT NOT NULL,
  scopes TEXT NOT NULL,
  environment TEXT,
  secret_hash BLOB UNIQUE,
  username TEXT,
  password_hash TEXT,
  created_at_us INTEGER NOT NULL,
  last_used_at_us INTEGER,
  revoked_at_us INTEGER
) STRICT;
CREATE INDEX credentials_by_organization ON credentials (organization, id);
CREATE INDEX credentials_by_username ON credentials (username, id) WHERE username IS NOT NULL;
CREATE UNIQUE INDEX credentials_live_username ON credentials (username)
  WHERE username IS NOT NULL AND revoked_at_us IS NULL;
CREATE TABLE days (
  organization INTEGER NOT NULL,
  day INTEGER NOT NULL,
  account INTEGER NOT NULL,
  cell INTEGER NOT NULL,
  currency TEXT NOT NULL,
  n INTEGER NOT NULL,
  quantity TEXT NOT NULL,
  volume TEXT NOT NULL,
  fees TEXT NOT NULL,
  pnl TEXT NOT NULL,
  PRIMARY KEY (organization, day, account, cell, currency)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
  eid INTEGER NOT NULL PRIMARY KEY,
  rid INTEGER NOT NULL,
  at INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL,
  type TEXT NOT NULL,
  level INTEGER NOT NULL,
  from_status INTEGER,
  to_status INTEGER,
  title TEXT NOT NULL,
  message TEXT NOT NULL,
  data BLOB
) STRICT;
CREATE INDEX events_of_execution ON events (rid, eid);
CREATE TABLE executions (
  rid INTEGER NOT NULL PRIMARY KEY,
  organization INTEGER NOT NULL,
  account INTEGER NOT NULL,
  cell INTEGER NOT NULL,
  key INTEGER NOT NULL,
  id TEXT NOT NULL,
  external_id TEXT,
  origin TEXT NOT NULL,
  name TEXT NOT NULL,
  search TEXT,
  parent_id TEXT,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER,
  updated_at INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL,
  version INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  content BLOB NOT NULL,
  body BLOB NOT NULL
, executor_group INTEGER, run_group INTEGER) STRICT;
CREATE INDEX executions_by_account ON executions (account, created_at, rid, cell);
CREATE INDEX executions_by_group ON executions (executor_group, created_at, rid) WHERE executor_group IS NOT NULL;
CREATE INDEX executions_by_organization ON executions (organization, created_at, rid, cell);
CREATE INDEX executions_by_run_group ON executions (run_group, created_at, rid, cell) WHERE run_group IS NOT NULL;
CREATE UNIQUE INDEX executions_key ON executions (organization, key);
CREATE INDEX executions_of_executors ON executions (organization, created_at, rid, executor_group)
WHERE executor_group IS NOT NULL;
CREATE TABLE executor_groups (
  id INTEGER NOT NULL PRIMARY KEY,
  organization INTEGER NOT NULL,
  key INTEGER NOT NULL,
  account INTEGER NOT NULL,
  status INTEGER NOT NULL,
  executor_type TEXT NOT NULL,
  connector TEXT NOT NULL,
  trading_pair TEXT NOT NULL,
  controller_id TEXT NOT NULL,
  close_type TEXT NOT NULL,
  n INTEGER NOT NULL,
  won INTEGER NOT NULL,
  pnl TEXT NOT NULL,
  squares TEXT NOT NULL,
  pct TEXT NOT NULL,
  fees TEXT NOT NULL,
  volume TEXT NOT NULL
) STRICT;
CREATE INDEX executor_groups_by_controller ON executor_groups (organization, controller_id);
CREATE INDEX executor_groups_key ON executor_groups (organization, key);
CREATE TABLE executor_holds (
  organization INTEGER NOT NULL,
  account INTEGER NOT NULL,
  connector TEXT NOT NULL,
  pair TEXT NOT NULL,
  controller TEXT NOT NULL,
  hold BLOB NOT NULL,
  PRIMARY KEY (organization, account, connector, pair, controller)
) STRICT, WITHOUT ROWID;
CREATE TABLE executor_keys (
  organization INTEGER NOT NULL,
  key TEXT NOT NULL,
  id TEXT NOT NULL,
  content BLOB NOT NULL,
  PRIMARY KEY (organization, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE executor_marks (
  instrument TEXT NOT NULL,
  price TEXT NOT NULL,
  rising INTEGER NOT NULL,
  until_us INTEGER NOT NULL,
  best INTEGER NOT NULL,
  PRIMARY KEY (instrument, price, rising, until_us)
) STRICT, WITHOUT ROWID;
CREATE TABLE executor_states (
  number INTEGER NOT NULL PRIMARY KEY,
  organization INTEGER NOT NULL,
  account INTEGER NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  active INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  config BLOB NOT NULL,
  state BLOB NOT NULL,
  orders BLOB NOT NULL
) STRICT;
CREATE INDEX executor_states_active ON executor_states (number) WHERE active = 1;
CREATE UNIQUE INDEX executor_states_id ON executor_states (organization, id);
CREATE TABLE funds (
  account INTEGER NOT NULL,
  currency TEXT NOT NULL,
  organization INTEGER NOT NULL,
  starting TEXT NOT NULL,
  cash TEXT NOT NULL,
  realized TEXT NOT NULL,
  commission TEXT NOT NULL,
  session INTEGER NOT NULL,
  session_cash TEXT NOT NULL,
  session_realized TEXT NOT NULL,
  session_commission TEXT NOT NULL,
  max_position TEXT,
  PRIMARY KEY (account, currency)
) STRICT, WITHOUT ROWID;
CREATE TABLE identities (
  id INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL REFERENCES organizations (id),
  name TEXT NOT NULL,
  created_at_us INTEGER NOT NULL,
  UNIQUE (organization, name)
) STRICT;
CREATE TABLE order_notes (
  number INTEGER NOT NULL,
  note INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (number, note)
) STRICT, WITHOUT ROWID;
CREATE TABLE orders (
  number INTEGER NOT NULL PRIMARY KEY,
  organization INTEGER NOT NULL,
  account INTEGER NOT NULL,
  id TEXT NOT NULL,
  client_id TEXT,
  instrument TEXT NOT NULL,
  working INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX orders_client ON orders (account, client_id) WHERE client_id IS NOT NULL;
CREATE UNIQUE INDEX orders_id ON orders (id);
CREATE INDEX orders_of_account ON orders (account, number);
CREATE INDEX orders_working ON orders (account, number) WHERE working = 1;
CREATE TABLE organizations (
  id INTEGER PRIMARY KEY,
  public_id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL UNIQUE,
  created_at_us INTEGER NOT NULL
) STRICT;
CREATE TABLE positions (
  account INTEGER NOT NULL,
  instrument TEXT NOT NULL,
  organization INTEGER NOT NULL,
  lots INTEGER NOT NULL,
  cost TEXT NOT NULL,
  ticks_lots TEXT NOT NULL,
  realized TEXT NOT NULL,
  commission TEXT NOT NULL,
  fills INTEGER NOT NULL,
  bought TEXT NOT NULL,
  sold TEXT NOT NULL,
  PRIMARY KEY (account, instrument)
) STRICT, WITHOUT ROWID;
CREATE TABLE refs (
  organization INTEGER NOT NULL,
  key INTEGER NOT NULL,
  value TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  rid INTEGER NOT NULL,
  PRIMARY KEY (organization, key, value, created_at, rid)
) STRICT, WITHOUT ROWID;
CREATE TABLE run_groups (
  id INTEGER NOT NULL PRIMARY KEY,
  organization INTEGER NOT NULL,
  key INTEGER NOT NULL,
  account INTEGER NOT NULL,
  workflow_id TEXT NOT NULL,
  application TEXT NOT NULL,
  search TEXT
) STRICT;
CREATE INDEX run_groups_by_account ON run_groups (organization, account, workflow_id);
CREATE INDEX run_groups_by_workflow ON run_groups (organization, workflow_id, account);
CREATE INDEX run_groups_key ON run_groups (organization, key);
CREATE TABLE schema_migrations (component TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (component, number)) STRICT;
CREATE TABLE scopes (
  scope INTEGER NOT NULL PRIMARY KEY,
  path TEXT NOT NULL
) STRICT;
CREATE TABLE sessions (
  id INTEGER PRIMARY KEY,
  organization INTEGER NOT NULL REFERENCES organizations (id),
  account_id INTEGER NOT NULL REFERENCES accounts (id),
  credential_id INTEGER NOT NULL REFERENCES credentials (id),
  token_id TEXT NOT NULL UNIQUE,
  issued_at_s INTEGER NOT NULL,
  expires_at_s INTEGER NOT NULL,
  refresh_expires_at_s INTEGER NOT NULL,
  revoked_at_us INTEGER
) STRICT;
CREATE INDEX sessions_by_account ON sessions (account_id, credential_id, id);
CREATE TABLE streams (
  organization INTEGER NOT NULL PRIMARY KEY,
  seq INTEGER NOT NULL
) STRICT;
CREATE TABLE tallies (
  scope INTEGER NOT NULL,
  level INTEGER NOT NULL,
  cell INTEGER NOT NULL,
  lo_at INTEGER NOT NULL,
  lo_rid INTEGER NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (scope, level, cell, lo_at, lo_rid)
) STRICT, WITHOUT ROWID;
CREATE TABLE trading_lease (
  organization INTEGER NOT NULL PRIMARY KEY,
  epoch INTEGER NOT NULL,
  batch INTEGER NOT NULL,
  note INTEGER NOT NULL
) STRICT;
CREATE TABLE workflow_checkouts (
  id TEXT NOT NULL PRIMARY KEY,
  organization INTEGER NOT NULL,
  run TEXT NOT NULL,
  provider TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  amount TEXT NOT NULL,
  currency TEXT NOT NULL,
  status TEXT NOT NULL,
  url TEXT NOT NULL,
  payment_id TEXT NOT NULL,
  title TEXT NOT NULL,
  email TEXT NOT NULL,
  success_url TEXT NOT NULL,
  cancel_url TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  look_at INTEGER,
  attempts INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX workflow_checkouts_look ON workflow_checkouts (look_at) WHERE look_at IS NOT NULL;
CREATE INDEX workflow_checkouts_provider ON workflow_checkouts (provider, provider_id);
CREATE UNIQUE INDEX workflow_checkouts_run ON workflow_checkouts (organization, run);
CREATE TABLE workflow_deliveries (
  organization INTEGER NOT NULL,
  id TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  event TEXT NOT NULL,
  run TEXT NOT NULL,
  workflow TEXT NOT NULL,
  status TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  most INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  next_at INTEGER,
  body BLOB NOT NULL,
  request_headers BLOB NOT NULL,
  response_status INTEGER,
  response_headers BLOB NOT NULL,
  response_body BLOB NOT NULL,
  duration_ms INTEGER,
  error TEXT NOT NULL,
  replay_of TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  delivered_at INTEGER,
  PRIMARY KEY (organization, id)
) STRICT;
CREATE INDEX workflow_deliveries_log ON workflow_deliveries (organization, endpoint, created_at, id);
CREATE INDEX workflow_deliveries_next ON workflow_deliveries (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX workflow_deliveries_over ON workflow_deliveries (updated_at) WHERE next_at IS NULL;
CREATE INDEX workflow_deliveries_waiting ON workflow_deliveries (organization, endpoint) WHERE next_at IS NOT NULL;
CREATE TABLE workflow_hooks (
  organization INTEGER NOT NULL,
  id TEXT NOT NULL,
  account INTEGER NOT NULL,
  environment TEXT NOT NULL,
  enabled INTEGER NOT NULL,
  secret TEXT NOT NULL,
  endpoint BLOB NOT NULL,
  failures INTEGER NOT NULL,
  failing_since INTEGER,
  disabled_reason TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (organization, id)
) STRICT;
CREATE TABLE workflow_jobs (
  organization INTEGER NOT NULL,
  id TEXT NOT NULL,
  account INTEGER NOT NULL,
  request BLOB NOT NULL,
  runs BLOB NOT NULL,
  status TEXT NOT NULL,
  total INTEGER NOT NULL,
  position INTEGER NOT NULL,
  done INTEGER NOT NULL,
  skipped INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  errors BLOB NOT NULL,
  owner TEXT NOT NULL,
  fence INTEGER NOT NULL,
  look_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  finished_at INTEGER,
  PRIMARY KEY (organization, id)
) STRICT;
CREATE INDEX workflow_jobs_look ON workflow_jobs (look_at) WHERE look_at IS NOT NULL;
CREATE TABLE workflow_keys (
  organization INTEGER NOT NULL,
  workflow INTEGER NOT NULL,
  key TEXT NOT NULL,
  run TEXT NOT NULL,
  content BLOB NOT NULL,
  until_at INTEGER,
  PRIMARY KEY (organization, workflow, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX workflow_keys_until ON workflow_keys (until_at) WHERE until_at IS NOT NULL;
CREATE TABLE workflow_payments (
  checkout TEXT NOT NULL,
  payment_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  amount TEXT NOT NULL,
  currency TEXT NOT NULL,
  refund TEXT NOT NULL,
  refunded TEXT NOT NULL,
  reason TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (checkout, payment_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX workflow_payments_id ON workflow_payments (payment_id);
CREATE TABLE workflow_runs (
  organization INTEGER NOT NULL,
  id TEXT NOT NULL,
  account INTEGER NOT NULL,
  workflow INTEGER NOT NULL,
  version INTEGER NOT NULL,
  definition BLOB,
  state TEXT NOT NULL,
  segment INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  wave INTEGER NOT NULL,
  owner TEXT NOT NULL,
  stop_asked INTEGER NOT NULL,
  wake_at INTEGER,
  parent_run TEXT,
  parent_path TEXT,
  progress BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (organization, id)
) STRICT;
CREATE INDEX workflow_runs_due ON workflow_runs (updated_at) WHERE state = 'due';
CREATE INDEX workflow_runs_id ON workflow_runs (id);
CREATE INDEX workflow_runs_over ON workflow_runs (updated_at) WHERE state = 'over';
CREATE INDEX workflow_runs_running ON workflow_runs (owner) WHERE state = 'running';
CREATE INDEX workflow_runs_wake ON workflow_runs (wake_at) WHERE state = 'parked' AND wake_at IS NOT NULL;
CREATE TABLE workflow_schedules (
  organization INTEGER NOT NULL,
  id TEXT NOT NULL,
  account INTEGER NOT NULL,
  workflow INTEGER NOT NULL,
  schedule BLOB NOT NULL,
  paused INTEGER NOT NULL,
  next_at INTEGER,
  last_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (organization, id)
) STRICT;
CREATE INDEX workflow_schedules_next ON workflow_schedules (next_at) WHERE paused = 0 AND next_at IS NOT NULL;
CREATE INDEX workflow_schedules_workflow ON workflow_schedules (workflow);
CREATE TABLE workflow_triggers (
  organization INTEGER NOT NULL,
  application TEXT NOT NULL,
  event TEXT NOT NULL,
  workflow INTEGER NOT NULL,
  PRIMARY KEY (organization, event, application, workflow)
) STRICT, WITHOUT ROWID;
CREATE INDEX workflow_triggers_workflow ON workflow_triggers (workflow);
CREATE TABLE workflow_versions (
  workflow INTEGER NOT NULL,
  version INTEGER NOT NULL,
  definition BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  published_at INTEGER,
  PRIMARY KEY (workflow, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE workflow_waits (
  organization INTEGER NOT NULL,
  run TEXT NOT NULL,
  path TEXT NOT NULL,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  account INTEGER NOT NULL,
  PRIMARY KEY (organization, run, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX workflow_waits_key ON workflow_waits (organization, kind, key, run, path);
CREATE TABLE workflow_wakes (
  organization INTEGER NOT NULL,
  run TEXT NOT NULL,
  number INTEGER NOT NULL,
  wake BLOB NOT NULL,
  PRIMARY KEY (organization, run, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE workflow_workers (
  id TEXT NOT NULL PRIMARY KEY,
  started_at INTEGER NOT NULL,
  beat_at INTEGER NOT NULL
) STRICT;
CREATE TABLE workflows (
  number INTEGER NOT NULL PRIMARY KEY,
  organization INTEGER NOT NULL,
  account INTEGER NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  alias TEXT NOT NULL,
  slug TEXT NOT NULL,
  description TEXT NOT NULL,
  status TEXT NOT NULL,
  visibility TEXT NOT NULL,
  application BLOB,
  newest INTEGER NOT NULL,
  published INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  published_at INTEGER,
  hook_hash BLOB,
  hook_hint TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX workflows_alias ON workflows (organization, alias) WHERE alias <> '';
CREATE UNIQUE INDEX workflows_id ON workflows (id);
CREATE INDEX workflows_list ON workflows (organization, number) WHERE status <> 'archived';

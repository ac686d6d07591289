CREATE TABLE access_settings (
  id smallint NOT NULL,
  signing_key bytea NOT NULL,
  CONSTRAINT access_settings_id_check CHECK ((id = 1)),
  CONSTRAINT access_settings_pkey PRIMARY KEY (id)
);
CREATE TABLE account_profiles (
  account bigint NOT NULL,
  name text NOT NULL,
  fields text NOT NULL,
  updated_at_us bigint NOT NULL,
  CONSTRAINT account_profiles_account_fkey FOREIGN KEY (account) REFERENCES accounts(id),
  CONSTRAINT account_profiles_pkey PRIMARY KEY (account)
);
CREATE TABLE accounts (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  organization bigint NOT NULL,
  name text NOT NULL,
  name_key text NOT NULL,
  type text NOT NULL,
  environment text NOT NULL,
  time_zone text NOT NULL,
  currency text NOT NULL,
  server_name text NOT NULL,
  created_at_us bigint NOT NULL,
  removed_at_us bigint,
  CONSTRAINT accounts_organization_fkey FOREIGN KEY (organization) REFERENCES organizations(id),
  CONSTRAINT accounts_organization_type_environment_name_key_key UNIQUE (organization, type, environment, name_key),
  CONSTRAINT accounts_pkey PRIMARY KEY (id)
);
CREATE TABLE audit (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  organization bigint NOT NULL,
  at_us bigint NOT NULL,
  identity text NOT NULL,
  action text NOT NULL,
  subject text NOT NULL,
  data text NOT NULL,
  CONSTRAINT audit_organization_fkey FOREIGN KEY (organization) REFERENCES organizations(id),
  CONSTRAINT audit_pkey PRIMARY KEY (id)
);
CREATE INDEX audit_by_organization ON audit USING btree (organization, id);
CREATE TABLE credentials (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  organization bigint NOT NULL,
  identity_id bigint NOT NULL,
  type text NOT NULL,
  hint text NOT NULL,
  label text NOT NULL,
  scopes text NOT NULL,
  environment text,
  secret_hash bytea,
  username text,
  password_hash text,
  created_at_us bigint NOT NULL,
  last_used_at_us bigint,
  revoked_at_us bigint,
  CONSTRAINT credentials_identity_id_fkey FOREIGN KEY (identity_id) REFERENCES identities(id),
  CONSTRAINT credentials_organization_fkey FOREIGN KEY (organization) REFERENCES organizations(id),
  CONSTRAINT credentials_pkey PRIMARY KEY (id),
  CONSTRAINT credentials_secret_hash_key UNIQUE (secret_hash)
);
CREATE INDEX credentials_by_organization ON credentials USING btree (organization, id);
CREATE INDEX credentials_by_username ON credentials USING btree (username, id) WHERE (username IS NOT NULL);
CREATE UNIQUE INDEX credentials_live_username ON credentials USING btree (username) WHERE ((username IS NOT NULL) AND (revoked_at_us IS NULL));
CREATE TABLE days (
  organization bigint NOT NULL,
  day bigint NOT NULL,
  account bigint NOT NULL,
  cell bigint NOT NULL,
  currency text NOT NULL,
  n bigint NOT NULL,
  quantity text NOT NULL,
  volume text NOT NULL,
  fees text NOT NULL,
  pnl text NOT NULL,
  CONSTRAINT days_pkey PRIMARY KEY (organization, day, account, cell, currency)
) WITH (fillfactor=70);
CREATE TABLE events (
  eid bigint NOT NULL,
  rid bigint NOT NULL,
  at bigint NOT NULL,
  recorded_at bigint NOT NULL,
  type text NOT NULL,
  level bigint NOT NULL,
  from_status bigint,
  to_status bigint,
  title text NOT NULL,
  message text NOT NULL,
  data bytea,
  CONSTRAINT events_pkey PRIMARY KEY (eid)
);
CREATE INDEX events_of_execution ON events USING btree (rid, eid);
CREATE TABLE executions (
  rid bigint NOT NULL,
  organization bigint NOT NULL,
  account bigint NOT NULL,
  cell bigint NOT NULL,
  key bigint NOT NULL,
  id text NOT NULL,
  external_id text,
  origin text NOT NULL,
  name text NOT NULL,
  search text,
  parent_id text,
  created_at bigint NOT NULL,
  started_at bigint,
  finished_at bigint,
  updated_at bigint NOT NULL,
  recorded_at bigint NOT NULL,
  version bigint NOT NULL,
  seq bigint NOT NULL,
  content bytea NOT NULL,
  body bytea NOT NULL,
  executor_group bigint,
  run_group bigint,
  CONSTRAINT executions_pkey PRIMARY KEY (rid)
) WITH (fillfactor=90);
CREATE INDEX executions_by_account ON executions USING btree (account, created_at, rid);
CREATE INDEX executions_by_group ON executions USING btree (executor_group, created_at, rid) WHERE (executor_group IS NOT NULL);
CREATE INDEX executions_by_organization ON executions USING btree (organization, created_at, rid);
CREATE INDEX executions_by_run_group ON executions USING btree (run_group, created_at, rid) WHERE (run_group IS NOT NULL);
CREATE UNIQUE INDEX executions_key ON executions USING btree (organization, key);
CREATE INDEX executions_of_executors ON executions USING btree (organization, created_at, rid, executor_group) WHERE (executor_group IS NOT NULL);
CREATE TABLE executor_groups (
  id bigint NOT NULL,
  organization bigint NOT NULL,
  key bigint NOT NULL,
  account bigint NOT NULL,
  status bigint NOT NULL,
  executor_type text NOT NULL,
  connector text NOT NULL,
  trading_pair text NOT NULL,
  controller_id text NOT NULL,
  close_type text NOT NULL,
  n bigint NOT NULL,
  won bigint NOT NULL,
  pnl text NOT NULL,
  squares text NOT NULL,
  pct text NOT NULL,
  fees text NOT NULL,
  volume text NOT NULL,
  CONSTRAINT executor_groups_pkey PRIMARY KEY (id)
) WITH (fillfactor=70);
CREATE INDEX executor_groups_by_controller ON executor_groups USING btree (organization, controller_id);
CREATE INDEX executor_groups_key ON executor_groups USING btree (organization, key);
CREATE TABLE executor_holds (
  organization bigint NOT NULL,
  account bigint NOT NULL,
  connector text NOT NULL,
  pair text NOT NULL,
  controller text NOT NULL,
  hold bytea NOT NULL,
  CONSTRAINT executor_holds_pkey PRIMARY KEY (organization, account, connector, pair, controller)
) WITH (fillfactor=80);
CREATE TABLE executor_keys (
  organization bigint NOT NULL,
  key text NOT NULL,
  id text NOT NULL,
  content bytea NOT NULL,
  CONSTRAINT executor_keys_pkey PRIMARY KEY (organization, key)
);
CREATE TABLE executor_marks (
  instrument text NOT NULL,
  price text NOT NULL,
  rising bigint NOT NULL,
  until_us bigint NOT NULL,
  best bigint NOT NULL,
  CONSTRAINT executor_marks_pkey PRIMARY KEY (instrument, price, rising, until_us)
) WITH (fillfactor=80);
CREATE TABLE executor_states (
  number bigint NOT NULL,
  organization bigint NOT NULL,
  account bigint NOT NULL,
  id text NOT NULL,
  type text NOT NULL,
  active bigint NOT NULL,
  created_at bigint NOT NULL,
  config bytea NOT NULL,
  state bytea NOT NULL,
  orders bytea NOT NULL,
  CONSTRAINT executor_states_pkey PRIMARY KEY (number)
) WITH (fillfactor=80);
CREATE INDEX executor_states_active ON executor_states USING btree (number) WHERE (active = 1);
CREATE UNIQUE INDEX executor_states_id ON executor_states USING btree (organization, id);
CREATE TABLE funds (
  account bigint NOT NULL,
  currency text NOT NULL,
  organization bigint NOT NULL,
  starting text NOT NULL,
  cash text NOT NULL,
  realized text NOT NULL,
  commission text NOT NULL,
  session bigint NOT NULL,
  session_cash text NOT NULL,
  session_realized text NOT NULL,
  session_commission text NOT NULL,
  max_position text,
  CONSTRAINT funds_pkey PRIMARY KEY (account, currency)
) WITH (fillfactor=70);
CREATE TABLE identities (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  organization bigint NOT NULL,
  name text NOT NULL,
  created_at_us bigint NOT NULL,
  CONSTRAINT identities_organization_fkey FOREIGN KEY (organization) REFERENCES organizations(id),
  CONSTRAINT identities_organization_name_key UNIQUE (organization, name),
  CONSTRAINT identities_pkey PRIMARY KEY (id)
);
CREATE TABLE order_notes (
  number bigint NOT NULL,
  note bigint NOT NULL,
  body bytea NOT NULL,
  CONSTRAINT order_notes_pkey PRIMARY KEY (number, note)
);
CREATE TABLE orders (
  number bigint NOT NULL,
  organization bigint NOT NULL,
  account bigint NOT NULL,
  id text NOT NULL,
  client_id text,
  instrument text NOT NULL,
  working bigint NOT NULL,
  body bytea NOT NULL,
  CONSTRAINT orders_pkey PRIMARY KEY (number)
) WITH (fillfactor=80);
CREATE UNIQUE INDEX orders_client ON orders USING btree (account, client_id) WHERE (client_id IS NOT NULL);
CREATE UNIQUE INDEX orders_id ON orders USING btree (id);
CREATE INDEX orders_of_account ON orders USING btree (account, number);
CREATE INDEX orders_working ON orders USING btree (account, number) WHERE (working = 1);
CREATE TABLE organizations (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  public_id text NOT NULL,
  name text NOT NULL,
  name_key text NOT NULL,
  created_at_us bigint NOT NULL,
  CONSTRAINT organizations_name_key_key UNIQUE (name_key),
  CONSTRAINT organizations_pkey PRIMARY KEY (id),
  CONSTRAINT organizations_public_id_key UNIQUE (public_id)
);
CREATE TABLE positions (
  account bigint NOT NULL,
  instrument text NOT NULL,
  organization bigint NOT NULL,
  lots bigint NOT NULL,
  cost text NOT NULL,
  ticks_lots text NOT NULL,
  realized text NOT NULL,
  commission text NOT NULL,
  fills bigint NOT NULL,
  bought text NOT NULL,
  sold text NOT NULL,
  CONSTRAINT positions_pkey PRIMARY KEY (account, instrument)
) WITH (fillfactor=70);
CREATE TABLE refs (
  organization bigint NOT NULL,
  key bigint NOT NULL,
  value text NOT NULL,
  created_at bigint NOT NULL,
  rid bigint NOT NULL,
  CONSTRAINT refs_pkey PRIMARY KEY (organization, key, value, created_at, rid)
);
CREATE TABLE run_groups (
  id bigint NOT NULL,
  organization bigint NOT NULL,
  key bigint NOT NULL,
  account bigint NOT NULL,
  workflow_id text NOT NULL,
  application text NOT NULL,
  search text,
  CONSTRAINT run_groups_pkey PRIMARY KEY (id)
);
CREATE INDEX run_groups_by_account ON run_groups USING btree (organization, account, workflow_id);
CREATE INDEX run_groups_by_workflow ON run_groups USING btree (organization, workflow_id, account);
CREATE INDEX run_groups_key ON run_groups USING btree (organization, key);
CREATE TABLE schema_migrations (
  component text NOT NULL,
  number bigint NOT NULL,
  name text NOT NULL,
  checksum text NOT NULL,
  CONSTRAINT schema_migrations_pkey PRIMARY KEY (component, number)
);
CREATE TABLE scopes (
  scope bigint NOT NULL,
  path text NOT NULL,
  CONSTRAINT scopes_pkey PRIMARY KEY (scope)
) WITH (fillfactor=50);
CREATE TABLE sessions (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  organization bigint NOT NULL,
  account_id bigint NOT NULL,
  credential_id bigint NOT NULL,
  token_id text NOT NULL,
  issued_at_s bigint NOT NULL,
  expires_at_s bigint NOT NULL,
  refresh_expires_at_s bigint NOT NULL,
  revoked_at_us bigint,
  CONSTRAINT sessions_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id),
  CONSTRAINT sessions_credential_id_fkey FOREIGN KEY (credential_id) REFERENCES credentials(id),
  CONSTRAINT sessions_organization_fkey FOREIGN KEY (organization) REFERENCES organizations(id),
  CONSTRAINT sessions_pkey PRIMARY KEY (id),
  CONSTRAINT sessions_token_id_key UNIQUE (token_id)
);
CREATE INDEX sessions_by_account ON sessions USING btree (account_id, credential_id, id);
CREATE TABLE streams (
  organization bigint NOT NULL,
  seq bigint NOT NULL,
  CONSTRAINT streams_pkey PRIMARY KEY (organization)
) WITH (fillfactor=50);
CREATE TABLE tallies (
  scope bigint NOT NULL,
  level bigint NOT NULL,
  cell bigint NOT NULL,
  lo_at bigint NOT NULL,
  lo_rid bigint NOT NULL,
  n bigint NOT NULL,
  CONSTRAINT tallies_pkey PRIMARY KEY (scope, level, cell, lo_at, lo_rid)
) WITH (fillfactor=70);
CREATE TABLE trading_lease (
  organization bigint NOT NULL,
  epoch bigint NOT NULL,
  batch bigint NOT NULL,
  note bigint NOT NULL,
  CONSTRAINT trading_lease_pkey PRIMARY KEY (organization)
) WITH (fillfactor=50);
CREATE TABLE workflow_checkouts (
  id text NOT NULL,
  organization bigint NOT NULL,
  run text NOT NULL,
  provider text NOT NULL,
  provider_id text NOT NULL,
  amount text NOT NULL,
  currency text NOT NULL,
  status text NOT NULL,
  url text NOT NULL,
  payment_id text NOT NULL,
  title text NOT NULL,
  email text NOT NULL,
  success_url text NOT NULL,
  cancel_url text NOT NULL,
  expires_at bigint NOT NULL,
  look_at bigint,
  attempts bigint NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  CONSTRAINT workflow_checkouts_pkey PRIMARY KEY (id)
);
CREATE INDEX workflow_checkouts_look ON workflow_checkouts USING btree (look_at) WHERE (look_at IS NOT NULL);
CREATE INDEX workflow_checkouts_provider ON workflow_checkouts USING btree (provider, provider_id);
CREATE UNIQUE INDEX workflow_checkouts_run ON workflow_checkouts USING btree (organization, run);
CREATE TABLE workflow_deliveries (
  organization bigint NOT NULL,
  id text NOT NULL,
  endpoint text NOT NULL,
  event text NOT NULL,
  run text NOT NULL,
  workflow text NOT NULL,
  status text NOT NULL,
  attempts bigint NOT NULL,
  most bigint NOT NULL,
  fence bigint NOT NULL,
  next_at bigint,
  body bytea NOT NULL,
  request_headers bytea NOT NULL,
  response_status bigint,
  response_headers bytea NOT NULL,
  response_body bytea NOT NULL,
  duration_ms bigint,
  error text NOT NULL,
  replay_of text NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  delivered_at bigint,
  CONSTRAINT workflow_deliveries_pkey PRIMARY KEY (organization, id)
);
CREATE INDEX workflow_deliveries_log ON workflow_deliveries USING btree (organization, endpoint, created_at, id);
CREATE INDEX workflow_deliveries_next ON workflow_deliveries USING btree (next_at) WHERE (next_at IS NOT NULL);
CREATE INDEX workflow_deliveries_over ON workflow_deliveries USING btree (updated_at) WHERE (next_at IS NULL);
CREATE INDEX workflow_deliveries_waiting ON workflow_deliveries USING btree (organization, endpoint) WHERE (next_at IS NOT NULL);
CREATE TABLE workflow_hooks (
  organization bigint NOT NULL,
  id text NOT NULL,
  account bigint NOT NULL,
  environment text NOT NULL,
  enabled bigint NOT NULL,
  secret text NOT NULL,
  endpoint bytea NOT NULL,
  failures bigint NOT NULL,
  failing_since bigint,
  disabled_reason text NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  CONSTRAINT workflow_hooks_pkey PRIMARY KEY (organization, id)
);
CREATE TABLE workflow_jobs (
  organization bigint NOT NULL,
  id text NOT NULL,
  account bigint NOT NULL,
  request bytea NOT NULL,
  runs bytea NOT NULL,
  status text NOT NULL,
  total bigint NOT NULL,
  position bigint NOT NULL,
  done bigint NOT NULL,
  skipped bigint NOT NULL,
  failed bigint NOT NULL,
  errors bytea NOT NULL,
  owner text NOT NULL,
  fence bigint NOT NULL,
  look_at bigint,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  finished_at bigint,
  CONSTRAINT workflow_jobs_pkey PRIMARY KEY (organization, id)
);
CREATE INDEX workflow_jobs_look ON workflow_jobs USING btree (look_at) WHERE (look_at IS NOT NULL);
CREATE TABLE workflow_keys (
  organization bigint NOT NULL,
  workflow bigint NOT NULL,
  key text NOT NULL,
  run text NOT NULL,
  content bytea NOT NULL,
  until_at bigint,
  CONSTRAINT workflow_keys_pkey PRIMARY KEY (organization, workflow, key)
);
CREATE INDEX workflow_keys_until ON workflow_keys USING btree (until_at) WHERE (until_at IS NOT NULL);
CREATE TABLE workflow_payments (
  checkout text NOT NULL,
  payment_id text NOT NULL,
  kind text NOT NULL,
  amount text NOT NULL,
  currency text NOT NULL,
  refund text NOT NULL,
  refunded text NOT NULL,
  reason text NOT NULL,
  attempt bigint NOT NULL,
  at bigint NOT NULL,
  CONSTRAINT workflow_payments_pkey PRIMARY KEY (checkout, payment_id)
);
CREATE INDEX workflow_payments_id ON workflow_payments USING btree (payment_id);
CREATE TABLE workflow_runs (
  organization bigint NOT NULL,
  id text NOT NULL,
  account bigint NOT NULL,
  workflow bigint NOT NULL,
  version bigint NOT NULL,
  definition bytea,
  state text NOT NULL,
  segment bigint NOT NULL,
  fence bigint NOT NULL,
  wave bigint NOT NULL,
  owner text NOT NULL,
  stop_asked bigint NOT NULL,
  wake_at bigint,
  parent_run text,
  parent_path text,
  progress bytea NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  CONSTRAINT workflow_runs_pkey PRIMARY KEY (organization, id)
) WITH (fillfactor=80);
CREATE INDEX workflow_runs_due ON workflow_runs USING btree (updated_at) WHERE (state = 'due'::text);
CREATE INDEX workflow_runs_id ON workflow_runs USING btree (id);
CREATE INDEX workflow_runs_over ON workflow_runs USING btree (updated_at) WHERE (state = 'over'::text);
CREATE INDEX workflow_runs_running ON workflow_runs USING btree (owner) WHERE (state = 'running'::text);
CREATE INDEX workflow_runs_wake ON workflow_runs USING btree (wake_at) WHERE ((state = 'parked'::text) AND (wake_at IS NOT NULL));
CREATE TABLE workflow_schedules (
  organization bigint NOT NULL,
  id text NOT NULL,
  account bigint NOT NULL,
  workflow bigint NOT NULL,
  schedule bytea NOT NULL,
  paused bigint NOT NULL,
  next_at bigint,
  last_at bigint,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  CONSTRAINT workflow_schedules_pkey PRIMARY KEY (organization, id)
);
CREATE INDEX workflow_schedules_next ON workflow_schedules USING btree (next_at) WHERE ((paused = 0) AND (next_at IS NOT NULL));
CREATE INDEX workflow_schedules_workflow ON workflow_schedules USING btree (workflow);
CREATE TABLE workflow_triggers (
  organization bigint NOT NULL,
  application text NOT NULL,
  event text NOT NULL,
  workflow bigint NOT NULL,
  CONSTRAINT workflow_triggers_pkey PRIMARY KEY (organization, event, application, workflow)
);
CREATE INDEX workflow_triggers_workflow ON workflow_triggers USING btree (workflow);
CREATE TABLE workflow_versions (
  workflow bigint NOT NULL,
  version bigint NOT NULL,
  definition bytea NOT NULL,
  created_at bigint NOT NULL,
  published_at bigint,
  CONSTRAINT workflow_versions_pkey PRIMARY KEY (workflow, version)
);
CREATE TABLE workflow_waits (
  organization bigint NOT NULL,
  run text NOT NULL,
  path text NOT NULL,
  kind text NOT NULL,
  key text NOT NULL,
  account bigint NOT NULL,
  CONSTRAINT workflow_waits_pkey PRIMARY KEY (organization, run, path)
);
CREATE INDEX workflow_waits_key ON workflow_waits USING btree (organization, kind, key, run, path);
CREATE TABLE workflow_wakes (
  organization bigint NOT NULL,
  run text NOT NULL,
  number bigint NOT NULL,
  wake bytea NOT NULL,
  CONSTRAINT workflow_wakes_pkey PRIMARY KEY (organization, run, number)
);
CREATE TABLE workflow_workers (
  id text NOT NULL,
  started_at bigint NOT NULL,
  beat_at bigint NOT NULL,
  CONSTRAINT workflow_workers_pkey PRIMARY KEY (id)
);
CREATE TABLE workflows (
  number bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
  organization bigint NOT NULL,
  account bigint NOT NULL,
  id text NOT NULL,
  name text NOT NULL,
  alias text NOT NULL,
  slug text NOT NULL,
  description text NOT NULL,
  status text NOT NULL,
  visibility text NOT NULL,
  application bytea,
  newest bigint NOT NULL,
  published bigint,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  published_at bigint,
  hook_hash bytea,
  hook_hint text NOT NULL,
  CONSTRAINT workflows_pkey PRIMARY KEY (number)
);
CREATE UNIQUE INDEX workflows_alias ON workflows USING btree (organization, alias) WHERE (alias <> ''::text);
CREATE UNIQUE INDEX workflows_id ON workflows USING btree (id);
CREATE INDEX workflows_list ON workflows USING btree (organization, number) WHERE (status <> 'archived'::text);

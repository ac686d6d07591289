-- Addresses that are told what becomes of runs, and what they are told. A delivery is written with the transition that it
-- tells, in one transaction. `secret` is what an endpoint's deliveries are signed with. `failures`: deliveries that were
-- given up in a row, since `failing_since`.
CREATE TABLE workflow_hooks (
  organization BIGINT NOT NULL,
  id TEXT NOT NULL,
  -- 0: hears of the whole organization's runs.
  account BIGINT NOT NULL,
  -- Empty: of both.
  environment TEXT NOT NULL,
  enabled BIGINT NOT NULL,
  secret TEXT NOT NULL,
  endpoint BYTEA NOT NULL,
  failures BIGINT NOT NULL,
  failing_since BIGINT,
  disabled_reason TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (organization, id)
-- sqlite:
) STRICT;
-- postgres:
);
-- end

-- `next_at`: when it is sent (again), or, while somebody sends it, when another may take it over; NULL: nothing is left
-- to do. `fence` counts those who took it: one who lost it writes nothing any more. `most`: attempts that it has in all.
CREATE TABLE workflow_deliveries (
  organization BIGINT NOT NULL,
  id TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  event TEXT NOT NULL,
  run TEXT NOT NULL,
  workflow TEXT NOT NULL,
  status TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  most BIGINT NOT NULL,
  fence BIGINT NOT NULL,
  next_at BIGINT,
  body BYTEA NOT NULL,
  request_headers BYTEA NOT NULL,
  response_status BIGINT,
  response_headers BYTEA NOT NULL,
  response_body BYTEA NOT NULL,
  duration_ms BIGINT,
  error TEXT NOT NULL,
  replay_of TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  delivered_at BIGINT,
  PRIMARY KEY (organization, id)
-- sqlite:
) STRICT;
-- postgres:
);
-- end
CREATE INDEX workflow_deliveries_log ON workflow_deliveries (organization, endpoint, created_at, id);
CREATE INDEX workflow_deliveries_next ON workflow_deliveries (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX workflow_deliveries_waiting ON workflow_deliveries (organization, endpoint) WHERE next_at IS NOT NULL;
CREATE INDEX workflow_deliveries_over ON workflow_deliveries (updated_at) WHERE next_at IS NULL;

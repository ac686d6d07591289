-- name: hook.add
INSERT INTO workflow_hooks (organization, id, account, environment, enabled, secret, endpoint, failures, failing_since,
  disabled_reason, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)

-- name: hook.put
UPDATE workflow_hooks SET account = $3, environment = $4, enabled = $5, secret = $6, endpoint = $7, failures = $8,
  failing_since = $9, disabled_reason = $10, created_at = $11, updated_at = $12
WHERE organization = $1 AND id = $2

-- name: hook.get
SELECT organization, id, account, environment, enabled, secret, endpoint, failures, failing_since, disabled_reason,
  created_at, updated_at
FROM workflow_hooks WHERE organization = $1 AND id = $2

-- Newest first. $2: the account, or -1 for all; $3: the environment, or nothing for all.
-- name: hook.list
SELECT organization, id, account, environment, enabled, secret, endpoint, failures, failing_since, disabled_reason,
  created_at, updated_at
FROM workflow_hooks WHERE organization = $1 AND (account = $2 OR $2 = -1) AND (environment = $3 OR $3 = '')
ORDER BY created_at DESC, id

-- name: hook.count
SELECT count(*) FROM workflow_hooks WHERE organization = $1

-- Who is told of an account's runs.
-- name: hook.hearing
SELECT organization, id, account, environment, enabled, secret, endpoint, failures, failing_since, disabled_reason,
  created_at, updated_at
FROM workflow_hooks
WHERE organization = $1 AND enabled = 1 AND (account = 0 OR account = $2) AND (environment = '' OR environment = $3)
ORDER BY id

-- name: hook.delete
DELETE FROM workflow_hooks WHERE organization = $1 AND id = $2

-- Its id is made of what it tells: the same is written once.
-- name: delivery.add
INSERT INTO workflow_deliveries (organization, id, endpoint, event, run, workflow, status, attempts, most, fence, next_at,
  body, request_headers, response_status, response_headers, response_body, duration_ms, error, replay_of, created_at,
  updated_at, delivered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
ON CONFLICT (organization, id) DO NOTHING

-- Only if nobody took it meanwhile ($3: the fence as it was read).
-- name: delivery.put
UPDATE workflow_deliveries SET status = $4, attempts = $5, most = $6, fence = $7, next_at = $8, request_headers = $9,
  response_status = $10, response_headers = $11, response_body = $12, duration_ms = $13, error = $14, updated_at = $15,
  delivered_at = $16
WHERE organization = $1 AND id = $2 AND fence = $3
RETURNING id

-- name: delivery.get
SELECT organization, id, endpoint, event, run, workflow, status, attempts, most, fence, next_at, body, request_headers,
  response_status, response_headers, response_body, duration_ms, error, replay_of, created_at, updated_at, delivered_at
FROM workflow_deliveries WHERE organization = $1 AND id = $2

-- Newest first.
-- name: delivery.list
SELECT organization, id, endpoint, event, run, workflow, status, attempts, most, fence, next_at, body, request_headers,
  response_status, response_headers, response_body, duration_ms, error, replay_of, created_at, updated_at, delivered_at
FROM workflow_deliveries WHERE organization = $1 AND @texts(endpoint, $2)
ORDER BY created_at DESC, id LIMIT $3 OFFSET $4

-- name: delivery.count
SELECT count(*) FROM workflow_deliveries WHERE organization = $1 AND endpoint = $2

-- How many wait for an endpoint, as far as $3.
-- name: delivery.waiting
SELECT count(*) FROM (SELECT 1 FROM workflow_deliveries
  WHERE organization = $1 AND endpoint = $2 AND next_at IS NOT NULL LIMIT $3) AS waiting

-- Of all organizations, but not for these endpoints ($2).
-- name: delivery.due
SELECT organization, id, endpoint, event, run, workflow, status, attempts, most, fence, next_at, body, request_headers,
  response_status, response_headers, response_body, duration_ms, error, replay_of, created_at, updated_at, delivered_at
FROM workflow_deliveries
WHERE next_at IS NOT NULL AND next_at <= $1 AND NOT (@texts(endpoint, $2))
ORDER BY next_at, id LIMIT $3

-- name: delivery.next
SELECT min(next_at) FROM workflow_deliveries WHERE next_at IS NOT NULL AND NOT (@texts(endpoint, $1))

-- What waits for an endpoint that is told nothing any more.
-- name: delivery.give_up
UPDATE workflow_deliveries SET status = 'failed', next_at = NULL, error = $3, updated_at = $4, fence = fence + 1
WHERE organization = $1 AND endpoint = $2 AND next_at IS NOT NULL

-- name: delivery.forget
DELETE FROM workflow_deliveries WHERE (organization, id) IN (SELECT organization, id FROM workflow_deliveries
  WHERE next_at IS NULL AND updated_at < $1 ORDER BY updated_at LIMIT $2)

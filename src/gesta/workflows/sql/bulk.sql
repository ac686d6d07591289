-- name: job.get
SELECT organization, id, account, request, status, total, position, done, skipped, failed, errors, owner, fence,
  created_at, updated_at, finished_at
FROM workflow_jobs WHERE organization = $1 AND id = $2

-- name: job.list
SELECT organization, id, account, request, status, total, position, done, skipped, failed, errors, owner, fence,
  created_at, updated_at, finished_at
FROM workflow_jobs WHERE organization = $1 AND (account = $2 OR $2 = -1) ORDER BY created_at DESC, id LIMIT $3

-- name: job.runs
SELECT runs FROM workflow_jobs WHERE organization = $1 AND id = $2

-- name: job.add
INSERT INTO workflow_jobs (organization, id, account, request, runs, status, total, position, done, skipped, failed,
  errors, owner, fence, look_at, created_at, updated_at, finished_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, 0, $8, $9, $10, $11, $12, $12, $13)

-- Another process that took it up has another fence.
-- name: job.put
UPDATE workflow_jobs SET status = $4, position = $5, done = $6, skipped = $7, failed = $8, errors = $9, look_at = $10,
  updated_at = $11, finished_at = $12
WHERE organization = $1 AND id = $2 AND fence = $3 AND look_at IS NOT NULL
RETURNING id

-- What was under way when it was cancelled.
-- name: job.count
UPDATE workflow_jobs SET position = $4, done = $5, skipped = $6, failed = $7, errors = $8, updated_at = $9
WHERE organization = $1 AND id = $2 AND fence = $3 AND status = 'cancelled'
RETURNING id

-- What nobody looks after any more.
-- name: job.left
SELECT organization, id, fence FROM workflow_jobs WHERE look_at IS NOT NULL AND look_at <= $1
ORDER BY look_at LIMIT $2

-- What this process had when it ended.
-- name: job.owned
SELECT organization, id, fence FROM workflow_jobs WHERE look_at IS NOT NULL AND owner = $1

-- name: job.claim
UPDATE workflow_jobs SET owner = $4, fence = fence + 1, look_at = $5
WHERE organization = $1 AND id = $2 AND fence = $3 AND look_at IS NOT NULL
RETURNING organization, id, account, request, status, total, position, done, skipped, failed, errors, owner, fence,
  created_at, updated_at, finished_at

-- name: job.stop
UPDATE workflow_jobs SET status = 'cancelled', look_at = NULL, updated_at = $3, finished_at = $3
WHERE organization = $1 AND id = $2 AND look_at IS NOT NULL
RETURNING id

-- name: job.open_count
SELECT count(*) FROM workflow_jobs WHERE organization = $1 AND look_at IS NOT NULL

-- name: job.expire
DELETE FROM workflow_jobs WHERE organization = $1 AND finished_at < $2

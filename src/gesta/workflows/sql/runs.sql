-- name: run.add
INSERT INTO workflow_runs (organization, id, account, workflow, version, definition, state, segment, fence, wave, owner,
  stop_asked, wake_at, parent_run, parent_path, progress, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)

-- name: run.put
UPDATE workflow_runs SET state = $3, segment = $4, fence = $5, wave = $6, owner = $7, stop_asked = $8, wake_at = $9,
  progress = $10, updated_at = $11
WHERE organization = $1 AND id = $2

-- name: run.get
SELECT organization, id, account, workflow, version, definition, state, segment, fence, wave, owner, stop_asked, wake_at,
  parent_run, parent_path, progress, created_at, updated_at
FROM workflow_runs WHERE organization = $1 AND id = $2

-- name: run.mine
SELECT state, fence, stop_asked,
  EXISTS (SELECT 1 FROM workflow_wakes WHERE organization = $1 AND run = $2),
  EXISTS (SELECT 1 FROM workflow_hooks WHERE organization = $1 AND enabled = 1)
FROM workflow_runs WHERE organization = $1 AND id = $2

-- name: run.wave
UPDATE workflow_runs SET wave = $3 WHERE organization = $1 AND id = $2

-- name: run.asked_to_stop
UPDATE workflow_runs SET stop_asked = 1, updated_at = $3 WHERE organization = $1 AND id = $2

-- Segments to be submitted: oldest first.
-- name: run.due
SELECT organization, id, segment, owner FROM workflow_runs WHERE state = 'due' ORDER BY updated_at LIMIT $1

-- Which of a process's running ones are asked to stop.
-- name: run.stopping
SELECT organization, id FROM workflow_runs WHERE state = 'running' AND owner = $1 AND stop_asked = 1

-- name: run.wakeable
SELECT organization, id FROM workflow_runs
WHERE state = 'parked' AND wake_at IS NOT NULL AND wake_at <= $1 ORDER BY wake_at LIMIT $2

-- name: run.next_wake
SELECT min(wake_at) FROM workflow_runs WHERE state = 'parked' AND wake_at IS NOT NULL

-- name: run.counts
SELECT state, count(*) FROM workflow_runs WHERE state <> 'over' GROUP BY state

-- name: wait.add
INSERT INTO workflow_waits (organization, run, path, kind, key, account) VALUES ($1, $2, $3, $4, $5, $6)

-- name: wait.clear
DELETE FROM workflow_waits WHERE organization = $1 AND run = $2

-- name: wait.of_key
SELECT run, path, account FROM workflow_waits WHERE organization = $1 AND kind = $2 AND key = $3 ORDER BY run, path

-- name: wait.of_kind
SELECT DISTINCT organization, key FROM workflow_waits WHERE kind = $1

-- name: wake.add
INSERT INTO workflow_wakes (organization, run, number, wake)
SELECT $1, $2, coalesce(max(number), 0) + 1, $3 FROM workflow_wakes WHERE organization = $1 AND run = $2

-- name: wake.all
SELECT wake FROM workflow_wakes WHERE organization = $1 AND run = $2 ORDER BY number

-- name: wake.clear
DELETE FROM workflow_wakes WHERE organization = $1 AND run = $2

-- name: key.get
SELECT run, content, until_at FROM workflow_keys WHERE organization = $1 AND workflow = $2 AND key = $3

-- name: key.put
INSERT INTO workflow_keys (organization, workflow, key, run, content, until_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (organization, workflow, key) DO UPDATE
SET run = excluded.run, content = excluded.content, until_at = excluded.until_at

-- name: key.expire
DELETE FROM workflow_keys WHERE until_at IS NOT NULL AND until_at < $1

-- name: worker.beat
INSERT INTO workflow_workers (id, started_at, beat_at) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at

-- name: worker.dead
SELECT id FROM workflow_workers WHERE beat_at < $1 AND id <> $2 ORDER BY id

-- name: worker.gone
DELETE FROM workflow_workers WHERE id = $1 AND beat_at < $2 RETURNING id

-- name: worker.leave
DELETE FROM workflow_workers WHERE id = $1

-- name: worker.all
SELECT id, started_at, beat_at FROM workflow_workers ORDER BY id

-- By id alone, for callers without a credential.
-- name: run.of_id
SELECT organization, id, account, workflow, version, definition, state, segment, fence, wave, owner, stop_asked, wake_at,
  parent_run, parent_path, progress, created_at, updated_at
FROM workflow_runs WHERE id = $1

-- Whether other processes have something under way, or had when they died.
-- name: run.running_elsewhere
SELECT 1 FROM workflow_runs WHERE state = 'running' AND owner <> $1 LIMIT 1

-- What a process had under way.
-- name: run.running_of
SELECT organization, id, segment FROM workflow_runs WHERE state = 'running' AND owner = $1

-- For the recount: every run, in the order of its key.
-- name: run.after
SELECT organization, id, account, workflow, version, definition, state, segment, fence, wave, owner, stop_asked, wake_at,
  parent_run, parent_path, progress, created_at, updated_at
FROM workflow_runs WHERE (organization, id) > ($1, $2) ORDER BY organization, id LIMIT $3

-- name: wait.between
SELECT organization, run, path, kind, key, account FROM workflow_waits
WHERE (organization, run) > ($1, $2) AND (organization, run) <= ($3, $4)

-- name: wake.between
SELECT DISTINCT organization, run FROM workflow_wakes
WHERE (organization, run) > ($1, $2) AND (organization, run) <= ($3, $4)

-- name: wait.orphans
SELECT organization, run FROM workflow_waits w
WHERE NOT EXISTS (SELECT 1 FROM workflow_runs r WHERE r.organization = w.organization AND r.id = w.run)
UNION
SELECT organization, run FROM workflow_wakes w
WHERE NOT EXISTS (SELECT 1 FROM workflow_runs r WHERE r.organization = w.organization AND r.id = w.run)

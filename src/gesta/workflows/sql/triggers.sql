-- name: trigger.add
INSERT INTO workflow_triggers (organization, application, event, workflow) VALUES ($1, $2, $3, $4)

-- name: trigger.clear
DELETE FROM workflow_triggers WHERE workflow = $1

-- Which active, published workflows an event starts. $3: the application as it is compared; nothing: any.
-- name: trigger.of_event
SELECT DISTINCT workflow FROM workflow_triggers t
WHERE t.organization = $1 AND t.event = $2 AND (t.application = $3 OR t.application = '' OR $3 = '')
  AND EXISTS (SELECT 1 FROM workflows w
    WHERE w.number = t.workflow AND w.status = 'active' AND w.published IS NOT NULL)
ORDER BY workflow

-- name: schedule.put
INSERT INTO workflow_schedules (organization, id, account, workflow, schedule, paused, next_at, last_at, created_at,
  updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (organization, id) DO UPDATE SET account = excluded.account, workflow = excluded.workflow,
  schedule = excluded.schedule, paused = excluded.paused, next_at = excluded.next_at, last_at = excluded.last_at,
  updated_at = excluded.updated_at

-- name: schedule.get
SELECT s.organization, s.id, s.account, s.workflow, s.schedule, s.paused, s.next_at, s.last_at, s.created_at,
  s.updated_at, w.id, w.account
FROM workflow_schedules s JOIN workflows w ON w.number = s.workflow
WHERE s.organization = $1 AND s.id = $2

-- Newest first. $2: the account, or -1 for all; $3: the workflow's number, or 0 for all.
-- name: schedule.list
SELECT s.organization, s.id, s.account, s.workflow, s.schedule, s.paused, s.next_at, s.last_at, s.created_at,
  s.updated_at, w.id, w.account
FROM workflow_schedules s JOIN workflows w ON w.number = s.workflow
WHERE s.organization = $1 AND (s.account = $2 OR w.account = $2 OR $2 = -1) AND (s.workflow = $3 OR $3 = 0)
ORDER BY s.created_at DESC, s.id

-- name: schedule.count
SELECT count(*) FROM workflow_schedules WHERE organization = $1

-- name: schedule.delete
DELETE FROM workflow_schedules WHERE organization = $1 AND id = $2

-- A workflow that nothing starts any more: its schedules have ended.
-- name: schedule.end
UPDATE workflow_schedules SET next_at = NULL, updated_at = $2 WHERE workflow = $1

-- Of all organizations, the longest due first.
-- name: schedule.due
SELECT s.organization, s.id, s.account, s.workflow, s.schedule, s.paused, s.next_at, s.last_at, s.created_at,
  s.updated_at, w.id, w.account
FROM workflow_schedules s JOIN workflows w ON w.number = s.workflow
WHERE s.paused = 0 AND s.next_at IS NOT NULL AND s.next_at <= $1
ORDER BY s.next_at LIMIT $2

-- name: schedule.next
SELECT min(next_at) FROM workflow_schedules WHERE paused = 0 AND next_at IS NOT NULL

-- Only if it is as it was read: another process may have been first, or somebody changed it.
-- name: schedule.advance
UPDATE workflow_schedules SET next_at = $4, last_at = coalesce($5, last_at)
WHERE organization = $1 AND id = $2 AND next_at = $3 AND updated_at = $6 AND paused = 0

-- A key of an event or a webhook: the run that it stands for. What was taken and is void may be taken again.
-- name: key.take
INSERT INTO workflow_keys (organization, workflow, key, run, content, until_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (organization, workflow, key) DO UPDATE
SET run = excluded.run, content = excluded.content, until_at = excluded.until_at

-- name: key.get
SELECT run, until_at FROM workflow_keys WHERE organization = $1 AND workflow = $2 AND key = $3

-- Who waits for an event, in parts: those after a run and a path.
-- name: wait.page
SELECT run, path, account FROM workflow_waits
WHERE organization = $1 AND kind = 'event' AND key = $2 AND (run > $3 OR (run = $3 AND path > $4))
ORDER BY run, path LIMIT $5

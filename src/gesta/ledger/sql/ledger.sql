-- name: stream.lock
-- Take the organization's lock and read its feed position; make the stream if it is new.
INSERT INTO streams (organization, seq) VALUES ($1, 0)
ON CONFLICT (organization) DO UPDATE SET seq = streams.seq RETURNING seq

-- name: stream.advance
-- And tell other processes, which hear of it once for each transaction.
-- sqlite:
UPDATE streams SET seq = $2 WHERE organization = $1
-- postgres:
WITH advanced AS (UPDATE streams SET seq = $2::bigint WHERE organization = $1::bigint)
SELECT pg_notify('gesta_feed', concat($1::bigint, ':', $2::bigint))
-- end

-- name: stream.head
SELECT seq FROM streams WHERE organization = $1

-- name: execution.keys
-- Which of these keys exist, and whose they are.
SELECT key, id, account, origin, coalesce(external_id, id), content, rid FROM executions
WHERE organization = $1 AND @ints(key, $2)

-- name: execution.add
INSERT INTO executions (rid, organization, account, cell, key, id, external_id, origin, name, search, parent_id,
  created_at, started_at, finished_at, updated_at, recorded_at, version, seq, content, body, executor_group, run_group)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 1, $17, $18, $19, $20, $21)

-- name: execution.change
-- Without a group, the one that it is in stays.
UPDATE executions SET cell = $2, started_at = $3, finished_at = $4, updated_at = $5, version = $6, seq = $7, body = $8,
  executor_group = coalesce($9, executor_group)
WHERE rid = $1

-- name: execution.touch
UPDATE executions SET seq = $2 WHERE rid = $1

-- name: execution.get
SELECT @row FROM executions WHERE organization = $1 AND key = $2 AND id = $3

-- name: execution.listed
SELECT @row FROM executions WHERE @ints(rid, $1) ORDER BY created_at DESC, rid DESC

-- name: group.get
SELECT @group FROM executor_groups g WHERE organization = $1 AND @ints(key, $2)

-- name: group.newest
-- The newest id of an organization.
SELECT max(id) FROM executor_groups WHERE id > $1 AND id <= $2

-- name: group.put
INSERT INTO executor_groups (id, organization, key, account, status, executor_type, connector, trading_pair,
  controller_id, close_type, n, won, pnl, squares, pct, fees, volume)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (id) DO UPDATE SET n = excluded.n, won = excluded.won, pnl = excluded.pnl, squares = excluded.squares,
  pct = excluded.pct, fees = excluded.fees, volume = excluded.volume

-- name: group.drop_empty
DELETE FROM executor_groups WHERE id = $1

-- name: group.walk
-- The keys of these groups ($4) among the newest $5 executors below ($2, $3), from the index alone.
SELECT created_at, rid FROM (
  SELECT created_at, rid, executor_group FROM executions
  WHERE organization = $1 AND executor_group IS NOT NULL AND (created_at, rid) < ($2, $3)
  ORDER BY created_at DESC, rid DESC LIMIT $5) walked
WHERE @ints(executor_group, $4) ORDER BY created_at DESC, rid DESC LIMIT $6

-- name: group.walked
-- How many executors a walk has looked at.
SELECT count(*) FROM (
  SELECT 1 FROM executions WHERE organization = $1 AND executor_group IS NOT NULL AND (created_at, rid) < ($2, $3)
  LIMIT $4) walked

-- name: group.executors
-- How many executors a scope has.
SELECT n FROM tallies WHERE scope = $1 AND level = 99 AND cell = $2

-- name: group.places
-- The newest $4 keys below ($2, $3) of each of these groups, from the index alone.
-- sqlite:
SELECT g.value, p.value->>0, p.value->>1 FROM json_each($1) g, json_each((
  SELECT json_group_array(json_array(created_at, rid)) FROM (
    SELECT created_at, rid FROM executions WHERE executor_group = g.value AND (created_at, rid) < ($2, $3)
    ORDER BY created_at DESC, rid DESC LIMIT $4))) p
-- postgres:
SELECT g.id, p.created_at, p.rid FROM (SELECT value::bigint AS id FROM jsonb_array_elements_text($1::jsonb)) g
CROSS JOIN LATERAL (
  SELECT created_at, rid FROM executions WHERE executor_group = g.id AND (created_at, rid) < ($2, $3)
  ORDER BY created_at DESC, rid DESC LIMIT $4) p
-- end

-- name: run_group.get
SELECT id, account, workflow_id, application, search FROM run_groups WHERE organization = $1 AND @ints(key, $2)

-- name: run_group.of_workflows
SELECT id, account, workflow_id, application, search FROM run_groups
WHERE organization = $1 AND @texts(workflow_id, $2) AND @ints(account, $3)

-- name: run_group.newest
-- The newest id of an organization.
SELECT max(id) FROM run_groups WHERE id > $1 AND id <= $2

-- name: run_group.add
INSERT INTO run_groups (id, organization, key, account, workflow_id, application, search)
VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: execution.run_groups
SELECT rid, run_group FROM executions WHERE @ints(rid, $1) AND run_group IS NOT NULL

-- name: execution.rows
-- Those with these keys; two ids can share a key.
SELECT @row FROM executions WHERE organization = $1 AND @ints(key, $2)

-- name: event.add
INSERT INTO events (eid, rid, at, recorded_at, type, level, from_status, to_status, title, message, data)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: event.timeline
-- What came after the birth of an execution.
SELECT eid, at, recorded_at, type, level, from_status, to_status, title, message, data FROM events
WHERE rid = $1 AND eid > $2 ORDER BY eid LIMIT $3

-- name: event.first_left
-- The status that the first transition of an execution left: the one it was born with.
SELECT from_status FROM events WHERE rid = $1 AND from_status IS NOT NULL ORDER BY eid LIMIT 1

-- name: event.feed
-- Births are the rows of `executions`, everything else is in `events`; both are in order of recording.
SELECT f.eid, f.at, f.recorded_at, f.type, f.level, f.from_status,
  CASE WHEN f.born THEN @born ELSE f.to_status END, f.title, f.message, f.data,
  x.rid, x.organization, x.account, x.cell, x.id, x.external_id, x.origin, x.name, x.parent_id, x.created_at,
  x.started_at, x.finished_at, x.updated_at, x.recorded_at, x.version, x.seq, x.body
FROM (
  SELECT * FROM (
    SELECT rid AS eid, rid, recorded_at AS at, recorded_at, 'execution.recorded' AS type, 1 AS level,
      CAST(NULL AS BIGINT) AS from_status, CAST(NULL AS BIGINT) AS to_status, '' AS title, '' AS message, CAST(NULL AS BYTEA) AS data, 1 = 1 AS born
    FROM executions WHERE rid > $1 AND rid <= $2 ORDER BY rid LIMIT $3) births
  UNION ALL
  SELECT * FROM (
    SELECT eid, rid, at, recorded_at, type, level, from_status, to_status, title, message, data, 1 = 0 AS born
    FROM events WHERE eid > $1 AND eid <= $2 ORDER BY eid LIMIT $3) others
  ) f
JOIN executions x ON x.rid = f.rid ORDER BY f.eid LIMIT $3

-- name: ref.add
INSERT INTO refs (organization, key, value, created_at, rid) VALUES ($1, $2, $3, $4, $5)

-- name: scope.paths
SELECT scope, path FROM scopes WHERE @ints(scope, $1)

-- name: scope.put
INSERT INTO scopes (scope, path) VALUES ($1, $2) ON CONFLICT (scope) DO UPDATE SET path = excluded.path

-- name: tally.add
INSERT INTO tallies (scope, level, cell, lo_at, lo_rid, n) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (scope, level, cell, lo_at, lo_rid) DO UPDATE SET n = tallies.n + excluded.n

-- name: tally.drop_empty
-- A cell that nothing is left in must not be walked again.
DELETE FROM tallies WHERE scope = $1 AND level = $2 AND cell = $3 AND lo_at = $4 AND lo_rid = $5 AND n = 0

-- name: tally.drop_node
DELETE FROM tallies WHERE scope = $1 AND level = $2 AND lo_at = $3 AND lo_rid = $4 AND @ints(cell, $5)

-- name: tally.root
-- The totals of a scope by cell.
SELECT cell, n FROM tallies WHERE scope = $1 AND level = 99

-- name: tally.nodes
-- Boundaries and row counts of the nodes of a level in [lo, hi), oldest first.
SELECT lo_at, lo_rid, n FROM tallies
WHERE scope = $1 AND level = $2 AND cell = -1 AND (lo_at, lo_rid) >= ($3, $4) AND (lo_at, lo_rid) < ($5, $6)
ORDER BY lo_at, lo_rid LIMIT $7

-- name: tally.node_at
-- The node of a level that contains a key.
SELECT lo_at, lo_rid, n FROM tallies
WHERE scope = $1 AND level = $2 AND cell = -1 AND (lo_at, lo_rid) <= ($3, $4)
ORDER BY lo_at DESC, lo_rid DESC LIMIT 1

-- name: tally.total
SELECT cell, n FROM tallies WHERE scope = $1 AND level = 99 AND cell IN (-1, -9)

-- name: tally.of_counters
-- Single counters of the nodes of a level in [lo, hi); of one counter, oldest first.
SELECT lo_at, lo_rid, cell, n FROM tallies
WHERE scope = $1 AND level = $2 AND @ints(cell, $7) AND (lo_at, lo_rid) >= ($3, $4) AND (lo_at, lo_rid) < ($5, $6)
ORDER BY cell, lo_at, lo_rid

-- name: tally.children
-- The nodes of a level in [lo, hi) with their matching rows, oldest first: for filters of many counters.
SELECT lo_at, lo_rid, CAST(SUM(CASE WHEN cell = -1 THEN 0 ELSE n END) AS BIGINT)
FROM tallies
WHERE scope = $1 AND level = $2 AND @ints(cell, $7) AND (lo_at, lo_rid) >= ($3, $4) AND (lo_at, lo_rid) < ($5, $6)
GROUP BY lo_at, lo_rid ORDER BY lo_at, lo_rid

-- name: tally.ends
-- Where each listed block ends: the next block's lowest key, NULL behind the last.
SELECT b.lo_at, b.lo_rid,
  (SELECT n.lo_at FROM tallies n WHERE n.scope = $1 AND n.level = 0 AND n.cell = -1
    AND (n.lo_at, n.lo_rid) > (b.lo_at, b.lo_rid) ORDER BY n.lo_at, n.lo_rid LIMIT 1),
  (SELECT n.lo_rid FROM tallies n WHERE n.scope = $1 AND n.level = 0 AND n.cell = -1
    AND (n.lo_at, n.lo_rid) > (b.lo_at, b.lo_rid) ORDER BY n.lo_at, n.lo_rid LIMIT 1)
FROM (
-- sqlite:
  SELECT value->>0 AS lo_at, value->>1 AS lo_rid FROM json_each($2)
-- postgres:
  SELECT (value->>0)::bigint AS lo_at, (value->>1)::bigint AS lo_rid FROM jsonb_array_elements($2::jsonb)
-- end
) b

-- name: tally.sums
-- What the children of a node add up to, by cell: the node's own tallies.
SELECT cell, CAST(SUM(n) AS BIGINT) FROM tallies
WHERE scope = $1 AND level = $2 AND (lo_at, lo_rid) >= ($3, $4) AND (lo_at, lo_rid) < ($5, $6) GROUP BY cell

-- name: tally.roots
-- Some counters of the roots of some scopes.
SELECT scope, cell, n FROM tallies WHERE @ints(scope, $1) AND level = 99 AND @ints(cell, $2)

-- name: tally.many
-- Some counters ($2) of the nodes that $1 lists as [scope, level, low key, high key].
-- sqlite:
WITH b AS MATERIALIZED (
  SELECT value->>0 AS scope, value->>1 AS level, value->>2 AS from_at, value->>3 AS from_rid, value->>4 AS at,
    value->>5 AS rid FROM json_each($1))
SELECT t.scope, t.lo_at, t.lo_rid, t.cell, t.n FROM b CROSS JOIN tallies t
WHERE t.scope = b.scope AND t.level = b.level AND @ints(t.cell, $2) AND t.lo_at >= b.from_at AND t.lo_at <= b.at
  AND (t.lo_at, t.lo_rid) >= (b.from_at, b.from_rid) AND (t.lo_at, t.lo_rid) < (b.at, b.rid)
-- postgres:
SELECT t.scope, t.lo_at, t.lo_rid, t.cell, t.n FROM jsonb_array_elements($1::jsonb) b CROSS JOIN LATERAL (
  SELECT scope, lo_at, lo_rid, cell, n FROM tallies
  WHERE scope = (b.value->>0)::bigint AND level = (b.value->>1)::bigint AND @ints(cell, $2)
    AND (lo_at, lo_rid) >= ((b.value->>2)::bigint, (b.value->>3)::bigint)
    AND (lo_at, lo_rid) < ((b.value->>4)::bigint, (b.value->>5)::bigint) OFFSET 0) t
-- end

-- name: tally.passed
-- For each [scope, level, low key, key] of $1, by its place, the last node from the low key on that begins at the key or
-- below it, and what some counters ($2) say of the nodes before that one.
-- sqlite:
WITH b AS MATERIALIZED (
  SELECT key AS place, value->>0 AS scope, value->>1 AS level, value->>2 AS from_at, value->>3 AS from_rid,
    value->>4 AS at, value->>5 AS rid FROM json_each($1)),
l AS MATERIALIZED (
  SELECT place, scope, level, from_at, from_rid,
    (SELECT lo_at FROM tallies t WHERE t.scope = b.scope AND t.level = b.level AND t.cell = -1
      AND t.lo_at <= b.at AND (t.lo_at, t.lo_rid) <= (b.at, b.rid) ORDER BY lo_at DESC, lo_rid DESC LIMIT 1) AS lo_at,
    (SELECT lo_rid FROM tallies t WHERE t.scope = b.scope AND t.level = b.level AND t.cell = -1
      AND t.lo_at <= b.at AND (t.lo_at, t.lo_rid) <= (b.at, b.rid) ORDER BY lo_at DESC, lo_rid DESC LIMIT 1) AS lo_rid
  FROM b)
SELECT place, lo_at, lo_rid, (SELECT SUM(n) FROM tallies t
  WHERE t.scope = l.scope AND t.level = l.level AND @ints(t.cell, $2)
    AND t.lo_at >= l.from_at AND t.lo_at <= l.lo_at
    AND (t.lo_at, t.lo_rid) >= (l.from_at, l.from_rid) AND (t.lo_at, t.lo_rid) < (l.lo_at, l.lo_rid))
FROM l
-- postgres:
SELECT b.ordinality - 1, l.lo_at, l.lo_rid, s.n
FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY b CROSS JOIN LATERAL (
  SELECT lo_at, lo_rid FROM tallies
  WHERE scope = (b.value->>0)::bigint AND level = (b.value->>1)::bigint AND cell = -1
    AND (lo_at, lo_rid) <= ((b.value->>4)::bigint, (b.value->>5)::bigint)
  ORDER BY lo_at DESC, lo_rid DESC LIMIT 1) l
CROSS JOIN LATERAL (
  SELECT CAST(SUM(n) AS BIGINT) AS n FROM tallies
  WHERE scope = (b.value->>0)::bigint AND level = (b.value->>1)::bigint AND @ints(cell, $2)
    AND (lo_at, lo_rid) >= ((b.value->>2)::bigint, (b.value->>3)::bigint)
    AND (lo_at, lo_rid) < (l.lo_at, l.lo_rid)) s
-- end

-- name: merged.newest
-- The newest $6 keys in [($2, $3), ($4, $5)) of each of these groups, with their cells, from the index alone.
-- sqlite:
SELECT g.value, p.value->>0, p.value->>1, p.value->>2 FROM json_each($1) g, json_each((
  SELECT json_group_array(json_array(created_at, rid, cell)) FROM (
    SELECT created_at, rid, cell FROM executions
    WHERE run_group = g.value AND (created_at, rid) >= ($2, $3) AND (created_at, rid) < ($4, $5)
    ORDER BY created_at DESC, rid DESC LIMIT $6))) p
-- postgres:
SELECT g.id, p.created_at, p.rid, p.cell FROM (SELECT value::bigint AS id FROM jsonb_array_elements_text($1::jsonb)) g
CROSS JOIN LATERAL (
  SELECT created_at, rid, cell FROM executions
  WHERE run_group = g.id AND (created_at, rid) >= ($2, $3) AND (created_at, rid) < ($4, $5)
  ORDER BY created_at DESC, rid DESC LIMIT $6) p
-- end

-- name: merged.oldest
-- As merged.newest, from the other end.
-- sqlite:
SELECT g.value, p.value->>0, p.value->>1, p.value->>2 FROM json_each($1) g, json_each((
  SELECT json_group_array(json_array(created_at, rid, cell)) FROM (
    SELECT created_at, rid, cell FROM executions
    WHERE run_group = g.value AND (created_at, rid) >= ($2, $3) AND (created_at, rid) < ($4, $5)
    ORDER BY created_at, rid LIMIT $6))) p
-- postgres:
SELECT g.id, p.created_at, p.rid, p.cell FROM (SELECT value::bigint AS id FROM jsonb_array_elements_text($1::jsonb)) g
CROSS JOIN LATERAL (
  SELECT created_at, rid, cell FROM executions
  WHERE run_group = g.id AND (created_at, rid) >= ($2, $3) AND (created_at, rid) < ($4, $5)
  ORDER BY created_at, rid LIMIT $6) p
-- end

-- name: merged.count
-- The rows of some cells ($2) in the ranges that $1 lists as [group, low key, high key].
-- sqlite:
WITH b AS MATERIALIZED (
  SELECT value->>0 AS run_group, value->>1 AS from_at, value->>2 AS from_rid, value->>3 AS at, value->>4 AS rid
  FROM json_each($1))
SELECT count(*) FROM b CROSS JOIN executions x
WHERE x.run_group = b.run_group AND x.created_at >= b.from_at AND x.created_at <= b.at
  AND (x.created_at, x.rid) >= (b.from_at, b.from_rid) AND (x.created_at, x.rid) < (b.at, b.rid)
  AND @ints(x.cell, $2)
-- postgres:
SELECT count(*) FROM jsonb_array_elements($1::jsonb) b CROSS JOIN LATERAL (
  SELECT cell FROM executions
  WHERE run_group = (b.value->>0)::bigint
    AND (created_at, rid) >= ((b.value->>1)::bigint, (b.value->>2)::bigint)
    AND (created_at, rid) < ((b.value->>3)::bigint, (b.value->>4)::bigint) OFFSET 0) x
WHERE @ints(x.cell, $2)
-- end

-- name: merged.count_all
-- As merged.count, of all cells: PostgreSQL's index does not have the cell.
-- sqlite:
WITH b AS MATERIALIZED (
  SELECT value->>0 AS run_group, value->>1 AS from_at, value->>2 AS from_rid, value->>3 AS at, value->>4 AS rid
  FROM json_each($1))
SELECT count(*) FROM b CROSS JOIN executions x
WHERE x.run_group = b.run_group AND x.created_at >= b.from_at AND x.created_at <= b.at
  AND (x.created_at, x.rid) >= (b.from_at, b.from_rid) AND (x.created_at, x.rid) < (b.at, b.rid)
-- postgres:
SELECT count(*) FROM jsonb_array_elements($1::jsonb) b CROSS JOIN LATERAL (
  SELECT 1 FROM executions
  WHERE run_group = (b.value->>0)::bigint
    AND (created_at, rid) >= ((b.value->>1)::bigint, (b.value->>2)::bigint)
    AND (created_at, rid) < ((b.value->>3)::bigint, (b.value->>4)::bigint) OFFSET 0) x
-- end

-- name: merged.keys
-- Of the rows that merged.count counts, $3 keys after the oldest $4.
-- sqlite:
WITH b AS MATERIALIZED (
  SELECT value->>0 AS run_group, value->>1 AS from_at, value->>2 AS from_rid, value->>3 AS at, value->>4 AS rid
  FROM json_each($1))
SELECT x.created_at, x.rid FROM b CROSS JOIN executions x
WHERE x.run_group = b.run_group AND x.created_at >= b.from_at AND x.created_at <= b.at
  AND (x.created_at, x.rid) >= (b.from_at, b.from_rid) AND (x.created_at, x.rid) < (b.at, b.rid)
  AND @ints(x.cell, $2)
-- postgres:
SELECT x.created_at, x.rid FROM jsonb_array_elements($1::jsonb) b CROSS JOIN LATERAL (
  SELECT created_at, rid, cell FROM executions
  WHERE run_group = (b.value->>0)::bigint
    AND (created_at, rid) >= ((b.value->>1)::bigint, (b.value->>2)::bigint)
    AND (created_at, rid) < ((b.value->>3)::bigint, (b.value->>4)::bigint) OFFSET 0) x
WHERE @ints(x.cell, $2)
-- end
ORDER BY x.created_at, x.rid LIMIT $3 OFFSET $4

-- name: day.get
SELECT day, account, cell, currency, n, quantity, volume, fees, pnl FROM days
WHERE organization = $1 AND @ints(day, $2) AND @ints(account, $3)

-- name: day.put
INSERT INTO days (organization, day, account, cell, currency, n, quantity, volume, fees, pnl)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (organization, day, account, cell, currency) DO UPDATE SET
  n = excluded.n, quantity = excluded.quantity, volume = excluded.volume, fees = excluded.fees, pnl = excluded.pnl

-- name: day.drop_empty
DELETE FROM days WHERE organization = $1 AND day = $2 AND account = $3 AND cell = $4 AND currency = $5 AND n = 0

-- name: day.range
SELECT day, account, cell, currency, n, quantity, volume, fees, pnl FROM days
WHERE organization = $1 AND day >= $2 AND day < $3

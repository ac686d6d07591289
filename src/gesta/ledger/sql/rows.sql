-- Rows of one scope in event-time order. `@scope` is the column `account` or `organization`; [$2 $3, $4 $5) is the key
-- range; where it is said again of `created_at` alone, that is for PostgreSQL to see how small it is. The inner query
-- reads the index alone, the outer one fetches only the rows of the page.

-- name: first_newest
SELECT @row FROM executions
WHERE @scope = $1 AND (created_at, rid) >= ($2, $3) AND (created_at, rid) < ($4, $5)
ORDER BY created_at DESC, rid DESC LIMIT $6

-- name: first_oldest
SELECT @row FROM executions
WHERE @scope = $1 AND (created_at, rid) >= ($2, $3) AND (created_at, rid) < ($4, $5)
ORDER BY created_at, rid LIMIT $6

-- name: newest
SELECT @row FROM executions WHERE rid IN (
  SELECT rid FROM executions
  WHERE @scope = $1 AND (created_at, rid) >= ($2, $3) AND (created_at, rid) < ($4, $5)
  ORDER BY created_at DESC, rid DESC LIMIT $6 OFFSET $7)
ORDER BY created_at DESC, rid DESC

-- name: oldest
SELECT @row FROM executions WHERE rid IN (
  SELECT rid FROM executions
  WHERE @scope = $1 AND (created_at, rid) >= ($2, $3) AND (created_at, rid) < ($4, $5)
  ORDER BY created_at, rid LIMIT $6 OFFSET $7)
ORDER BY created_at, rid

-- name: probe_newest
-- The matching rows among the first $9 of the range, whatever the filter: bounded work.
SELECT @row FROM executions WHERE rid IN (
  SELECT rid FROM (
    SELECT created_at, rid, cell FROM executions
    WHERE @scope = $1 AND (created_at, rid) >= ($2, $3) AND (created_at, rid) < ($4, $5)
    ORDER BY created_at DESC, rid DESC LIMIT $9) probed
  WHERE @ints(cell, $8) ORDER BY created_at DESC, rid DESC LIMIT $6 OFFSET $7)
ORDER BY created_at DESC, rid DESC

-- name: probe_oldest
SELECT @row FROM executions WHERE rid IN (
  SELECT rid FROM (
    SELECT created_at, rid, cell FROM executions
    WHERE @scope = $1 AND (created_at, rid) >= ($2, $3) AND (created_at, rid) < ($4, $5)
    ORDER BY created_at, rid LIMIT $9) probed
  WHERE @ints(cell, $8) ORDER BY created_at, rid LIMIT $6 OFFSET $7)
ORDER BY created_at, rid

-- name: picked_newest
-- The matching rows of the blocks whose bounds are listed in $2. The blocks must be the outer loop: a planner left to
-- itself reads the whole scope.
SELECT @row FROM executions WHERE rid IN (
-- sqlite:
  SELECT x.rid FROM json_each($2) b CROSS JOIN executions x ON x.@scope = $1
    AND x.created_at >= b.value->>0 AND x.created_at <= b.value->>2
    AND (x.created_at, x.rid) >= (b.value->>0, b.value->>1) AND (x.created_at, x.rid) < (b.value->>2, b.value->>3)
  WHERE @ints(x.cell, $3) ORDER BY x.created_at DESC, x.rid DESC LIMIT $4 OFFSET $5)
-- postgres:
  SELECT x.rid FROM jsonb_array_elements($2::jsonb) b CROSS JOIN LATERAL (
    SELECT rid, created_at, cell FROM executions
    WHERE @scope = $1 AND (created_at, rid) >= ((b.value->>0)::bigint, (b.value->>1)::bigint)
      AND (created_at, rid) < ((b.value->>2)::bigint, (b.value->>3)::bigint) OFFSET 0) x
  WHERE @ints(x.cell, $3) ORDER BY x.created_at DESC, x.rid DESC LIMIT $4 OFFSET $5)
-- end
ORDER BY created_at DESC, rid DESC

-- name: picked_oldest
-- The matching rows of the blocks whose bounds are listed in $2. The blocks must be the outer loop: a planner left to
-- itself reads the whole scope.
SELECT @row FROM executions WHERE rid IN (
-- sqlite:
  SELECT x.rid FROM json_each($2) b CROSS JOIN executions x ON x.@scope = $1
    AND x.created_at >= b.value->>0 AND x.created_at <= b.value->>2
    AND (x.created_at, x.rid) >= (b.value->>0, b.value->>1) AND (x.created_at, x.rid) < (b.value->>2, b.value->>3)
  WHERE @ints(x.cell, $3) ORDER BY x.created_at ASC, x.rid ASC LIMIT $4 OFFSET $5)
-- postgres:
  SELECT x.rid FROM jsonb_array_elements($2::jsonb) b CROSS JOIN LATERAL (
    SELECT rid, created_at, cell FROM executions
    WHERE @scope = $1 AND (created_at, rid) >= ((b.value->>0)::bigint, (b.value->>1)::bigint)
      AND (created_at, rid) < ((b.value->>2)::bigint, (b.value->>3)::bigint) OFFSET 0) x
  WHERE @ints(x.cell, $3) ORDER BY x.created_at ASC, x.rid ASC LIMIT $4 OFFSET $5)
-- end
ORDER BY created_at ASC, rid ASC

-- name: probed
-- How many rows a probe has looked at.
SELECT count(*) FROM (
  SELECT 1 FROM executions WHERE @scope = $1 AND (created_at, rid) >= ($2, $3) AND (created_at, rid) < ($4, $5)
-- postgres:
  AND created_at >= $2 AND created_at <= $4
-- end
  LIMIT $6) probed

-- name: key_at
-- The key of the row at an offset in a range, oldest first: where a block is cut.
SELECT created_at, rid FROM executions
WHERE @scope = $1 AND (created_at, rid) >= ($2, $3) AND (created_at, rid) < ($4, $5)
-- postgres:
  AND created_at >= $2 AND created_at <= $4
-- end
ORDER BY created_at, rid LIMIT 1 OFFSET $6

-- name: cells
-- The rows of a range by cell: what a block's tallies must say.
SELECT cell, count(*) FROM executions
WHERE @scope = $1 AND (created_at, rid) >= ($2, $3) AND (created_at, rid) < ($4, $5)
-- postgres:
  AND created_at >= $2 AND created_at <= $4
-- end
  GROUP BY cell

-- name: counts
-- How many rows each range has that $2 lists as [low key, high key], in its order.
-- sqlite:
WITH b AS MATERIALIZED (
  SELECT key AS place, value->>0 AS from_at, value->>1 AS from_rid, value->>2 AS at, value->>3 AS rid
  FROM json_each($2))
SELECT (SELECT count(*) FROM executions x WHERE x.@scope = $1 AND x.created_at >= b.from_at AND x.created_at <= b.at
  AND (x.created_at, x.rid) >= (b.from_at, b.from_rid) AND (x.created_at, x.rid) < (b.at, b.rid))
FROM b ORDER BY place
-- postgres:
SELECT x.n FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY b CROSS JOIN LATERAL (
  SELECT count(*) AS n FROM executions
  WHERE @scope = $1 AND created_at >= (b.value->>0)::bigint AND created_at <= (b.value->>2)::bigint
    AND (created_at, rid) >= ((b.value->>0)::bigint, (b.value->>1)::bigint)
    AND (created_at, rid) < ((b.value->>2)::bigint, (b.value->>3)::bigint)) x
ORDER BY b.ordinality
-- end

-- name: counts_in_cells
-- As counts, of some cells ($3).
-- sqlite:
WITH b AS MATERIALIZED (
  SELECT key AS place, value->>0 AS from_at, value->>1 AS from_rid, value->>2 AS at, value->>3 AS rid
  FROM json_each($2))
SELECT (SELECT count(*) FROM executions x WHERE x.@scope = $1 AND x.created_at >= b.from_at AND x.created_at <= b.at
  AND (x.created_at, x.rid) >= (b.from_at, b.from_rid) AND (x.created_at, x.rid) < (b.at, b.rid)
  AND @ints(x.cell, $3))
FROM b ORDER BY place
-- postgres:
SELECT x.n FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY b CROSS JOIN LATERAL (
  SELECT count(*) AS n FROM executions
  WHERE @scope = $1 AND created_at >= (b.value->>0)::bigint AND created_at <= (b.value->>2)::bigint
    AND (created_at, rid) >= ((b.value->>0)::bigint, (b.value->>1)::bigint)
    AND (created_at, rid) < ((b.value->>2)::bigint, (b.value->>3)::bigint) AND @ints(cell, $3)) x
ORDER BY b.ordinality
-- end

-- name: state.put
INSERT INTO executor_states (number, organization, account, id, type, active, created_at, config, state, orders)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (number) DO UPDATE SET active = excluded.active, state = excluded.state,
  orders = excluded.orders

-- name: state.active
SELECT number, organization, account, id, type, active, created_at, config, state, orders FROM executor_states
WHERE active = 1 AND number > $1 ORDER BY number LIMIT $2

-- name: state.newest
SELECT coalesce(max(number), 0) FROM executor_states

-- name: state.get
SELECT number, organization, account, id, type, active, created_at, config, state, orders FROM executor_states
WHERE organization = $1 AND id = $2

-- name: key.get
SELECT id, content FROM executor_keys WHERE organization = $1 AND key = $2

-- name: key.add
INSERT INTO executor_keys (organization, key, id, content) VALUES ($1, $2, $3, $4)

-- name: hold.all
SELECT organization, account, connector, pair, controller, hold FROM executor_holds
ORDER BY organization, account, connector, pair, controller

-- name: hold.put
INSERT INTO executor_holds (organization, account, connector, pair, controller, hold) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (organization, account, connector, pair, controller) DO UPDATE SET hold = excluded.hold

-- name: hold.clear
DELETE FROM executor_holds
WHERE organization = $1 AND account = $2 AND connector = $3 AND pair = $4 AND controller = $5

-- name: mark.all
SELECT instrument, price, rising, until_us, best FROM executor_marks ORDER BY instrument, price, rising, until_us

-- Batches of two organizations may come to disk in another order than they were decided in: a best price never falls.
-- name: mark.put
INSERT INTO executor_marks (instrument, price, rising, until_us, best) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (instrument, price, rising, until_us) DO UPDATE SET best = excluded.best
WHERE excluded.best > executor_marks.best

-- name: mark.clear
DELETE FROM executor_marks WHERE instrument = $1 AND price = $2 AND rising = $3 AND until_us = $4

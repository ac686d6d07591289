-- name: lease.take
-- A new epoch for this process: every older one is refused from now on.
INSERT INTO trading_lease (organization, epoch, batch, note) VALUES (0, 1, 0, 0)
ON CONFLICT (organization) DO UPDATE SET epoch = trading_lease.epoch + 1 RETURNING epoch

-- name: lease.epoch
-- The epoch in force, held until the end of the transaction.
-- sqlite:
SELECT epoch FROM trading_lease WHERE organization = 0
-- postgres:
SELECT epoch FROM trading_lease WHERE organization = 0 FOR SHARE
-- end

-- name: lease.batch
SELECT batch FROM trading_lease WHERE organization = $1 AND organization > 0

-- name: lease.batches
SELECT organization, batch, note FROM trading_lease WHERE organization > 0

-- name: lease.advance
INSERT INTO trading_lease (organization, epoch, batch, note) VALUES ($1, $2, $3, $4)
ON CONFLICT (organization) DO UPDATE SET epoch = excluded.epoch, batch = excluded.batch,
  note = CASE WHEN excluded.note > trading_lease.note THEN excluded.note ELSE trading_lease.note END

-- name: order.put
INSERT INTO orders (number, organization, account, id, client_id, instrument, working, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (number) DO UPDATE SET working = excluded.working, body = excluded.body

-- name: order.working
-- Everything that is not final, oldest first: what a start loads.
SELECT body FROM orders WHERE working = 1 ORDER BY number

-- name: order.newest
SELECT coalesce(max(number), 0) FROM orders

-- name: order.by_id
SELECT body FROM orders WHERE id = $1 AND account = $2

-- name: order.of_any
SELECT body FROM orders WHERE id = $1

-- name: order.by_client
SELECT body FROM orders WHERE account = $1 AND client_id = $2

-- name: order.page
SELECT number, body FROM orders WHERE account = $1 AND number < $2 ORDER BY number DESC LIMIT $3

-- name: order.page_working
SELECT number, body FROM orders WHERE account = $1 AND number < $2 AND working = 1 ORDER BY number DESC LIMIT $3

-- name: order.page_final
SELECT number, body FROM orders WHERE account = $1 AND number < $2 AND working = 0 ORDER BY number DESC LIMIT $3

-- name: note.add
INSERT INTO order_notes (number, note, body) VALUES ($1, $2, $3)

-- name: note.list
SELECT note, body FROM order_notes WHERE number = $1 ORDER BY note LIMIT $2

-- name: position.put
INSERT INTO positions (account, instrument, organization, lots, cost, ticks_lots, realized, commission, fills, bought,
  sold)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (account, instrument) DO UPDATE SET lots = excluded.lots, cost = excluded.cost,
  ticks_lots = excluded.ticks_lots, realized = excluded.realized, commission = excluded.commission,
  fills = excluded.fills, bought = excluded.bought, sold = excluded.sold

-- name: position.all
SELECT account, instrument, lots, cost, ticks_lots, realized, commission, fills, bought, sold FROM positions

-- name: position.of
SELECT account, instrument, lots, cost, ticks_lots, realized, commission, fills, bought, sold FROM positions
WHERE account = $1

-- name: funds.put
INSERT INTO funds (account, currency, organization, starting, cash, realized, commission, session, session_cash,
  session_realized, session_commission, max_position)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (account, currency) DO UPDATE SET starting = excluded.starting, cash = excluded.cash,
  realized = excluded.realized, commission = excluded.commission, session = excluded.session,
  session_cash = excluded.session_cash, session_realized = excluded.session_realized,
  session_commission = excluded.session_commission, max_position = excluded.max_position

-- name: funds.all
SELECT account, currency, organization, starting, cash, realized, commission, session, session_cash,
  session_realized, session_commission, max_position FROM funds

-- name: funds.of
SELECT account, currency, organization, starting, cash, realized, commission, session, session_cash,
  session_realized, session_commission, max_position FROM funds WHERE account = $1

-- name: fills.page
-- A page of the fills of an account in an instrument that this venue made, busted ones too, in event-time order.
SELECT r.created_at, @columns FROM refs r JOIN executions x ON x.rid = r.rid
WHERE r.organization = $1 AND r.key = $2 AND r.value = $3 AND (r.created_at, r.rid) > ($6, $7)
  AND x.account = $4 AND x.origin = $5
ORDER BY r.created_at, r.rid LIMIT $8

-- name: position.holders
SELECT account, instrument, organization FROM positions

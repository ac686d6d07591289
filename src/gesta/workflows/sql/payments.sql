-- name: checkout.add
INSERT INTO workflow_checkouts (id, organization, run, provider, provider_id, amount, currency, status, url, payment_id,
  title, email, success_url, cancel_url, expires_at, look_at, attempts, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)

-- name: checkout.put
UPDATE workflow_checkouts SET provider_id = $2, status = $3, url = $4, payment_id = $5, expires_at = $6, look_at = $7,
  attempts = $8, updated_at = $9
WHERE id = $1

-- name: checkout.get
SELECT id, organization, run, provider, provider_id, amount, currency, status, url, payment_id, title, email,
  success_url, cancel_url, expires_at, look_at, attempts, created_at, updated_at
FROM workflow_checkouts WHERE id = $1

-- name: checkout.of_run
SELECT id, organization, run, provider, provider_id, amount, currency, status, url, payment_id, title, email,
  success_url, cancel_url, expires_at, look_at, attempts, created_at, updated_at
FROM workflow_checkouts WHERE organization = $1 AND run = $2

-- name: checkout.of_provider
SELECT id, organization, run, provider, provider_id, amount, currency, status, url, payment_id, title, email,
  success_url, cancel_url, expires_at, look_at, attempts, created_at, updated_at
FROM workflow_checkouts WHERE provider = $1 AND provider_id = $2 AND provider_id <> ''

-- name: checkout.of_payment
SELECT c.id, c.organization, c.run, c.provider, c.provider_id, c.amount, c.currency, c.status, c.url, c.payment_id,
  c.title, c.email, c.success_url, c.cancel_url, c.expires_at, c.look_at, c.attempts, c.created_at, c.updated_at
FROM workflow_payments p JOIN workflow_checkouts c ON c.id = p.checkout
WHERE p.payment_id = $2 AND c.provider = $1

-- What the sweeper has to look at: oldest first.
-- name: checkout.due
SELECT id, organization, run, provider, provider_id, amount, currency, status, url, payment_id, title, email,
  success_url, cancel_url, expires_at, look_at, attempts, created_at, updated_at
FROM workflow_checkouts WHERE look_at IS NOT NULL AND look_at <= $1 ORDER BY look_at, id LIMIT $2

-- Its run was stopped before it was paid. The sweeper tells the provider.
-- name: checkout.abandon
UPDATE workflow_checkouts SET status = 'expired', look_at = $3, updated_at = $3
WHERE organization = $1 AND run = $2 AND status IN ('open', 'processing')

-- name: payment.put
INSERT INTO workflow_payments (checkout, payment_id, kind, amount, currency, refund, refunded, reason, attempt, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (checkout, payment_id) DO UPDATE SET kind = excluded.kind, amount = excluded.amount,
  currency = excluded.currency, refund = excluded.refund, refunded = excluded.refunded, reason = excluded.reason,
  attempt = excluded.attempt

-- name: payment.all
SELECT checkout, payment_id, kind, amount, currency, refund, refunded, reason, attempt, at
FROM workflow_payments WHERE checkout = $1 ORDER BY at, payment_id

-- name: settings.key
-- The key that signs session tokens.
SELECT signing_key FROM access_settings WHERE id = 1

-- name: settings.create
-- Keep the first key that anyone offers; two processes that start together wait for each other here.
INSERT INTO access_settings (id, signing_key) VALUES (1, $1) ON CONFLICT (id) DO NOTHING

-- name: organization.add
-- Nothing comes back when the name is taken, or when this very write ran before.
INSERT INTO organizations (public_id, name, name_key, created_at_us) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING id

-- name: organization.by_public_id
SELECT id, public_id, name FROM organizations WHERE public_id = $1

-- name: organization.list
SELECT id, public_id, name FROM organizations ORDER BY id

-- name: organization.any
SELECT id FROM organizations ORDER BY id LIMIT 1

-- name: account.add
INSERT INTO accounts
  (organization, name, name_key, type, environment, time_zone, currency, server_name, created_at_us)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING RETURNING id

-- name: account.by_name
SELECT id, organization, name, type, environment, time_zone, currency, server_name FROM accounts
WHERE organization = $1 AND type = $2 AND environment = $3 AND name_key = $4

-- name: account.by_id
SELECT id, organization, name, type, environment, time_zone, currency, server_name FROM accounts
WHERE id = $1 AND organization = $2

-- name: account.list
SELECT id, organization, name, type, environment, time_zone, currency, server_name FROM accounts
WHERE organization = $1 AND removed_at_us IS NULL ORDER BY id

-- name: account.oldest
SELECT id, organization, name, type, environment, time_zone, currency, server_name FROM accounts
WHERE organization = $1 AND type = $2 AND environment = $3 AND removed_at_us IS NULL ORDER BY id LIMIT 1

-- name: account.remove
UPDATE accounts SET removed_at_us = $3, name_key = name_key || $4
WHERE id = $1 AND organization = $2 AND removed_at_us IS NULL RETURNING name

-- name: account.profile
SELECT a.created_at_us, p.name, p.fields, p.updated_at_us
FROM accounts a LEFT JOIN account_profiles p ON p.account = a.id
WHERE a.id = $1 AND a.organization = $2 AND a.removed_at_us IS NULL

-- name: account.put_profile
INSERT INTO account_profiles (account, name, fields, updated_at_us) VALUES ($1, $2, $3, $4)
ON CONFLICT (account) DO UPDATE
SET name = excluded.name, fields = excluded.fields, updated_at_us = excluded.updated_at_us

-- name: account.lock
-- Sessions of one account are issued one after another, so that concurrent requests get one token.
SELECT id FROM accounts WHERE id = $1 AND organization = $2 AND removed_at_us IS NULL
-- postgres:
FOR NO KEY UPDATE
-- end

-- name: identity.add
INSERT INTO identities (organization, name, created_at_us) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING

-- name: identity.by_name
SELECT id FROM identities WHERE organization = $1 AND name = $2

-- name: credential.add
-- Nothing comes back when the username is taken, or when this very write ran before.
INSERT INTO credentials
  (organization, identity_id, type, hint, label, scopes, environment, secret_hash, username, password_hash,
   created_at_us)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING RETURNING id

-- name: credential.same
-- The credential that an earlier run of this very write added.
SELECT id FROM credentials WHERE organization = $1 AND (secret_hash = $2 OR password_hash = $3)

-- name: credential.by_secret
SELECT c.secret_hash, c.type, c.revoked_at_us, c.id, c.scopes, c.environment,
  i.id, i.name, o.id, o.public_id, o.name
FROM credentials c JOIN identities i ON i.id = c.identity_id JOIN organizations o ON o.id = c.organization
WHERE c.secret_hash = $1

-- name: credential.by_username
-- The live one, else the one that was revoked last.
SELECT c.password_hash, c.type, c.revoked_at_us, c.id, c.scopes, c.environment,
  i.id, i.name, o.id, o.public_id, o.name
FROM credentials c JOIN identities i ON i.id = c.identity_id JOIN organizations o ON o.id = c.organization
WHERE c.username = $1 ORDER BY c.id DESC LIMIT 1

-- name: credential.list
SELECT c.id, c.organization, i.name, c.type, c.hint, c.label, c.scopes, c.environment,
  c.created_at_us, c.last_used_at_us, c.revoked_at_us
FROM credentials c JOIN identities i ON i.id = c.identity_id
WHERE c.organization = $1 ORDER BY c.id

-- name: credential.get
SELECT c.id, c.organization, i.name, c.type, c.hint, c.label, c.scopes, c.environment,
  c.created_at_us, c.last_used_at_us, c.revoked_at_us
FROM credentials c JOIN identities i ON i.id = c.identity_id
WHERE c.organization = $1 AND c.id = $2

-- name: credential.revoke
UPDATE credentials SET revoked_at_us = $3
WHERE organization = $1 AND id = $2 AND revoked_at_us IS NULL RETURNING id

-- name: credential.used
UPDATE credentials SET last_used_at_us = $2
WHERE id = $1 AND (last_used_at_us IS NULL OR last_used_at_us < $2)

-- name: session.reusable
-- The newest live session that this credential opened for the account.
SELECT token_id, issued_at_s, expires_at_s, refresh_expires_at_s FROM sessions
WHERE account_id = $1 AND credential_id = $2 AND expires_at_s > $3 AND revoked_at_us IS NULL
ORDER BY id DESC LIMIT 1

-- name: session.add
INSERT INTO sessions
  (organization, account_id, credential_id, token_id, issued_at_s, expires_at_s, refresh_expires_at_s)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING RETURNING id

-- name: session.prune
-- Forget what has expired, and the oldest beyond the bound.
DELETE FROM sessions
WHERE account_id = $1 AND credential_id = $2 AND (refresh_expires_at_s <= $3 OR id <= COALESCE((
  SELECT id FROM sessions WHERE account_id = $1 AND credential_id = $2 ORDER BY id DESC LIMIT 1 OFFSET $4), 0))

-- name: session.get
SELECT s.revoked_at_us, c.revoked_at_us, c.id, c.scopes, i.id, i.name, o.id, o.public_id, o.name,
  a.id, a.organization, a.name, a.type, a.environment, a.time_zone, a.currency, a.server_name
FROM sessions s JOIN credentials c ON c.id = s.credential_id JOIN identities i ON i.id = c.identity_id
  JOIN organizations o ON o.id = s.organization JOIN accounts a ON a.id = s.account_id
WHERE s.token_id = $1

-- name: session.revoke_all
UPDATE sessions SET revoked_at_us = $2 WHERE account_id = $1 AND revoked_at_us IS NULL

-- name: session.revoke
UPDATE sessions SET revoked_at_us = $2
WHERE token_id = $1 AND revoked_at_us IS NULL AND expires_at_s > $3 RETURNING organization

-- name: session.identity
SELECT i.name, a.name FROM sessions s JOIN credentials c ON c.id = s.credential_id
  JOIN identities i ON i.id = c.identity_id JOIN accounts a ON a.id = s.account_id
WHERE s.token_id = $1

-- name: audit.add
INSERT INTO audit (organization, at_us, identity, action, subject, data) VALUES ($1, $2, $3, $4, $5, $6)

-- name: audit.list
SELECT id, organization, at_us, identity, action, subject, data FROM audit
WHERE organization = $1 ORDER BY id DESC LIMIT $2

-- name: organization.get
SELECT id, public_id, name FROM organizations WHERE id = $1

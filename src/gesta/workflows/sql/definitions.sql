-- name: workflow.get
SELECT number, organization, account, id, name, alias, slug, description, status, visibility, application, newest,
  published, created_at, updated_at, published_at, hook_hash, hook_hint
FROM workflows WHERE organization = $1 AND (id = $2 OR (alias = $2 AND alias <> ''))
ORDER BY CASE WHEN id = $2 THEN 0 ELSE 1 END LIMIT 1

-- Of any organization: for who knows the id alone.
-- name: workflow.of_id
SELECT number, organization, account, id, name, alias, slug, description, status, visibility, application, newest,
  published, created_at, updated_at, published_at, hook_hash, hook_hint
FROM workflows WHERE id = $1

-- name: workflow.of_number
SELECT number, organization, account, id, name, alias, slug, description, status, visibility, application, newest,
  published, created_at, updated_at, published_at, hook_hash, hook_hint
FROM workflows WHERE number = $1

-- name: workflow.newest_number
SELECT coalesce(max(number), 0) FROM workflows

-- name: workflow.add
INSERT INTO workflows (number, organization, account, id, name, alias, slug, description, status, visibility,
  application, newest, published, created_at, updated_at, published_at, hook_hash, hook_hint)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)

-- name: workflow.put
UPDATE workflows SET account = $2, name = $3, alias = $4, slug = $5, description = $6, status = $7, visibility = $8,
  application = $9, newest = $10, published = $11, updated_at = $12, published_at = $13, hook_hash = $14, hook_hint = $15
WHERE number = $1

-- name: version.get
SELECT version, definition, created_at, published_at FROM workflow_versions WHERE workflow = $1 AND version = $2

-- name: version.all
SELECT version, definition, created_at, published_at FROM workflow_versions WHERE workflow = $1 ORDER BY version DESC

-- name: version.add
INSERT INTO workflow_versions (workflow, version, definition, created_at, published_at) VALUES ($1, $2, $3, $4, $5)

-- name: version.published
UPDATE workflow_versions SET published_at = $3 WHERE workflow = $1 AND version = $2

-- The database gives the number.
-- name: workflow.new
INSERT INTO workflows (organization, account, id, name, alias, slug, description, status, visibility,
  application, newest, published, created_at, updated_at, published_at, hook_hash, hook_hint)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
RETURNING number

-- How many an organization has, the archived ones too.
-- name: workflow.count
SELECT count(*) FROM workflows WHERE organization = $1

-- Newest first. $2: the account whose private ones are shown beside the organization's; -1 shows all. $3: within the
-- words, in lower case; $4: the slug; nothing: any.
-- name: workflow.list
SELECT number, organization, account, id, name, alias, slug, description, status, visibility, application, newest,
  published, created_at, updated_at, published_at, hook_hash, hook_hint
FROM workflows
WHERE organization = $1 AND status <> 'archived' AND (account = $2 OR account = 0 OR $2 = -1)
  AND (lower(name) LIKE $3 ESCAPE '!' OR lower(alias) LIKE $3 ESCAPE '!' OR lower(slug) LIKE $3 ESCAPE '!'
    OR lower(description) LIKE $3 ESCAPE '!' OR id LIKE $3 ESCAPE '!' OR $3 = '')
  AND (slug = $4 OR $4 = '')
ORDER BY number DESC LIMIT $5 OFFSET $6

-- name: workflow.list_count
SELECT count(*)
FROM workflows
WHERE organization = $1 AND status <> 'archived' AND (account = $2 OR account = 0 OR $2 = -1)
  AND (lower(name) LIKE $3 ESCAPE '!' OR lower(alias) LIKE $3 ESCAPE '!' OR lower(slug) LIKE $3 ESCAPE '!'
    OR lower(description) LIKE $3 ESCAPE '!' OR id LIKE $3 ESCAPE '!' OR $3 = '')
  AND (slug = $4 OR $4 = '')

-- name: workflow.any_published
SELECT 1 FROM workflows WHERE published IS NOT NULL LIMIT 1

-- Who may do what: organizations, their accounts, identities, credentials, sessions, and the audit trail.
-- No secret is stored: tokens as SHA-256, passwords as argon2id, sessions by the id inside the signed token.

CREATE TABLE organizations (
-- sqlite:
  id INTEGER PRIMARY KEY,
-- postgres:
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
-- end
  public_id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL UNIQUE,
  created_at_us BIGINT NOT NULL
-- sqlite:
) STRICT;
-- postgres:
);
-- end

CREATE TABLE accounts (
-- sqlite:
  id INTEGER PRIMARY KEY,
-- postgres:
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
-- end
  organization BIGINT NOT NULL REFERENCES organizations (id),
  name TEXT NOT NULL,
  name_key TEXT NOT NULL,
  type TEXT NOT NULL,
  environment TEXT NOT NULL,
  time_zone TEXT NOT NULL,
  currency TEXT NOT NULL,
  server_name TEXT NOT NULL,
  created_at_us BIGINT NOT NULL,
  UNIQUE (organization, type, environment, name_key)
-- sqlite:
) STRICT;
-- postgres:
);
-- end

CREATE TABLE identities (
-- sqlite:
  id INTEGER PRIMARY KEY,
-- postgres:
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
-- end
  organization BIGINT NOT NULL REFERENCES organizations (id),
  name TEXT NOT NULL,
  created_at_us BIGINT NOT NULL,
  UNIQUE (organization, name)
-- sqlite:
) STRICT;
-- postgres:
);
-- end

CREATE TABLE credentials (
-- sqlite:
  id INTEGER PRIMARY KEY,
-- postgres:
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
-- end
  organization BIGINT NOT NULL REFERENCES organizations (id),
  identity_id BIGINT NOT NULL REFERENCES identities (id),
  type TEXT NOT NULL,
  hint TEXT NOT NULL,
  label TEXT NOT NULL,
  scopes TEXT NOT NULL,
  environment TEXT,
  secret_hash BYTEA UNIQUE,
  username TEXT,
  password_hash TEXT,
  created_at_us BIGINT NOT NULL,
  last_used_at_us BIGINT,
  revoked_at_us BIGINT
-- sqlite:
) STRICT;
-- postgres:
);
-- end

CREATE INDEX credentials_by_organization ON credentials (organization, id);

CREATE INDEX credentials_by_username ON credentials (username, id) WHERE username IS NOT NULL;

CREATE UNIQUE INDEX credentials_live_username ON credentials (username)
  WHERE username IS NOT NULL AND revoked_at_us IS NULL;

CREATE TABLE sessions (
-- sqlite:
  id INTEGER PRIMARY KEY,
-- postgres:
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
-- end
  organization BIGINT NOT NULL REFERENCES organizations (id),
  account_id BIGINT NOT NULL REFERENCES accounts (id),
  credential_id BIGINT NOT NULL REFERENCES credentials (id),
  token_id TEXT NOT NULL UNIQUE,
  issued_at_s BIGINT NOT NULL,
  expires_at_s BIGINT NOT NULL,
  refresh_expires_at_s BIGINT NOT NULL,
  revoked_at_us BIGINT
-- sqlite:
) STRICT;
-- postgres:
);
-- end

CREATE INDEX sessions_by_account ON sessions (account_id, credential_id, id);

CREATE TABLE access_settings (
  id SMALLINT NOT NULL PRIMARY KEY CHECK (id = 1),
  signing_key BYTEA NOT NULL
-- sqlite:
) STRICT;
-- postgres:
);
-- end

CREATE TABLE audit (
-- sqlite:
  id INTEGER PRIMARY KEY,
-- postgres:
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
-- end
  organization BIGINT NOT NULL REFERENCES organizations (id),
  at_us BIGINT NOT NULL,
  identity TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  data TEXT NOT NULL
-- sqlite:
) STRICT;
-- postgres:
);
-- end

CREATE INDEX audit_by_organization ON audit (organization, id);

-- One action on many runs: which runs, and how many of them are done. `runs` is the list of their ids, in which the job
-- has come to `position`. `fence` counts claims: a process that lost a job goes no further. `look_at`: when another
-- process may take it up, NULL once it is over.
CREATE TABLE workflow_jobs (
  organization BIGINT NOT NULL,
  id TEXT NOT NULL,
  account BIGINT NOT NULL,
  request BYTEA NOT NULL,
  runs BYTEA NOT NULL,
  status TEXT NOT NULL,
  total BIGINT NOT NULL,
  position BIGINT NOT NULL,
  done BIGINT NOT NULL,
  skipped BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  errors BYTEA NOT NULL,
  owner TEXT NOT NULL,
  fence BIGINT NOT NULL,
  look_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  finished_at BIGINT,
  PRIMARY KEY (organization, id)
-- sqlite:
) STRICT;
-- postgres:
);
-- end
CREATE INDEX workflow_jobs_look ON workflow_jobs (look_at) WHERE look_at IS NOT NULL;

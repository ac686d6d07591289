-- What executors left open on purpose, or could not close: one row for each account, connector, pair and controller. It
-- is written with the end of the executor that adds to it, and goes away when a caller clears it.
CREATE TABLE executor_holds (
  organization BIGINT NOT NULL,
  account BIGINT NOT NULL,
  connector TEXT NOT NULL,
  pair TEXT NOT NULL,
  controller TEXT NOT NULL,
  hold BYTEA NOT NULL,
  PRIMARY KEY (organization, account, connector, pair, controller)
-- sqlite:
) STRICT, WITHOUT ROWID;
-- postgres:
) WITH (fillfactor = 80);
-- end

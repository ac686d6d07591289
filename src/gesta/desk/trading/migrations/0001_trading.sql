-- What trading keeps beside the ledger: orders and their life, and what their fills add up to. Amounts of money are
-- integers of 10^-12 of a currency, as text: they pass the range of a 64-bit column.

-- Who trades. The row of organization 0 holds the epoch that the newest process has taken; an older process that still
-- writes is refused by it. The row of an organization holds the number of the last batch that was committed for it, so
-- that one whose commit got no answer can be sent again, and the number of the last note that was given out.
CREATE TABLE trading_lease (
  organization BIGINT NOT NULL PRIMARY KEY,
  epoch BIGINT NOT NULL,
  batch BIGINT NOT NULL,
  note BIGINT NOT NULL
-- sqlite:
) STRICT;
-- postgres:
) WITH (fillfactor = 50);
-- end

-- `number` is the order of placing. The body is the whole order; the columns are what it is found by.
CREATE TABLE orders (
  number BIGINT NOT NULL PRIMARY KEY,
  organization BIGINT NOT NULL,
  account BIGINT NOT NULL,
  id TEXT NOT NULL,
  client_id TEXT,
  instrument TEXT NOT NULL,
  working BIGINT NOT NULL,
  body BYTEA NOT NULL
-- sqlite:
) STRICT;
-- postgres:
) WITH (fillfactor = 80);
-- end
CREATE UNIQUE INDEX orders_id ON orders (id);
CREATE UNIQUE INDEX orders_client ON orders (account, client_id) WHERE client_id IS NOT NULL;
CREATE INDEX orders_of_account ON orders (account, number);
CREATE INDEX orders_working ON orders (account, number) WHERE working = 1;

-- The life of an order, entry by entry. `note` counts over all orders.
CREATE TABLE order_notes (
  number BIGINT NOT NULL,
  note BIGINT NOT NULL,
  body BYTEA NOT NULL,
  PRIMARY KEY (number, note)
-- sqlite:
) STRICT, WITHOUT ROWID;
-- postgres:
);
-- end

-- The fold of the standing fills of an account in an instrument.
CREATE TABLE positions (
  account BIGINT NOT NULL,
  instrument TEXT NOT NULL,
  organization BIGINT NOT NULL,
  lots BIGINT NOT NULL,
  cost TEXT NOT NULL,
  ticks_lots TEXT NOT NULL,
  realized TEXT NOT NULL,
  commission TEXT NOT NULL,
  fills BIGINT NOT NULL,
  bought TEXT NOT NULL,
  sold TEXT NOT NULL,
  PRIMARY KEY (account, instrument)
-- sqlite:
) STRICT, WITHOUT ROWID;
-- postgres:
) WITH (fillfactor = 70);
-- end

-- The money of an account, by currency. `session` is the trading day that the session's figures count from.
CREATE TABLE funds (
  account BIGINT NOT NULL,
  currency TEXT NOT NULL,
  organization BIGINT NOT NULL,
  starting TEXT NOT NULL,
  cash TEXT NOT NULL,
  realized TEXT NOT NULL,
  commission TEXT NOT NULL,
  session BIGINT NOT NULL,
  session_cash TEXT NOT NULL,
  session_realized TEXT NOT NULL,
  session_commission TEXT NOT NULL,
  max_position TEXT,
  PRIMARY KEY (account, currency)
-- sqlite:
) STRICT, WITHOUT ROWID;
-- postgres:
) WITH (fillfactor = 70);
-- end

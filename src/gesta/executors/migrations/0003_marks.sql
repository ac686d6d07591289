-- The best prices that trailing stops follow: of one price of an instrument (bid, ask or mid), in one direction, the best
-- from the mark before it on, in ticks, negative where lower is better. An executor whose trail was set at a moment follows the first mark that reaches to it.
CREATE TABLE executor_marks (
  instrument TEXT NOT NULL,
  price TEXT NOT NULL,
  rising BIGINT NOT NULL,
  until_us BIGINT NOT NULL,
  best BIGINT NOT NULL,
  PRIMARY KEY (instrument, price, rising, until_us)
-- sqlite:
) STRICT, WITHOUT ROWID;
-- postgres:
) WITH (fillfactor = 80);
-- end

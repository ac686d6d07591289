-- Executors alone in event-time order, each with its group: a page over many groups is read from here (groups.py).
CREATE INDEX executions_of_executors ON executions (organization, created_at, rid, executor_group)
WHERE executor_group IS NOT NULL;

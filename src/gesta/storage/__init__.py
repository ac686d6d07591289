"""The databases: one module for apsw, one for asyncpg, named SQL, programs, migrations. Knows nothing of executions."""

"""The ledger's named SQL, loaded once."""

from __future__ import annotations

from gesta.ledger.rows import ROW_COLUMNS
from gesta.storage.program import Statement, load

_PACKAGE = "gesta.ledger.sql"

# The status an execution was born with: what its first transition left, else the one it has.
_BORN = (
    "coalesce((SELECT e.from_status FROM events e WHERE e.rid = x.rid AND e.from_status IS NOT NULL"
    " ORDER BY e.eid LIMIT 1), x.cell / 4 % 16)"
)

# What `groups.py` reads of a group.
GROUP_COLUMNS = (
    "g.id, g.account, g.status, g.executor_type, g.connector, g.trading_pair, g.controller_id, g.close_type,"
    " g.n, g.won, g.pnl, g.squares, g.pct, g.fees, g.volume"
)

SQL: dict[str, Statement] = load(_PACKAGE, "ledger.sql", {"row": ROW_COLUMNS, "born": _BORN, "group": GROUP_COLUMNS})

# By the scope: an account's id is positive, an organization's is negated, a run group's is above all accounts'.
_FIRST_RUN_GROUP = 1 << 32
_BY_ACCOUNT = load(_PACKAGE, "rows.sql", {"row": ROW_COLUMNS, "scope": "account"})
_BY_ORGANIZATION = load(_PACKAGE, "rows.sql", {"row": ROW_COLUMNS, "scope": "organization"})
_BY_RUN_GROUP = load(_PACKAGE, "rows.sql", {"row": ROW_COLUMNS, "scope": "run_group"})


def rows_sql(scope: int, name: str) -> tuple[Statement, int]:
    """The statement over the rows of a scope, and the value of its first parameter."""
    if scope >= _FIRST_RUN_GROUP:
        return _BY_RUN_GROUP[name], scope
    return (_BY_ACCOUNT[name], scope) if scope > 0 else (_BY_ORGANIZATION[name], -scope)

"""Transactions that need what may take long to work out (JSONata is given a second): it is worked out before them, in a
thread, since others wait for the database meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

from gesta.storage.program import Database, ProgramFactory
from gesta.workflows.graph.progress import Progress
from gesta.workflows.runs.rows import Plans, Unworked

T = TypeVar("T")


async def write(database: Database, plans: Plans, program: ProgramFactory[T], *, key: int) -> T:
    """As `database.write`. The program is run again with what it lacked, as often as what that depends on has changed
    meanwhile; it must therefore ask for the same at the same moment of its own."""
    known: list[tuple[Sequence[Any], Progress]] = []
    while True:
        try:
            with plans.knowing(known):
                return await database.write(program, key=key)
        except Unworked as unworked:
            known.append((unworked.key, await asyncio.to_thread(unworked.work)))

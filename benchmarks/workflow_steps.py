"""What the runs of the benchmark do: next to nothing."""

from __future__ import annotations

from typing import Any

from gesta.workflows.nodes.python import gesta_step


@gesta_step()
async def touch(value: Any = None) -> dict[str, Any]:
    return {"value": value}

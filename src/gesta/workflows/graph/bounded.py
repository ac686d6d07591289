"""Where JSONata and JSON Schema are run: child processes that end by themselves when they take too long."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gesta.kernel.bounded import BoundedPool
from gesta.kernel.errors import InvalidInput

#: Started at the first question, ended with this process.
POOL: Final = BoundedPool("gesta.workflows.graph.bounded_jobs")
# What a run knows has its numbers as Decimals once it was stored, and as floats before: a job is to see no difference.
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def asked(job: str, **arguments: Any) -> Any:
    """What a job comes to. Decimals are given to it as numbers. Raises InvalidInput, also for what JSON cannot hold."""
    try:
        data = _encoder.encode({"job": job, **arguments})
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        raise InvalidInput("There is a value that JSON cannot hold.") from None
    except RecursionError:
        raise InvalidInput("The data is nested too deeply.") from None
    answer = POOL.perform(data)
    try:
        return msgspec.json.decode(answer)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise InvalidInput("It came to a value that JSON cannot hold, or that is nested too deeply.") from None

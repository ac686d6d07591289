"""Executions as a dialect prints them, remembered: clients poll the same rows, and a row at a version never changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from gesta.kernel.recent import Recent
from gesta.ledger.records import Execution

WEIGHT_BYTES = 8 * 1024 * 1024


class Printed:
    """The JSON bytes of executions in one shape of one dialect. `encode` turns what a codec returns into bytes.

    What a shape depends on besides the execution must be constant for its account and organization.
    """

    def __init__(self, encode: Callable[[Any], bytes]) -> None:
        self._encode = encode
        self._recent: Recent[tuple[int, str, int], msgspec.Raw] = Recent(WEIGHT_BYTES)

    def of(self, execution: Execution, derive: Callable[[], Any]) -> msgspec.Raw:
        """Raw JSON that an encoder puts into a larger value as it stands."""
        key = (execution.organization, execution.id, execution.seq)
        found = self._recent.get(key)
        if found is None:
            data = self._encode(derive())
            found = msgspec.Raw(data)
            self._recent.put(key, found, len(data) + 200)
        return found

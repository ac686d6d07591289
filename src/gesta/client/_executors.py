"""The executors section of the synchronous client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from gesta.client import _executor_calls as calls
from gesta.client._trading_calls import Ask, pauses

if TYPE_CHECKING:
    from gesta.client._sync import Gesta

T = TypeVar("T")


class Executors:
    """`gesta.executors`. Executors are executions in Gesta's own words; amounts are exact decimal text."""

    def __init__(self, client: Gesta) -> None:
        self._client = client

    def _do(self, ask: Ask[T]) -> T:
        return ask.read(self._client._send(ask.call))

    def create(
        self,
        config: Mapping[str, Any],
        *,
        account: str | None = None,
        controller_id: str = "main",
        key: str | None = None,
    ) -> dict[str, Any]:
        """Start one: `config` has its `type` and that type's fields, in Hummingbot's words. What failed in passing is
        repeated without starting two; `key` makes that hold for calls of yours, too. Raises BadRequest, saying what
        would be right."""
        return self._do(calls.create(config, account, controller_id, key))

    def get(self, executor_id: str, *, account: str | None = None) -> dict[str, Any]:
        """One executor at the market's prices now. Raises NotFound."""
        return self._do(calls.get(executor_id, account))

    def list(self, *, limit: int | None = None, **filters: Any) -> Iterator[dict[str, Any]]:
        """Executors as recorded, newest first, with the filters of `gesta.executions.list`: status, controller_id,
        trading_pair, account …"""
        return self._client.executions.list(limit=limit, kind="executor", **filters)

    def fills(self, executor_id: str, *, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Its fills, newest first."""
        return self._client.executions.list(limit=limit, kind="fill", parent_id=executor_id)

    def events(self, executor_id: str, *, after: int = 0) -> Iterator[dict[str, Any]]:
        """Its timeline and log, oldest first. Raises NotFound."""
        return self._client.executions.events(executor_id, after=after)

    def stop(self, executor_id: str, *, keep_position: bool = False) -> dict[str, Any]:
        """Ask it to stop: what it holds is closed, or left open with `keep_position`. `wait` tells what becomes of it.
        Raises NotFound, Conflict for one that is over."""
        return self._do(calls.stop(executor_id, keep_position))

    def wait(self, executor_id: str, *, timeout_s: float = 10) -> dict[str, Any]:
        """The executor once it is over; as it stands after `timeout_s`."""
        executor = self.get(executor_id)
        for pause_s in pauses(timeout_s):
            if calls.is_over(executor):
                break
            self._client._sleep(pause_s)
            executor = self.get(executor_id)
        return executor

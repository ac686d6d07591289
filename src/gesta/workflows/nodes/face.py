"""What performing a node is given, and how it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gesta.workflows.graph.definition import Node
from gesta.workflows.graph.progress import Wait


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one visit of a node. `input` is its configuration with everything filled in. `key` names the
    visit: it is the same for every attempt, also after an interruption, so that whoever is told twice can know."""

    organization: int
    account: int
    run_id: str
    workflow_id: str
    environment: str
    path: str
    node: Node
    input: Any
    attempt: int
    key: str
    at_us: int


class Performed(msgspec.Struct, frozen=True, kw_only=True):
    """With `wait`: what was begun goes on, and its end wakes the node."""

    output: Any = None
    wait: Wait | None = None


class NodeFailed(Exception):
    """The attempt failed, in words that the workflow's owner can act on. `is_final`: another would fail likewise.
    `retry_after_s`: who was asked wants no other attempt before that; it counts up to the node's `retry.most_s`."""

    def __init__(self, message: str, *, is_final: bool = False, output: Any = None, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.message = message
        self.is_final = is_final
        self.output = output
        self.retry_after_s = retry_after_s


#: Performs one type of node. Raises NodeFailed, or a GestaError of a front door.
Performer = Callable[[Performance], Awaitable[Performed]]

"""Templates, conditions and JSONata over what a run knows. Data in, data out: nothing is ever evaluated as code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gesta.kernel.errors import InvalidInput


class ExpressionError(InvalidInput):
    """A template, a condition or a query that cannot be, or that came to nothing."""


class Item(msgspec.Struct, frozen=True):
    """Where a body is: which item of how many, and the id of the container that goes through them."""

    value: Any
    index: int
    total: int
    node: str = ""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What an expression may name: the outputs of nodes by id, what the run was started with, the items of the
    containers around (the innermost last), the workflow's properties, and words about the run. `moment_us` is what the
    run calls now, in microseconds since 1970: the same whenever the expression is asked again."""

    outputs: Mapping[str, Any] = {}
    input: Any = None
    items: tuple[Item, ...] = ()
    properties: Mapping[str, Any] = {}
    meta: Mapping[str, str] = {}
    moment_us: int | None = None

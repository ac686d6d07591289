"""The executor types: their machines, found by name."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from functools import cache
from typing import Any, Final, get_type_hints

from gesta.executors.machines.face import Machine
from gesta.kernel.errors import InvalidInput

# In the order in which hummingbot-api lists them. One type is known and cannot run: it needs an on-chain gateway.
MODULES: Final = {
    "position_executor": "position",
    "grid_executor": "grid",
    "dca_executor": "dca",
    "arbitrage_executor": "arbitrage",
    "twap_executor": "twap",
    "xemm_executor": "xemm",
    "order_executor": "order",
}
UNAVAILABLE: Final = {"lp_executor": "lp_executor needs an on-chain gateway, which Gesta does not run."}


@cache
def machine_of(type: str) -> Machine[Any, Any]:
    """Raises InvalidInput(field="type") for a type that is unknown, or cannot run here."""
    if type in UNAVAILABLE:
        raise InvalidInput(UNAVAILABLE[type], field="type")
    module = MODULES.get(type)
    if module is None:
        near = get_close_matches(type, MODULES, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise InvalidInput(
            f"There is no executor type {type[:64]!r}{hint} There are: {', '.join(MODULES)}.", field="type"
        )
    machine: Machine[Any, Any] = importlib.import_module(f"gesta.executors.machines.{module}").MACHINE
    return machine


@cache
def state_type(type: str) -> Any:
    """The type of a machine's state, by which what is on disk is read."""
    return get_type_hints(machine_of(type).step)["state"]

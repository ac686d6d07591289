"""The executor types and the fields of their configurations, read from the machines themselves. Pure."""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Any, get_args, get_type_hints

import msgspec

from gesta.executors.machines import parsing
from gesta.executors.registry import MODULES, UNAVAILABLE, machine_of
from gesta.kernel.errors import NotFound

# What each type does, and what it is for.
TYPES: dict[str, tuple[str, str]] = {
    "position_executor": (
        "One position with stop-loss, take-profit, time limit and trailing stop",
        "A directional trade with its risk bounded",
    ),
    "grid_executor": ("A grid of levels that buy low and sell high", "A market that moves within a range"),
    "dca_executor": ("A position entered at several prices", "Building up a position step by step"),
    "twap_executor": ("One amount in equal parts over a time", "A large amount without moving the market"),
    "arbitrage_executor": ("Buys in one market what it sells in another at once", "Prices that differ between venues"),
    "xemm_executor": ("Makes in one market and hedges in another", "Liquidity at one venue, priced by another"),
    "order_executor": ("One order, retried or following the price", "A single entry or exit"),
    "lp_executor": ("A liquidity position on a chain", "Fees of a liquidity pool"),
}

# The name on the wire of a config's field, where it is another.
_WIRE_NAMES = {
    "timestamp_us": "timestamp",
    "triple_barrier": "triple_barrier_config",
    "chaser": "chaser_config",
    "order_frequency_s": "order_frequency",
    "time_limit_s": "time_limit",
    "total_duration_s": "total_duration",
    "order_interval_s": "order_interval",
    "order_resubmission_time_s": "order_resubmission_time",
    "activation_pct": "activation_price",
    "delta_pct": "trailing_delta",
}
_TYPE_NAMES = {
    "TripleBarrier": "TripleBarrierConfig",
    "Chaser": "LimitChaserConfig",
    "Market": "ConnectorPair",
}
# Fields that can only say one thing, and those that are needed although the machine has a default for what is in them.
_FIXED = {"stop_loss_order_type": "MARKET", "time_limit_order_type": "MARKET"}
_REQUIRED = {("grid_executor", "triple_barrier_config")}
_PLAIN = {str: "string", int: "integer", bool: "boolean", Decimal: "number", float: "number"}


def available() -> dict[str, Any]:
    """Every type, in the order in which hummingbot-api lists them; those that cannot run here say why."""
    return {
        "executor_types": [
            {
                "type": name,
                "description": description,
                "use_case": use_case,
                "available": name not in UNAVAILABLE,
                "reason": UNAVAILABLE.get(name),
            }
            for name, (description, use_case) in TYPES.items()
        ]
    }


@cache
def config_of(type_: str) -> dict[str, Any]:
    """The fields of a type's configuration. Raises NotFound for a type that is unknown or cannot run here."""
    if type_ in UNAVAILABLE:
        raise NotFound(UNAVAILABLE[type_], what="executor type")
    if type_ not in MODULES:
        raise NotFound(f"Unknown executor type '{type_[:64]}'. Valid types: {', '.join(MODULES)}", what="executor type")
    config: Any = get_type_hints(machine_of(type_).parse)["return"]
    module: Any = sys.modules[config.__module__]
    names = module.CONFIG_FIELDS if hasattr(module, "CONFIG_FIELDS") else module.FIELDS
    nested: dict[str, Any] = {}
    return {
        "executor_type": type_,
        "config_class": "".join(part.capitalize() for part in type_.split("_")) + "Config",
        "description": TYPES[type_][0],
        "fields": [_required_if(type_, field) for field in _fields(config, names, nested, type_)],
        "nested_types": nested,
    }


def _required_if(type_: str, field: dict[str, Any]) -> dict[str, Any]:
    if (type_, field["name"]) not in _REQUIRED:
        return field
    return {name: value for name, value in field.items() if name != "default"} | {"required": True}


def _fields(struct: Any, names: Sequence[str], nested: dict[str, Any], type_: str = "") -> list[dict[str, Any]]:
    hints = get_type_hints(struct)
    known = {_WIRE_NAMES.get(each.name, each.name): each for each in msgspec.structs.fields(struct)}
    found = []
    for name in names:
        said: dict[str, Any] = {"name": name, "description": name.replace("_", " ").capitalize()}
        if name == "type":
            said |= {"type": "string", "required": True, "enum_values": [type_]}
        elif name in _FIXED:
            said |= {"type": "enum", "required": False, "enum_values": [_FIXED[name]], "default": _FIXED[name]}
        else:
            field = known[name]
            said["required"] = field.required
            if not field.required:
                said["default"] = _plain(field.default)
            said |= _type(hints[field.name], nested)
        found.append(said)
    return found


def _type(hint: Any, nested: dict[str, Any]) -> dict[str, Any]:
    hint = next((each for each in get_args(hint) if each is not type(None)), hint) if _is_optional(hint) else hint
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"type": "enum", "enum_values": [member.name for member in hint]}
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        name = _TYPE_NAMES.get(hint.__name__, hint.__name__)
        if name not in nested:
            nested[name] = {}
            nested[name] = {"description": name, "fields": _fields(hint, _names_of(hint), nested)}
        return {"type": name}
    return {"type": "array"}


def _is_optional(hint: Any) -> bool:
    return type(None) in get_args(hint)


def _names_of(struct: Any) -> Sequence[str]:
    if struct.__name__ == "TripleBarrier":
        return parsing.TRIPLE_BARRIER_FIELDS
    return [_WIRE_NAMES.get(field.name, field.name) for field in msgspec.structs.fields(struct)]


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, Decimal):
        return float(value)
    return None if isinstance(value, msgspec.Struct) or value is msgspec.NODEFAULT else value

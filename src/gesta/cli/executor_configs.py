"""Executor configs from what was typed: flags, a file, single fields. The server says what it thinks of them."""

from __future__ import annotations

import enum
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from gesta.kernel.errors import InvalidInput

MAX_FILE_BYTES = 1024 * 1024
_SUFFIX = "_executor"
_TRAILING = re.compile(r"([0-9.]{1,20})/([0-9.]{1,20})", re.ASCII)
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class Type(enum.StrEnum):
    """The kinds of executor."""

    POSITION = "position"
    ORDER = "order"
    DCA = "dca"
    GRID = "grid"
    TWAP = "twap"
    ARBITRAGE = "arbitrage"
    XEMM = "xemm"

    @property
    def wire(self) -> str:
        return f"{self.value}{_SUFFIX}"


_MARKET = {
    "connector": "connector_name",
    "pair": "trading_pair",
    "side": "side",
    "leverage": "leverage",
}
_BARRIERS = ("stop_loss", "take_profit", "time_limit", "trailing_stop")
# Where each flag of a type goes. A type that is not here is described by a file or by --set.
_FIELDS: dict[Type, dict[str, str]] = {
    Type.POSITION: {
        **_MARKET,
        "amount": "amount",
        "price": "entry_price",
        **{name: f"triple_barrier_config.{name}" for name in _BARRIERS},
    },
    Type.ORDER: {**_MARKET, "amount": "amount", "price": "price"},
    Type.DCA: {**_MARKET, **{name: name for name in _BARRIERS}},
    Type.GRID: {
        **_MARKET,
        "amount_quote": "total_amount_quote",
        "take_profit": "triple_barrier_config.take_profit",
        "time_limit": "triple_barrier_config.time_limit",
    },
    Type.TWAP: {**_MARKET, "amount_quote": "total_amount_quote"},
    Type.ARBITRAGE: {},
    Type.XEMM: {},
}


def short_type(wire: object) -> str:
    """`position` of `position_executor`."""
    return str(wire or "–").removesuffix(_SUFFIX)


def config_of(type: Type | None, file: Path | None, flags: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """The config: what the file says, then the flags, then the single fields.

    Raises InvalidInput for flags that the type does not have, a file that cannot be read, and no type at all.
    """
    config = {} if file is None else read(file)
    if type is not None and config.setdefault("type", type.wire) != type.wire:
        raise InvalidInput(f"{file} describes a {short_type(config['type'])} executor.", where="arguments")
    wire = config.get("type")
    if not isinstance(wire, str):
        raise InvalidInput("Say which type of executor: position, order, dca, grid, twap …", where="arguments")
    known = {each.wire: each for each in Type}.get(wire)
    for flag, value in flags.items():
        path = _FIELDS[known].get(flag) if known is not None else None
        if path is None:
            raise InvalidInput(
                f"--{flag.replace('_', '-')} says nothing about a {short_type(wire)} executor; its other fields are "
                "set with --set FIELD=VALUE.",
                where="arguments",
            )
        put(config, path, value)
    for each in fields:
        name, is_set, text = each.partition("=")
        if not is_set or not name:
            raise InvalidInput(f"--set {each!r} is not FIELD=VALUE.", where="arguments")
        put(config, name, _value(text))
    if file is None:
        _complete(config, known)
    return config


def _complete(config: dict[str, Any], type: Type | None) -> None:
    """Without a price, what is described by flags begins at the market."""
    if type is Type.ORDER:
        config.setdefault("execution_strategy", "MARKET" if config.get("price") is None else "LIMIT")
    elif type is Type.POSITION and config.get("entry_price") is None:
        barriers = config.setdefault("triple_barrier_config", {})
        if isinstance(barriers, dict):
            barriers.setdefault("open_order_type", "MARKET")


def put(config: dict[str, Any], path: str, value: Any) -> None:
    """Set a field, named by its path: `triple_barrier_config.stop_loss`."""
    *parents, last = path.split(".")
    place = config
    for parent in parents:
        below = place.setdefault(parent, {})
        if not isinstance(below, dict):
            raise InvalidInput(f"--set {path}: {parent} is no object.", where="arguments")
        place = below
    place[last] = value


def _value(text: str) -> Any:
    """A value as JSON, else the text as it stands."""
    try:
        return msgspec.json.Decoder(float_hook=Decimal).decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text


def trailing(text: str) -> dict[str, str]:
    """`0.02/0.005` as activation and delta. Raises InvalidInput."""
    found = _TRAILING.fullmatch(text)
    if found is None:
        raise InvalidInput(
            f"--trailing-stop {text!r} is not ACTIVATION/DELTA in fractions: 0.02/0.005.", where="arguments"
        )
    return {"activation_price": found[1], "trailing_delta": found[2]}


def read(file: Path) -> dict[str, Any]:
    """The object in a JSON or TOML file, by its name; `-` is JSON from standard input. Raises InvalidInput, OSError."""
    if str(file) == "-":
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    else:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise InvalidInput(f"{file} is larger than {MAX_FILE_BYTES} bytes.", where="arguments")
    try:
        if file.suffix.lower() == ".toml":
            return tomllib.loads(data.decode(), parse_float=Decimal)
        return _decoder.decode(data)
    except (msgspec.DecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"{file} is no JSON or TOML object: {error}", where="arguments") from None

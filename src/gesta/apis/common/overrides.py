"""Keep what a vendor's own object said, so that it comes out of its dialect equal (see records.Wire)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gesta.ledger.records import Wire

_SCALARS = frozenset({str, int, float, bool, type(None)})


def capture(dialect: str, posted: Mapping[str, Any], derived: Mapping[str, Any]) -> Wire | None:
    """The difference between the posted object and what the codec would print of it; None if there is none.

    `derived` must be what `encode` gives for the freshly decoded record without any Wire.
    """
    overrides: dict[str, list[Any]] = {}
    for key, value in derived.items():
        if key not in posted:
            overrides[key] = [value]
        elif not same(posted[key], value):
            overrides[key] = [value, posted[key]]
    extra = {key: value for key, value in posted.items() if key not in derived}
    if not overrides and not extra:
        return None
    return Wire(dialect=dialect, overrides=overrides, extra=extra)


def restore(wire: Wire | None, dialect: str, derived: dict[str, Any]) -> dict[str, Any]:
    """`derived` with the posted values put back wherever the record still says what it said at ingest."""
    if wire is None or wire.dialect != dialect:
        return derived
    for key, pair in wire.overrides.items():
        if key in derived and same(derived[key], pair[0]):
            if len(pair) == 1:
                del derived[key]
            else:
                derived[key] = pair[1]
    derived.update(wire.extra)
    return derived


def same(left: Any, right: Any) -> bool:
    """JSON equality: 1 and 1.0 are equal, true and 1 are not."""
    if type(left) is type(right) and type(left) in _SCALARS:
        # Nearly every comparison of a read, without the abstract classes below.
        return bool(left == right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right)

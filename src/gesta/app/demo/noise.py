"""Seeded chance as a function of a place: the same seed and place give the same value, in any order of asking."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import isqrt
from typing import TypeVar

T = TypeVar("T")

# A walk is pinned at multiples of this many seconds (about twelve days) and bridged between them.
WALK_SPAN_S = 1 << 20
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def digest(seed: int, *place: str | int, size: int = 32) -> bytes:
    """`size` bytes, at most 64, that depend on nothing but the seed and the place."""
    return hashlib.blake2b(f"{seed}:{place!r}".encode(), digest_size=size).digest()


def below(bound: int, seed: int, *place: str | int) -> int:
    """An integer from 0 to `bound` - 1."""
    return int.from_bytes(digest(seed, *place, size=8), "big") % bound


def choice(options: Sequence[T], seed: int, *place: str | int) -> T:
    return options[below(len(options), seed, *place)]


def hex_token(digits: int, seed: int, *place: str | int) -> str:
    """Lowercase hex, the id form of fills, orders and runs."""
    return digest(seed, *place, size=(digits + 1) // 2).hex()[:digits]


def base58_token(seed: int, *place: str | int) -> str:
    """43 or 44 characters, the id form of executors (protocols/hummingbot.md §1.2)."""
    number = int.from_bytes(digest(seed, *place), "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return text


def walk(seed: int, name: str, at_s: int, *, deviation: int) -> int:
    """A random walk's value at a second. `deviation` is the standard deviation of one second's step.

    A Brownian bridge, halved from span to second: near times have near values, and any second is reached in 20 steps.
    """
    span = at_s // WALK_SPAN_S
    low_s, width_s = span * WALK_SPAN_S, WALK_SPAN_S
    low, high = (_gauss(deviation * isqrt(WALK_SPAN_S), seed, name, "pin", place) for place in (span, span + 1))
    while width_s > 1:
        # The midpoint of a bridge of this width has the standard deviation √width / 2.
        middle = (low + high) // 2 + _gauss(deviation * isqrt(width_s * 10_000) // 200, seed, name, low_s, width_s)
        width_s //= 2
        if at_s < low_s + width_s:
            high = middle
        else:
            low_s, low = low_s + width_s, middle
    return low


def _gauss(deviation: int, seed: int, *place: str | int) -> int:
    """A nearly normal integer: twelve uniform bytes add up to mean 1530 and standard deviation 256."""
    return (sum(digest(seed, *place, size=12)) - 1530) * deviation // 256

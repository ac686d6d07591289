"""Seeded chance as a function of a place: the same seed and place give the same value, in any order of asking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from gesta.venues.market_data.noise import digest

T = TypeVar("T")

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def below(bound: int, seed: int, *place: str | int) -> int:
    """An integer from 0 to `bound` - 1."""
    return int.from_bytes(digest(seed, *place, size=8), "big") % bound


def choice(options: Sequence[T], seed: int, *place: str | int) -> T:
    return options[below(len(options), seed, *place)]


def hex_token(digits: int, seed: int, *place: str | int) -> str:
    """Lowercase hex."""
    return digest(seed, *place, size=(digits + 1) // 2).hex()[:digits]


def base58_token(seed: int, *place: str | int) -> str:
    """43 or 44 characters, the id form of executors (protocols/hummingbot.md §1.2)."""
    number = int.from_bytes(digest(seed, *place), "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return text

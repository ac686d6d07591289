"""Seeded chance: as a function of a place, and as a sequence. Pure integers, the same on every machine.

The same seed and place give the same value in any order of asking, which is why a simulated price does not jump when a
server is started again.
"""

from __future__ import annotations

import hashlib
from math import isqrt

# A walk is pinned at multiples of this many seconds (about twelve days) and bridged between them.
WALK_SPAN_S = 1 << 20
_MASK = (1 << 64) - 1


def digest(seed: int, *place: str | int, size: int = 32) -> bytes:
    """`size` bytes, at most 64, that depend on nothing but the seed and the place."""
    return hashlib.blake2b(f"{seed}:{place!r}".encode(), digest_size=size).digest()


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


class Chance:
    """A sequence of seeded numbers (splitmix64)."""

    __slots__ = ("_state",)

    def __init__(self, seed: int, *place: str | int) -> None:
        self._state = int.from_bytes(digest(seed, *place, size=8), "big")

    def word(self) -> int:
        """64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, bound: int) -> int:
        """An integer from 0 to `bound` - 1."""
        return self.word() * bound >> 64

    def gauss(self, deviation: int) -> int:
        """A nearly normal integer of mean 0: the sum of eight bytes has mean 1020 and standard deviation 209."""
        return (sum(self.word().to_bytes(8, "big")) - 1020) * deviation // 209

    def size(self, typical: int) -> int:
        """A positive integer, mostly around `typical`, now and then many times that."""
        scale = typical * (1 + self.below(4)) if self.below(8) == 0 else typical
        return 1 + self.below(max(1, 2 * scale))

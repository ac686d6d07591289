"""The source of randomness that is injected everywhere: ids and secrets."""

from __future__ import annotations

import secrets
import uuid
from typing import Protocol

_BASE32HEX = "0123456789abcdefghijklmnopqrstuv"


class IdSource(Protocol):
    def random_bytes(self, count: int) -> bytes: ...


class SystemIds:
    def random_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


def hex_id(ids: IdSource, digits: int) -> str:
    """`digits` random lowercase hex digits: 32 for a fill or an order, 24 for a run."""
    return ids.random_bytes((digits + 1) // 2).hex()[:digits]


def xid(ids: IdSource, prefix: str) -> str:
    """`prefix_` and 20 base32hex characters, the id form of B3OS (protocols/b3os.md §3)."""
    return f"{prefix}_{''.join(_BASE32HEX[byte & 31] for byte in ids.random_bytes(20))}"


def secret(ids: IdSource, prefix: str) -> str:
    """`prefix` and 256 random bits in hex."""
    return prefix + ids.random_bytes(32).hex()


def request_id(ids: IdSource) -> str:
    """A random UUID, version 4."""
    return str(uuid.UUID(bytes=ids.random_bytes(16), version=4))

"""Passwords under argon2id, verified off the event loop, a few at a time."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from base64 import b64encode

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from gesta.kernel.errors import RateLimited
from gesta.kernel.ids import IdSource

# OWASP's first recommendation for argon2id: 19 MiB, two passes, one lane.
MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
SALT_BYTES, HASH_BYTES = 16, 32
PASSWORD_LIMIT = 1024
AT_ONCE, WAITING_LIMIT = 2, 64
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


def _encoded(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


# A hash that no password has, with the real parameters: an unknown user costs what a wrong password costs.
NOBODY = (
    f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${_encoded(bytes(SALT_BYTES))}${_encoded(bytes(HASH_BYTES))}"
)


def new_password(ids: IdSource) -> str:
    """26 characters of an alphabet of 32 without look-alikes: 130 random bits."""
    return "".join(_LETTERS[byte & 31] for byte in ids.random_bytes(26))


class Passwords:
    """Hash and verify. Equal verifications that overlap are done once; too many different ones are refused."""

    def __init__(self, ids: IdSource) -> None:
        self._ids = ids
        self._hasher = PasswordHasher(PASSES, MEMORY_KIB, LANES, HASH_BYTES, SALT_BYTES, type=Type.ID)
        self._proof_key = ids.random_bytes(32)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._under_way: dict[tuple[bytes, str], asyncio.Task[bool]] = {}

    def proof(self, username: str, password: str) -> bytes:
        """A digest of both under a key of this process: what a successful verification is remembered by."""
        text = f"{len(username)}:{username}{password}"
        return hmac.digest(self._proof_key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)

    async def hash(self, password: str) -> str:
        salt = self._ids.random_bytes(SALT_BYTES)
        return await asyncio.to_thread(self._hasher.hash, password, salt=salt)

    async def verify(self, proof: bytes, password_hash: str, password: str) -> bool:
        """Raises RateLimited when too many verifications wait already."""
        key = (proof, password_hash)
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= WAITING_LIMIT:
                raise RateLimited("Too many logins at once; retry in a second.", retry_after_s=1)
            task = self._under_way[key] = asyncio.create_task(self._verify(password_hash, password))
            task.add_done_callback(lambda _done: self._under_way.pop(key, None))
        # A caller that goes away does not take the answer from the others.
        return await asyncio.shield(task)

    async def _verify(self, password_hash: str, password: str) -> bool:
        async with self._at_once:
            return await asyncio.to_thread(self._matches, password_hash, password)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password.encode("utf-8", "surrogatepass"))
        except (VerificationError, InvalidHashError):
            return False

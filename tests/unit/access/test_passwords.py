"""Passwords: argon2id, equal cost for unknown users, bounded work."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gesta.access.passwords import AT_ONCE, LANES, MEMORY_KIB, NOBODY, PASSES, WAITING_LIMIT, Passwords, new_password
from gesta.kernel.errors import RateLimited
from gesta.testing.fakes import SeededIds


class Counting(Passwords):
    """Counts verifications and holds them until released."""

    def __init__(self) -> None:
        super().__init__(SeededIds())
        self.release = threading.Event()
        self.running = self.most = self.total = 0
        self._lock = threading.Lock()

    def _matches(self, password_hash: str, password: str) -> bool:
        with self._lock:
            self.running += 1
            self.total += 1
            self.most = max(self.most, self.running)
        self.release.wait(10)
        with self._lock:
            self.running -= 1
        return password == "right"


async def test_a_password_is_verified_against_its_hash() -> None:
    passwords = Passwords(SeededIds())
    stored = await passwords.hash("right")
    assert stored.startswith(f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$")
    assert "right" not in stored
    assert await passwords.verify(b"1", stored, "right")
    assert not await passwords.verify(b"2", stored, "wrong")
    assert not await passwords.verify(b"3", stored, "\ud800")
    assert not await passwords.verify(b"4", "not a hash", "right")


async def test_two_hashes_of_one_password_differ() -> None:
    passwords = Passwords(SeededIds())
    assert await passwords.hash("x") != await passwords.hash("x")


async def test_nobody_has_the_real_cost_and_no_password() -> None:
    passwords = Passwords(SeededIds())
    real = await passwords.hash("x")
    assert [len(part) for part in NOBODY.split("$")] == [len(part) for part in real.split("$")]
    assert NOBODY.split("$")[:4] == real.split("$")[:4]
    assert passwords._hasher.check_needs_rehash(NOBODY) is False
    assert not await passwords.verify(b"", NOBODY, "")


def test_a_generated_password_has_130_bits_and_no_look_alikes() -> None:
    password = new_password(SeededIds(3))
    assert len(password) == 26
    assert not set(password) & set("0o1lI")
    assert password != new_password(SeededIds(4))


def test_the_proof_separates_username_from_password() -> None:
    passwords = Passwords(SeededIds())
    assert passwords.proof("ab", "c") != passwords.proof("a", "bc")
    assert passwords.proof("ab", "c") != Passwords(SeededIds(1)).proof("ab", "c")


async def test_equal_logins_that_overlap_are_verified_once() -> None:
    passwords = Counting()
    waiting = [asyncio.create_task(passwords.verify(b"same", "hash", "right")) for _ in range(50)]
    await asyncio.sleep(0)
    passwords.release.set()
    assert all(await asyncio.gather(*waiting))
    assert passwords.total == 1
    assert not passwords._under_way


async def test_different_logins_wait_for_each_other_and_the_queue_is_bounded() -> None:
    passwords = Counting()
    waiting = [asyncio.create_task(passwords.verify(bytes([n]), "hash", "wrong")) for n in range(WAITING_LIMIT)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as caught:
        await passwords.verify(b"one more", "hash", "right")
    assert caught.value.retry_after_s == 1
    passwords.release.set()
    assert not any(await asyncio.gather(*waiting))
    assert passwords.most <= AT_ONCE


async def test_a_caller_that_goes_away_does_not_take_the_answer_from_another() -> None:
    passwords = Counting()
    first = asyncio.create_task(passwords.verify(b"same", "hash", "right"))
    second = asyncio.create_task(passwords.verify(b"same", "hash", "right"))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    passwords.release.set()
    assert await second

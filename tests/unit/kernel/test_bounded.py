"""Jobs in children: what they know, what becomes of a child that ends or whose parent does."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gesta.kernel.bounded import BoundedPool, Bounds, Refused
from gesta.kernel.errors import InvalidInput

waits_for_ends = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells the end of any process")
RUNAWAY = b'{"job":"query","expression":"($f := function($x){$f($x)}; $f(1))","document":null,"moment_ms":null}'
PARENT = """
import sys
from gesta.kernel.bounded import BoundedPool, Bounds, _Child
pool = BoundedPool("gesta.workflows.graph.bounded_jobs", bounds=Bounds(processor_s=60, wall_s={wall_s}), workers=1)
started = pool._started
def told():
    child = started()
    print(child.process.pid, flush=True)
    return child
pool._started = told
pool.perform(sys.argv[1].encode())
sys.stdin.read()
"""


def perform(job: bytes) -> bytes:
    """This module is itself one whose jobs are done in a child."""
    match job:
        case b"environment":
            return repr(sorted(os.environ)).encode()
        case b"pid":
            return str(os.getpid()).encode()
        case b"refuse":
            raise Refused("no")
        case b"stumble":
            raise KeyError("what")
        case b"exit":
            os._exit(3)
        case b"big":
            return b"x" * 2000
    return job.upper()


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[BoundedPool]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("A_SECRET", "x")
    pool = BoundedPool("test_bounded", bounds=Bounds(most_job_bytes=100_000, most_answer_bytes=1000), workers=1)
    yield pool
    pool.close()


def test_a_child_answers_many_jobs_and_knows_no_secret(pool: BoundedPool) -> None:
    assert [pool.perform(job) for job in (b"a", b"", b"b" * 999)] == [b"A", b"", b"B" * 999]
    assert pool.perform(b"pid") == pool.perform(b"pid") != str(os.getpid()).encode()
    assert b"SECRET" not in pool.perform(b"environment")


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (b"refuse", "^no$"),
        (b"stumble", "KeyError"),
        (b"exit", "more memory, or a deeper stack"),
        (b"big", "more than 1000 bytes"),
        (b"x" * 100_001, "more data"),
    ],
)
def test_refusals_are_told_and_the_next_job_is_done(pool: BoundedPool, job: bytes, message: str) -> None:
    for _ in range(2):
        with pytest.raises(InvalidInput, match=message):
            pool.perform(job)
    assert pool.perform(b"a") == b"A"


@waits_for_ends
def test_a_child_that_was_ended_from_outside_is_replaced_before_the_next_job(pool: BoundedPool) -> None:
    first = int(pool.perform(b"pid"))
    ended = os.pidfd_open(first)
    os.kill(first, signal.SIGKILL)
    select.select([ended], [], [], 10)
    os.close(ended)
    assert int(pool.perform(b"pid")) != first


def test_a_closed_pool_opens_again(pool: BoundedPool) -> None:
    pool.close()
    first = pool.perform(b"pid")
    pool.close()
    pool.close()
    assert pool.perform(b"pid") != first


@waits_for_ends
@pytest.mark.parametrize(("job", "wall_s"), [(RUNAWAY, 2), (b'{"job":"parse","expression":"1"}', 60)])
def test_no_child_outlives_a_parent_that_is_killed(job: bytes, wall_s: float) -> None:
    """Busy, its own timer ends it; idle, the end of the conversation."""
    program = [sys.executable, "-c", PARENT.format(wall_s=wall_s), job.decode()]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        ended = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    assert select.select([ended], [], [], 30)[0] == [ended]
    os.close(ended)

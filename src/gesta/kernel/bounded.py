"""Programs that somebody else wrote (queries, patterns, schemas), run where they can be stopped.

A query that recurses for ever, a pattern that backtracks for years, a text that doubles with every step: neither a
thread nor a signal handler stops them, since the interpreter is inside one call of C. They are run in a child process,
which asks the kernel to end it: a timer of processor time, a timer of real time (which fires even if the parent is
gone), a bound of memory. What is ended is replaced. A job has nothing but the bytes that it is given: no environment,
no secrets, and no state of a former job.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import queue
import resource
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Final

import msgspec

from gesta.kernel.clock import SystemClock
from gesta.kernel.errors import InvalidInput, Unavailable

#: Not injected: a child that does not answer is late by the clock on the wall.
_clock: Final = SystemClock()
_HEADER: Final = struct.Struct(">cI")
_DONE: Final = b"+"
_REFUSED: Final = b"-"
#: How long a child may take to come up, on a machine that is busy.
_START_S: Final = 30.0
#: How much longer than its own timers the parent waits before it ends a child itself.
_GRACE_S: Final = 1.0
_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from gesta.kernel.bounded import serve; serve(sys.argv[2], json.loads(sys.argv[3]))"
)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """For one job; `memory_bytes` of address space for the whole child."""

    processor_s: float = 1.0
    wall_s: float = 5.0
    memory_bytes: int = 768 * 1024 * 1024
    most_job_bytes: int = 16 * 1024 * 1024
    most_answer_bytes: int = 4 * 1024 * 1024


class Refused(Exception):
    """A job's own refusal: raised by `perform` of its module, told to who asked for it."""


# -- here


class BoundedPool:
    """Performs jobs of one module, which has `perform(job: bytes) -> bytes` and may raise Refused.

    Children are started when they are first needed, `workers` at most; a job beyond that waits for one to be free. Safe
    to use from any thread. Blocks for as long as the job takes: at most the bounds, and some milliseconds for a start.
    """

    def __init__(self, module: str, *, bounds: Bounds | None = None, workers: int = 2) -> None:
        self.module = module
        self.bounds = bounds or Bounds()
        self._count = workers
        self._open()

    def _open(self) -> None:
        self._owner = os.getpid()
        self._free: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(self._count):
            self._free.put(None)

    def perform(self, job: bytes) -> bytes:
        """The answer to a job. Raises InvalidInput with what the job refused, or with the bound that it passed;
        Unavailable if the machine gives no process."""
        if len(job) > self.bounds.most_job_bytes:
            raise InvalidInput(f"There is more data than the {self.bounds.most_job_bytes} bytes that are allowed.")
        if self._owner != os.getpid():  # a fork must not talk into its parent's conversation
            self._open()
        child = self._free.get()
        try:
            if child is not None and child.process.poll() is not None:  # ended from outside: not this job's doing
                child.end()
                child = None
            if child is None:
                child = self._started()
            return child.answer(job)
        except _Told as refusal:
            raise InvalidInput(str(refusal)) from None
        except BaseException:
            # It may be gone, or in the middle of a sentence.
            if child is not None:
                child.end()
            child = None
            raise
        finally:
            self._free.put(child)

    def _started(self) -> _Child:
        atexit.unregister(self.close)
        atexit.register(self.close)
        return _Child(self.module, self.bounds)

    def close(self) -> None:
        """End every child that is free. The pool may be used again."""
        taken: list[_Child | None] = []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._free.get_nowait())
        for child in taken:
            if child is not None and self._owner == os.getpid():
                child.end()
            self._free.put(None)


class _Told(Exception):
    """A refusal that came in order: the child is well."""


class _Child:
    def __init__(self, module: str, bounds: Bounds) -> None:
        self.bounds = bounds
        self.line, theirs = socket.socketpair()
        # No variable of ours but what finds the interpreter's libraries; the same zone and hashes everywhere.
        env = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
        env |= {"TZ": "UTC", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}
        path = json.dumps([entry or os.getcwd() for entry in sys.path])
        limits = json.dumps(msgspec.to_builtins(bounds))
        try:
            with theirs:
                self.process = subprocess.Popen(  # noqa: S603 -- this very interpreter
                    [sys.executable, "-s", "-S", "-c", _PROGRAM, path, module, limits],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=env,
                )
        except OSError as error:
            self.line.close()
            raise Unavailable(f"No process could be started: {error}") from error
        try:
            self._received(_clock.monotonic_s() + _START_S)
        except BaseException:
            self.end()
            raise

    def answer(self, job: bytes) -> bytes:
        deadline = _clock.monotonic_s() + self.bounds.wall_s + _GRACE_S
        try:
            self.line.settimeout(self.bounds.wall_s + _GRACE_S)
            self.line.sendall(_HEADER.pack(_DONE, len(job)) + job)
        except TimeoutError:
            raise InvalidInput(f"It took longer than {self.bounds.wall_s:g} s.") from None
        except OSError:
            raise self._ended() from None
        state, answer = self._received(deadline)
        if state == _REFUSED:
            raise _Told(answer.decode())
        return answer

    def _received(self, deadline: float) -> tuple[bytes, bytes]:
        try:
            state, length = _HEADER.unpack(self._exactly(_HEADER.size, deadline))
            return state, self._exactly(length, deadline)
        except TimeoutError:
            raise InvalidInput(f"It took longer than {self.bounds.wall_s:g} s.") from None
        except OSError:
            raise self._ended() from None

    def _exactly(self, length: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < length:
            self.line.settimeout(max(0.001, deadline - _clock.monotonic_s()))
            part = self.line.recv(min(1 << 20, length - len(data)))
            if not part:
                raise ConnectionResetError
            data += part
        return bytes(data)

    def _ended(self) -> InvalidInput:
        """Why there is no answer."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE_S)
        if self.process.returncode == -signal.SIGPROF:
            return InvalidInput(f"It used more than {self.bounds.processor_s:g} s of the processor.")
        if self.process.returncode == -signal.SIGALRM:
            return InvalidInput(f"It took longer than {self.bounds.wall_s:g} s.")
        return InvalidInput("It used more memory, or a deeper stack, than is allowed.")

    def end(self) -> None:
        self.line.close()
        self.process.kill()
        self.process.wait()


# -- in the child


def serve(module: str, limits: dict[str, float]) -> None:
    """The child's whole life: jobs from the socket that is its standard input, until that is closed."""
    bounds = msgspec.convert(limits, Bounds)
    # Ctrl-C is meant for the parent, which closes the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for sign in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(sign, signal.SIG_DFL)
    perform = importlib.import_module(module).perform
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (bounds.memory_bytes, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    line = socket.socket(fileno=0)
    line.sendall(_HEADER.pack(_DONE, 0))
    with line, contextlib.suppress(ConnectionError):
        while header := line.recv(_HEADER.size, socket.MSG_WAITALL):
            job = line.recv(_HEADER.unpack(header)[1], socket.MSG_WAITALL)
            signal.setitimer(signal.ITIMER_PROF, bounds.processor_s)
            signal.setitimer(signal.ITIMER_REAL, bounds.wall_s)
            state, answer = _performed(perform, job, bounds)
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            line.sendall(_HEADER.pack(state, len(answer)) + answer)


def _performed(perform: Callable[[bytes], bytes], job: bytes, bounds: Bounds) -> tuple[bytes, bytes]:
    try:
        answer = perform(job)
    except Refused as refusal:
        return _REFUSED, _told(str(refusal))
    except MemoryError:
        return _REFUSED, b"It used more memory than is allowed."
    except RecursionError:
        return _REFUSED, b"It called itself more deeply than is allowed."
    except Exception as error:  # noqa: BLE001 -- told to the parent, which raises it
        return _REFUSED, _told(f"It failed: {error} ({type(error).__name__}).")
    if len(answer) > bounds.most_answer_bytes:
        return _REFUSED, f"It came to more than {bounds.most_answer_bytes} bytes.".encode()
    return _DONE, answer


def _told(message: str) -> bytes:
    return message[:1000].encode(errors="replace")

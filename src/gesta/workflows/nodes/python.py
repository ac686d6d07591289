"""The node `python`: functions of a module that the operator names in the settings, called by their registered names.

A definition names a function and its arguments; it never holds code, and reaches no function that is not registered.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

import msgspec
import structlog

from gesta.kernel.errors import InvalidInput
from gesta.workflows.graph.problems import nearest, shown
from gesta.workflows.nodes.face import NodeFailed, Performance, Performed
from gesta.workflows.nodes.values import config_of, object_of, plain, refused, text_of

__all__ = ["NodeFailed", "PythonSteps", "StepContext", "gesta_step", "load_steps"]

SETTING: Final = "workflows.steps_module"
MOST_THREADS: Final = 8
_MARK: Final = "__gesta_step__"
_TABLE: Final = "STEPS"
_CONTEXT: Final = "context"

log = structlog.get_logger("gesta.workflows")

F = TypeVar("F", bound=Callable[..., Any])


class StepContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a function that has a parameter `context` is told. `key` is the same for every attempt of one visit of the
    node: what the function does elsewhere is done once if it is done under this key."""

    run_id: str
    workflow_id: str
    environment: str
    path: str
    attempt: int
    key: str


def gesta_step(name: str | None = None) -> Callable[[F], F]:
    """Register a function, sync or async, of the operator's module: by its own name, or another one."""

    def mark(function: F) -> F:
        setattr(function, _MARK, name or function.__name__)
        return function

    return mark


def load_steps(module_name: str) -> dict[str, Callable[..., Any]]:
    """The registered functions of a module: those marked by `gesta_step`, and those of its table `STEPS`.

    Raises InvalidInput, naming the module and what is wrong, for one that cannot be imported or registers nothing.
    """
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise _wrong(f"cannot import {module_name!r}: {type(error).__name__}: {error}") from error
    found: dict[str, Callable[..., Any]] = {}
    for value in list(vars(module).values()):
        # A marked class's instances, mocks and the like answer any name: only what was marked itself counts.
        name = vars(value).get(_MARK) if inspect.isfunction(value) else None
        if isinstance(name, str) and found.setdefault(name, value) is not value:
            raise _wrong(f"{module_name} registers two functions as {name!r}")
    table = getattr(module, _TABLE, {})
    if not isinstance(table, Mapping):
        raise _wrong(f"{module_name}.{_TABLE} must map names to functions")
    for name, value in table.items():
        if not isinstance(name, str) or not name or not callable(value):
            raise _wrong(f"{module_name}.{_TABLE} must map names to functions, and has {shown(name)}")
        if found.setdefault(name, value) is not value:
            raise _wrong(f"{module_name} registers two functions as {name!r}")
    for name, value in found.items():
        try:
            inspect.signature(value)
        except ValueError:
            raise _wrong(f"{module_name} registers {name!r}, whose parameters cannot be known") from None
    if not found:
        raise _wrong(f"{module_name} registers no function: mark one with @gesta_step(), or name it in {_TABLE}")
    return found


def _wrong(message: str) -> InvalidInput:
    return InvalidInput(f"{SETTING}: {message}.", field=SETTING, where="settings")


class PythonSteps:
    """Performs `python`. Sync functions run in threads, at most so many at a time; async ones in the server's loop."""

    def __init__(self, steps: Mapping[str, Callable[..., Any]], *, most_threads: int = MOST_THREADS) -> None:
        self._steps = dict(steps)
        self._pool = ThreadPoolExecutor(max_workers=most_threads, thread_name_prefix="workflow-step")

    def close(self) -> None:
        """What has not begun does not begin; a function that runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, performance: Performance) -> Performed:
        config = config_of(performance)
        name = text_of(config, "function")
        function = self._steps.get(name)
        if function is None:
            refused(f"No function {shown(name)} is registered.{nearest(name, list(self._steps))}")
        call = _call_of(name, function, object_of(config, "arguments"), performance)
        try:
            result = await self._result(call, is_async=inspect.iscoroutinefunction(function))
        except NodeFailed:
            raise
        except (Exception, SystemExit) as error:
            log.exception("workflows.step_failed", function=name, run=performance.run_id, path=performance.path)
            raise NodeFailed(f"`{name}` raised {type(error).__name__}: {str(error)[:500]}") from error
        try:
            return Performed(output=plain(result))
        except (TypeError, ValueError, InvalidInput, OverflowError, RecursionError) as error:
            raise NodeFailed(f"`{name}` returned what has no JSON form: {error}", is_final=True) from None

    async def _result(self, call: Callable[[], Any], *, is_async: bool) -> Any:
        if is_async:
            return await call()
        context = contextvars.copy_context()
        result = await asyncio.get_running_loop().run_in_executor(self._pool, partial(context.run, _caught, call))
        return await result if inspect.isawaitable(result) else result


def _caught(call: Callable[[], Any]) -> Any:
    """In a thread: what would end the server, or cannot pass through a future, becomes an error."""
    try:
        return call()
    except (StopIteration, SystemExit) as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


def _call_of(
    name: str, function: Callable[..., Any], arguments: dict[str, Any], performance: Performance
) -> Callable[[], Any]:
    signature = _signature_of(function)
    if _CONTEXT in signature.parameters:
        if _CONTEXT in arguments:
            refused(f"`arguments.{_CONTEXT}` is what Gesta tells `{name}` itself; leave it out.")
        arguments = {**arguments, _CONTEXT: _context_of(performance)}
    try:
        bound = signature.bind(**arguments)
    except TypeError as error:
        refused(f"`arguments` do not fit `{name}{signature}`: {error}.")
    return partial(function, *bound.args, **bound.kwargs)


# The functions are those that the operator registered: few, and as long as the server lives.
_signature_of = lru_cache(maxsize=1024)(inspect.signature)


def _context_of(performance: Performance) -> StepContext:
    return StepContext(
        run_id=performance.run_id,
        workflow_id=performance.workflow_id,
        environment=performance.environment,
        path=performance.path,
        attempt=performance.attempt,
        key=performance.key,
    )

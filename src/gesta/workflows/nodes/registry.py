"""Who performs which type of node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import msgspec

from gesta.access.face import Access
from gesta.desk.reading import Reading
from gesta.desk.trading.face import Trading
from gesta.workflows.graph.definition import NodeType
from gesta.workflows.nodes import python
from gesta.workflows.nodes.addresses import networks_of
from gesta.workflows.nodes.executors import AwaitExecutor, Creates, StartExecutor
from gesta.workflows.nodes.face import NodeFailed, Performance, Performed, Performer
from gesta.workflows.nodes.http import MOST_BYTES, HttpNode
from gesta.workflows.nodes.network import GuardedTransport
from gesta.workflows.nodes.orders import SubmitOrder
from gesta.workflows.nodes.principals import Principals
from gesta.workflows.nodes.python import MOST_THREADS, PythonSteps, load_steps
from gesta.workflows.nodes.sub_flow import Starts, SubFlow


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`allow_networks`: CIDRs that requests may reach besides the public network. `steps_module`: where the operator's
    Python functions are; empty is none."""

    allow_networks: tuple[str, ...] = ()
    steps_module: str = ""
    step_threads: int = MOST_THREADS
    response_bytes: int = MOST_BYTES


@asynccontextmanager
async def open_performers(
    settings: NodeSettings,
    *,
    access: Access,
    reading: Reading,
    executors: Creates | None,
    trading: Trading | None,
    runs: Starts | None,
) -> AsyncIterator[Mapping[NodeType, Performer]]:
    """The performers with what they need opened, and closed at the end. None is a front door that this process lacks.

    Raises InvalidInput for a setting that is wrong: a network that is none, a module that cannot be imported.
    """
    allowed = networks_of(settings.allow_networks)
    functions = load_steps(settings.steps_module) if settings.steps_module else None
    async with AsyncExitStack() as stack:
        transport = await stack.enter_async_context(GuardedTransport(allowed=allowed))
        steps = None
        if functions is not None:
            steps = PythonSteps(functions, most_threads=settings.step_threads)
            stack.callback(steps.close)
        yield performers_of(
            transport=transport,
            access=access,
            reading=reading,
            executors=executors,
            trading=trading,
            runs=runs,
            steps=steps,
            response_bytes=settings.response_bytes,
        )


def performers_of(
    *,
    transport: httpx.AsyncBaseTransport,
    access: Access,
    reading: Reading,
    executors: Creates | None,
    trading: Trading | None,
    runs: Starts | None,
    steps: PythonSteps | None,
    response_bytes: int = MOST_BYTES,
) -> Mapping[NodeType, Performer]:
    """Every type that is performed. One whose front door is missing fails, and says which setting switches it on."""
    principals = Principals(access)
    no_trading = "this server does not trade; the setting `trading.enabled` switches it on"
    performers: dict[NodeType, Performer] = {
        NodeType.HTTP: HttpNode(transport, most_bytes=response_bytes),
        NodeType.EXECUTOR_AWAIT: AwaitExecutor(reading, principals),
        NodeType.EXECUTOR_START: (
            _missing(NodeType.EXECUTOR_START, no_trading) if executors is None else StartExecutor(executors, principals)
        ),
        NodeType.ORDER_SUBMIT: (
            _missing(NodeType.ORDER_SUBMIT, no_trading) if trading is None else SubmitOrder(trading, access, principals)
        ),
        NodeType.SUB_FLOW: (
            _missing(NodeType.SUB_FLOW, "this server starts no runs; the setting `workflows.enabled` switches it on")
            if runs is None
            else SubFlow(runs, reading, principals)
        ),
        NodeType.PYTHON: (
            _missing(NodeType.PYTHON, f"no functions are registered; the setting `{python.SETTING}` names their module")
            if steps is None
            else steps
        ),
    }
    return {type_: _told(performer) for type_, performer in performers.items()}


def _missing(type_: NodeType, why: str) -> Performer:
    async def perform(performance: Performance) -> Performed:
        raise NodeFailed(f"`{type_}` cannot be performed here: {why}.", is_final=True)

    return perform


def _told(performer: Performer) -> Performer:
    async def perform(performance: Performance) -> Performed:
        try:
            return await performer(performance)
        except TimeoutError:
            # Whoever set a limit of its own; the caller would take it for the node's.
            raise NodeFailed("Something that it waited for took too long.") from None

    return perform

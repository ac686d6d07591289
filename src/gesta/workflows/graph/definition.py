"""A workflow's definition: a graph of nodes, whatever form it was written in.

A node is started when every edge into it is decided, and at least one of them was taken; with none taken it is skipped,
and so are the edges out of it. An edge out of a node that decides (`if`, `switch`, a wait with a timeout, a `try`) is
taken if its `branch` is the one that was decided for; an edge without a branch is taken whenever its node ends well.

A container (`for_each`, `try`) has a body: the nodes whose `scope` is its id. They have edges among themselves only,
and the body begins with those that no edge leads to.
"""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Any, Final

import msgspec

from gesta.ledger.records import Named


class NodeType(enum.StrEnum):
    START = "start"
    HTTP = "http"
    TRANSFORM = "transform"
    IF = "if"
    SWITCH = "switch"
    FOR_EACH = "for_each"
    MERGE = "merge"
    DELAY = "delay"
    WAIT_WEBHOOK = "wait_webhook"
    WAIT_EVENT = "wait_event"
    HUMAN = "human"
    SUB_FLOW = "sub_flow"
    RESPONSE = "response"
    TERMINATE = "terminate"
    TRY = "try"
    LOG = "log"
    EXECUTOR_START = "executor.start"
    EXECUTOR_AWAIT = "executor.await"
    ORDER_SUBMIT = "order.submit"
    PYTHON = "python"


#: Decided at once, without anything outside the run: never performed, never retried.
PURE: Final = frozenset(
    {
        NodeType.START,
        NodeType.TRANSFORM,
        NodeType.IF,
        NodeType.SWITCH,
        NodeType.MERGE,
        NodeType.RESPONSE,
        NodeType.TERMINATE,
        NodeType.LOG,
    }
)
#: Wait for something from outside, or for a moment; the run may be parked meanwhile.
WAITS: Final = frozenset({NodeType.DELAY, NodeType.WAIT_WEBHOOK, NodeType.WAIT_EVENT, NodeType.HUMAN})
#: Have a body.
CONTAINERS: Final = frozenset({NodeType.FOR_EACH, NodeType.TRY})

#: The branches that a node of the type may decide for; what is missing here has none, and `switch` names its own.
BRANCHES: Final[dict[NodeType, frozenset[str]]] = {
    NodeType.IF: frozenset({"then", "else"}),
    NodeType.WAIT_WEBHOOK: frozenset({"resumed", "timed_out"}),
    NodeType.WAIT_EVENT: frozenset({"resumed", "timed_out"}),
    NodeType.HUMAN: frozenset({"resumed", "timed_out"}),
    NodeType.EXECUTOR_AWAIT: frozenset({"resumed", "timed_out"}),
    NodeType.TRY: frozenset({"done", "catch"}),
}
DEFAULT_CASE: Final = "default"

DEFAULT_TIMEOUT_S: Final = 7200.0
MOST_NODES: Final = 500
MOST_ITEMS: Final = 10_000
MOST_DEPTH: Final = 5
#: Characters of an event's name.
MOST_EVENT_NAME: Final = 200


class Retry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The n-th wait is `backoff_s * factor ** (n - 1)`, at most `most_s`, varied by ± `jitter` of itself."""

    attempts: int = 1
    backoff_s: float = 1.0
    factor: float = 2.0
    most_s: float = 60.0
    jitter: float = 0.2


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node. `config` by its type (`configs.py`), with templates in it. `scope` is the container whose body it is
    in. `skips_errors`: what has failed after its last attempt counts as done, with no output. `icon` and `position`
    are an editor's."""

    id: str
    type: NodeType
    name: str = ""
    config: dict[str, Any] = {}
    scope: str = ""
    retry: Retry = Retry()
    timeout_s: float | None = None
    skips_errors: bool = False
    position: dict[str, Any] | None = None

    @property
    def title(self) -> str:
        return self.name or self.id


class Edge(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    source: str
    target: str
    branch: str = ""


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one execution costs. `amount` in the currency's own unit: 4.50 USD is `4.50`."""

    amount: Decimal
    currency: str = "USD"


class TriggerKind(enum.StrEnum):
    MANUAL = "manual"  # an API call
    EVENT = "event"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"


class SignaturePolicy(enum.StrEnum):
    OPTIONAL = "optional"  # a signature that is there must be right; without one, the secret is enough
    REQUIRED = "required"


class Trigger(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What starts it besides an API call, which may always. `event` of `application` for an event; `cron` with its
    `timezone`, or `at` (a moment, ISO 8601), for a schedule. `dedup_key` is a template over the payload, and counts
    for `dedup_window_s`. `signature` is of its inbound webhook, which it may have whatever its kind."""

    kind: TriggerKind = TriggerKind.MANUAL
    event: str = ""
    application: Named | None = None
    cron: str = ""
    at: str = ""
    timezone: str = "UTC"
    dedup_key: str = ""
    dedup_window_s: float = 300.0
    signature: SignaturePolicy = SignaturePolicy.OPTIONAL


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`input_schema` is a JSON Schema that the payload has to meet. `source` is the form that it was written in, and
    `written` what was written, where that is not Gesta's own: a dialect shows it again as it came."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    trigger: Trigger = Trigger()
    input_schema: dict[str, Any] | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    price: Price | None = None
    properties: dict[str, Any] = {}
    source: str = "gesta"
    written: dict[str, Any] | None = None

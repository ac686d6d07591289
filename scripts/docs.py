"""Write the pages of docs/ that are made from code: `make docs`. tests/test_house.py compares them with the code.

Reference pages come from `scripts.reference`, `scripts.instruments` and `scripts.workflow_nodes`; the two life cycles
are drawn here, from their tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from gesta.ledger.lifecycle import TERMINAL, TRANSITIONS
from gesta.ledger.records import Kind, Status
from gesta.trading import order_states
from gesta.trading.orders import OrderState
from scripts import instruments, reference, workflow_nodes

DOCS = Path(__file__).resolve().parent.parent / "docs"

_LIFECYCLE_HEAD = """\
# The life cycle

<!-- Made from src/gesta/ledger/lifecycle.py by `make docs`. -->

Every execution is in one canonical state, whatever dialect it is read in; each dialect maps the states to its own words
by a table. A change that is not drawn here is refused with a conflict that names what may follow, and changes nothing.
Every change is one event in the timeline, recorded in the same transaction.
"""

_ABOUT_KIND = {
    Kind.FILL: "A fill is born succeeded. The venue may bust it, which cancels it; a correction keeps the state and "
    "raises the version.",
    Kind.EXECUTOR: "An executor never waits for payment, and is never retried: a new one is created instead.",
    Kind.RUN: "A run may wait for a payment before it is queued. A retry of one that failed, was cancelled or timed "
    "out goes on with the same execution.",
}

_TITLE = {Kind.FILL: "Fills", Kind.EXECUTOR: "Executors", Kind.RUN: "Runs"}


def lifecycle_markdown() -> str:
    """One diagram and one table per kind."""
    return _LIFECYCLE_HEAD + "".join(_kind(kind, TRANSITIONS[kind]) for kind in Kind)


def _kind(kind: Kind, table: dict[Status, frozenset[Status]]) -> str:
    rows = "".join(f"| `{state}` | {_names(following)} |\n" for state, following in table.items())
    return (
        f"\n## {_TITLE[kind]}\n\n{_ABOUT_KIND[kind]}\n\n"
        + "```mermaid\nstateDiagram-v2\n"
        + "".join(f"    {line}\n" for line in _arrows(table))
        + f"```\n\n| from | to |\n|---|---|\n{rows}"
    )


def _arrows(table: dict[Status, frozenset[Status]]) -> Iterator[str]:
    entered = {target for following in table.values() for target in following}
    for state in table:
        if state not in entered or state is Status.QUEUED:
            yield f"[*] --> {state}"
    for state, following in table.items():
        for target in _ordered(following):
            yield f"{state} --> {target}"
        if state in TERMINAL:
            yield f"{state} --> [*]"


def _names(states: frozenset[Status]) -> str:
    return ", ".join(f"`{state}`" for state in _ordered(states)) or "nothing: it is final"


def _ordered(states: frozenset[Status]) -> list[Status]:
    return [state for state in Status if state in states]


_ORDERS_HEAD = """\
# The life of an order

<!-- Made from src/gesta/trading/order_states.py by `make docs`. -->

An order is written down before the venue hears of it, and changes only by what the venue says. What can happen to it,
and what it then is, is one table. An event without a row changes nothing: a caller who asks for it gets a conflict that
says what may happen; from a venue it is kept in the order's history as an anomaly.

## States

| state | what it means |
|---|---|
"""

_ABOUT_ORDER = {
    OrderState.INITIALIZED: "On disk, not yet sent. A restart asks the venue for it, and sends it if it never arrived.",
    OrderState.SUBMITTED: "Sent; the venue has not answered.",
    OrderState.ACCEPTED: "At the venue, where a stop waits for its trigger.",
    OrderState.WORKING: "It rests in the book, or fills at once.",
    OrderState.PART_FILLED: "Working, with a part of it filled.",
    OrderState.CHANGE_PENDING: "New terms were asked for. It may trigger and fill meanwhile.",
    OrderState.CANCEL_PENDING: "A cancel was asked for. What fills before it arrives stands, it takes the rest.",
    OrderState.UNKNOWN: "The venue did not answer. What it says next, or is asked, resolves it; nothing is sent again.",
    OrderState.FILLED: "Whole.",
    OrderState.CANCELLED: "By its owner, by the other order of its pair, or because it could not fill at once. A fill "
    "from before that may still be told, late or after a restart: it happened, it counts.",
    OrderState.EXPIRED: "Its session ended. A fill from before that may still be told.",
    OrderState.REJECTED: "The venue refused it, with a reason.",
}


def order_lifecycle_markdown() -> str:
    """What the states mean, one diagram, one table of every row."""
    states = "".join(f"| `{state}` | {_ABOUT_ORDER[state]} |\n" for state in OrderState)
    drawn = "".join(f"    {line}\n" for line in _order_arrows())
    rows = "".join(
        f"| `{state}` | {_order_row(following)} |\n" for state, following in order_states.TRANSITIONS.items()
    )
    return (
        f"{_ORDERS_HEAD}{states}\n## The diagram\n\nEvents that leave the state as it is are in the table only.\n\n"
        f"```mermaid\nstateDiagram-v2\n{drawn}```\n\n## The table\n\nEach event with the state that follows. "
        "An order that goes on as `working` is `part_filled` once a part of it is; a stop that was not triggered yet "
        f"goes on as `accepted`.\n\n| in state | event → state |\n|---|---|\n{rows}"
    )


def _order_arrows() -> Iterator[str]:
    yield f"[*] --> {OrderState.INITIALIZED}"
    for state, following in order_states.TRANSITIONS.items():
        for target in OrderState:
            events = [event for event, led in following.items() if led is target]
            if events and target is not state:
                yield f"{state} --> {target}: {', '.join(events)}"
        if state in order_states.TERMINAL:
            yield f"{state} --> [*]"


def _order_row(following: dict[order_states.OrderEvent, OrderState]) -> str:
    return ", ".join(f"{event} → `{target}`" for event, target in following.items()) or "nothing: it is final"


PAGES: dict[str, Callable[[], str]] = {
    "lifecycle.md": lifecycle_markdown,
    "order-lifecycle.md": order_lifecycle_markdown,
    **instruments.PAGES,
    **reference.PAGES,
    **workflow_nodes.PAGES,
}


def stale() -> dict[Path, str]:
    """The pages that differ from what the code says, with the text that they should have."""
    made = {DOCS / name: page() for name, page in PAGES.items()}
    return {path: text for path, text in made.items() if not path.exists() or path.read_text("utf-8") != text}


if __name__ == "__main__":
    for path, text in stale().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        print(f"wrote {path.relative_to(DOCS.parent)}")

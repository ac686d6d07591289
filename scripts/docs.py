"""Write the pages of docs/ that are made from code: `make docs`. tests/test_house.py compares them with the code.

The reference pages come from `scripts.reference`; the life cycle is drawn here, from its table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from gesta.ledger.lifecycle import TERMINAL, TRANSITIONS
from gesta.ledger.records import Kind, Status
from scripts import reference

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


PAGES: dict[str, Callable[[], str]] = {"lifecycle.md": lifecycle_markdown, **reference.PAGES}


def stale() -> dict[Path, str]:
    """The pages that differ from what the code says, with the text that they should have."""
    made = {DOCS / name: page() for name, page in PAGES.items()}
    return {path: text for path, text in made.items() if not path.exists() or path.read_text("utf-8") != text}


if __name__ == "__main__":
    for path, text in stale().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        print(f"wrote {path.relative_to(DOCS.parent)}")

"""What is different between two versions of a definition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gesta.workflows.graph.definition import Definition, Edge, Node

_FIELDS: Final = ("trigger", "input_schema", "timeout_s", "price", "properties")
#: Where a node stands in an editor says nothing about what it does.
_NODE_FIELDS: Final = ("type", "name", "scope", "retry", "timeout_s", "skips_errors")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One field before and after. None: it was not there."""

    field: str
    before: Any = None
    after: Any = None


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """`changed` has the nodes that are in both, by id, with the fields that differ: those of a configuration as
    `config.url`. `fields` are the definition's own."""

    added: tuple[Node, ...] = ()
    removed: tuple[Node, ...] = ()
    changed: dict[str, tuple[Change, ...]] = {}
    edges_added: tuple[Edge, ...] = ()
    edges_removed: tuple[Edge, ...] = ()
    fields: tuple[Change, ...] = ()

    @property
    def is_empty(self) -> bool:
        return self == Diff()

    def lines(self) -> Iterator[str]:
        """One line for each difference: `+` what is new, `-` what is gone, `~` what is different."""
        for change in self.fields:
            yield f"~ {change.field}: {_shown(change.before)} → {_shown(change.after)}"
        for node in self.removed:
            yield f"- node {node.id} ({node.type})"
        for node in self.added:
            yield f"+ node {node.id} ({node.type})"
        for id, changes in self.changed.items():
            for change in changes:
                yield f"~ node {id}: {change.field}: {_shown(change.before)} → {_shown(change.after)}"
        for edge in self.edges_removed:
            yield f"- edge {_edge(edge)}"
        for edge in self.edges_added:
            yield f"+ edge {_edge(edge)}"


def diff(old: Definition, new: Definition) -> Diff:
    """What has to change in `old` to have `new`. The form that either was written in, and where its nodes stand in an
    editor, make no difference."""
    before, after = ({node.id: node for node in each.nodes} for each in (old, new))
    changed = {id: changes for id, node in before.items() if id in after and (changes := _changes(node, after[id]))}
    return Diff(
        added=tuple(node for id, node in after.items() if id not in before),
        removed=tuple(node for id, node in before.items() if id not in after),
        changed=changed,
        edges_added=tuple(edge for edge in dict.fromkeys(new.edges) if edge not in set(old.edges)),
        edges_removed=tuple(edge for edge in dict.fromkeys(old.edges) if edge not in set(new.edges)),
        fields=tuple(_differing(old, new, _FIELDS)),
    )


def _changes(before: Node, after: Node) -> tuple[Change, ...]:
    found = list(_differing(before, after, _NODE_FIELDS))
    for name in dict.fromkeys([*before.config, *after.config]):
        one, other = before.config.get(name), after.config.get(name)
        if not _same(one, other):
            found.append(Change(field=f"config.{name}", before=one, after=other))
    return tuple(found)


def _differing(before: msgspec.Struct, after: msgspec.Struct, names: tuple[str, ...]) -> Iterator[Change]:
    for name in names:
        one, other = (msgspec.to_builtins(getattr(each, name)) for each in (before, after))
        if not _same(one, other):
            yield Change(field=name, before=one, after=other)


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1, and 1.0 is not 1."""
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 120 else f"{text[:119]}…"


def _edge(edge: Edge) -> str:
    return f"{edge.source} → {edge.target}" + (f" ({edge.branch})" if edge.branch else "")

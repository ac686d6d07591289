"""A definition, looked at as a graph: who follows whom, in which order. Made once for each definition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from gesta.kernel.errors import InvalidInput
from gesta.workflows.graph.definition import Definition, Edge, Node


class Plan:
    """`order` has each scope's nodes so that every node comes after those that lead to it. `may_take_long`: a step of
    a run may ask JSONata, which is given a second. `may_take_very_long`: for each item of a list."""

    __slots__ = ("definition", "incoming", "may_take_long", "may_take_very_long", "nodes", "order", "outgoing")

    def __init__(self, definition: Definition) -> None:
        """Raises InvalidInput, naming the nodes, for a graph that goes in a circle."""
        self.definition = definition
        self.nodes: dict[str, Node] = {node.id: node for node in definition.nodes}
        self.incoming: defaultdict[str, list[Edge]] = defaultdict(list)
        self.outgoing: defaultdict[str, list[Edge]] = defaultdict(list)
        for edge in definition.edges:
            self.incoming[edge.target].append(edge)
            self.outgoing[edge.source].append(edge)
        asking = [node for node in definition.nodes if _asks_query(node.config)]
        self.may_take_long = bool(asking)
        self.may_take_very_long = any(node.scope for node in asking)
        scopes: defaultdict[str, list[Node]] = defaultdict(list)
        for node in definition.nodes:
            scopes[node.scope].append(node)
        self.order: dict[str, tuple[Node, ...]] = {scope: self._sorted(nodes) for scope, nodes in scopes.items()}

    def _sorted(self, nodes: Iterable[Node]) -> tuple[Node, ...]:
        missing = {node.id: len(self.incoming[node.id]) for node in nodes}
        free = [id for id, count in missing.items() if not count]
        done: list[Node] = []
        while free:
            id = free.pop(0)
            done.append(self.nodes[id])
            for edge in self.outgoing[id]:
                missing[edge.target] -= 1
                if not missing[edge.target]:
                    free.append(edge.target)
        circle = sorted(set(missing) - {node.id for node in done})
        if circle:
            names = ", ".join(f"`{id}`" for id in circle)
            raise InvalidInput(f"The nodes {names} lead to one another in a circle, or follow one.", field="edges")
        return tuple(done)

    def body(self, container: str) -> tuple[Node, ...]:
        return self.order.get(container, ())

    def ancestors(self, id: str) -> frozenset[str]:
        """Every node that is over when this one begins, those around its container among them."""
        found: set[str] = set()
        frontier = [id]
        while frontier:
            at = frontier.pop()
            before = [edge.source for edge in self.incoming[at]]
            scope = self.nodes[at].scope
            # A node of a body sees what its container sees.
            around = [scope] if scope else []
            for other in before:
                if other not in found:
                    found.add(other)
                    frontier.append(other)
            frontier += [other for other in around if other in self.nodes]
        return frozenset(found)

    def has_place(self, path: str) -> bool:
        """Whether a run can come to this path: a node, after the containers that it is in (`loop[2]/node`)."""
        *around, id = path.split("/")
        if id not in self.nodes:
            return False
        scope = self.nodes[id].scope
        for part in reversed(around):
            if not scope or part.partition("[")[0] != scope:
                return False
            scope = self.nodes[scope].scope
        return not scope

    def depth(self, id: str) -> int:
        """How many containers it is in."""
        depth, scope = 0, self.nodes[id].scope
        while scope and scope in self.nodes and depth <= len(self.nodes):
            depth, scope = depth + 1, self.nodes[scope].scope
        return depth


def _asks_query(config: Any) -> bool:
    if isinstance(config, dict):
        return "jsonata" in config or any(_asks_query(value) for value in config.values())
    return isinstance(config, list) and any(_asks_query(value) for value in config)

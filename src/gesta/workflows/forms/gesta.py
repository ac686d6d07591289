"""Gesta's own form, to be written by hand (docs/how-to/workflows.md).

    name: Greet
    nodes:
      - {id: start, type: start}
      - {id: fetch, type: http, url: "https://example.com/{{input.name}}", retry: 3}
      - {id: ok, type: if, condition: {$and: [{"{{fetch.status_code}}": {$eq: 200}}]}, then: answer, else: give_up}
      - {id: answer, type: response, body: "{{fetch.body}}"}
      - {id: give_up, type: terminate, outcome: failed}

`nodes` is a list, or an object by id. What configures a node stands beside its `type`, or in `config`. `next` names who
follows, each branch is a key (`then`, `timed_out`, `catch`), the cases of a switch have their `next`. In a list, a node
that nobody names follows the one before it, if that names nobody either. A container has its nodes in `body`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gesta.workflows.forms.building import OWN_FIELDS, Building, own_values
from gesta.workflows.graph.configs import SPECS
from gesta.workflows.graph.definition import (
    BRANCHES,
    CONTAINERS,
    DEFAULT_CASE,
    MOST_DEPTH,
    MOST_NODES,
    Definition,
    Edge,
    Node,
    NodeType,
    Retry,
)
from gesta.workflows.graph.problems import nearest, shown

NAME: Final = "gesta"
HEADER: Final = frozenset({"name", "description", "alias", "slug", "visibility"})
TOP: Final = OWN_FIELDS | HEADER | {"nodes", "edges", "input_schema", "form"}
_WORDS: Final = frozenset({"id", "type", "name", "retry", "skips_errors", "position", "next"})
_TYPES: Final = frozenset(type.value for type in NodeType)


def looks_so(document: dict[str, Any]) -> bool:
    """Whether it has a word that only this form has."""
    return document.get("form") == NAME or isinstance(document.get("nodes"), dict | list)


def read(document: dict[str, Any]) -> Definition:
    """Raises InvalidInput with every problem of the form. The graph itself is not checked here."""
    reading = _Reading()
    for name in document:
        if name not in TOP:
            reading.tell(f"A workflow has no field {shown(name)}.{nearest(name, TOP)}", field=name[:60])
    fields = reading.own_fields(document)
    if document.get("input_schema") is not None:
        fields["input_schema"] = reading.object(document["input_schema"], field="input_schema")
    edges = document.get("edges")
    reading.scope(document.get("nodes"), "", chained=edges is None)
    for place, edge in enumerate(edges if isinstance(edges, list) else []):
        reading.edge(edge, f"edges[{place}]")
    if edges is not None and not isinstance(edges, list):
        reading.tell(f"`edges` must be a list, and is {shown(edges)}.", field="edges")
    return reading.definition(NAME, fields)


class _Reading(Building):
    def scope(self, nodes: Any, scope: str, *, chained: bool, depth: int = 0) -> None:
        """A body: the definition's own nodes, or a container's."""
        field = "body" if scope else "nodes"
        if depth > MOST_DEPTH + 1 or len(self.nodes) > MOST_NODES:
            return
        written: list[tuple[str, dict[str, Any]]] = []
        if isinstance(nodes, dict):
            written = [(id, self.object(raw, node=id, field=field)) for id, raw in nodes.items()]
        elif isinstance(nodes, list):
            for place, raw in enumerate(nodes):
                given = self.object(raw, node=scope, field=f"{field}[{place}]")
                id = self.text(given.get("id"), node=scope, field=f"{field}[{place}].id")
                if id:
                    written.append((id, given))
                elif isinstance(raw, dict):
                    self.tell("A node of a list needs an `id`.", node=scope, field=f"{field}[{place}].id")
        else:
            self.tell(f"`{field}` must be a list of nodes, or an object by their ids.", node=scope, field=field)
        first_edge = len(self.edges)
        ends = [self.node(id, raw, scope, chained, depth) for id, raw in written]
        if chained and isinstance(nodes, list):
            named = {edge.target for edge in self.edges[first_edge:]}
            for (before, _), (id, _), goes_on in zip(written, written[1:], ends, strict=False):
                if goes_on and id not in named:
                    self.link(before, id)

    def node(self, id: str, raw: dict[str, Any], scope: str, chained: bool, depth: int) -> bool:
        """Whether the next of a list may follow it unsaid."""
        word = self.text(raw.get("type", id if id in _TYPES else None), node=id, field="type")
        if word not in _TYPES:
            known = ", ".join(sorted(_TYPES))
            what = f"`{word[:60]}` is no type of node" if word else "A node needs a `type`"
            self.tell(f"{what}; there are {known}.{nearest(word, _TYPES)}", node=id, field="type")
            return False
        if raw.get("id") is not None and str(raw["id"]) != id:
            self.tell(f"`id` says {shown(raw['id'])}, and the node's key is `{id}`.", node=id, field="id")
        type = NodeType(word)
        words = _WORDS | BRANCHES.get(type, frozenset()) | _structure(type)
        config, timeout_s = self.config(id, type, raw, words)
        cases = config.get("cases")
        follows = [(branch, raw[branch]) for branch in ("next", *sorted(words - _WORDS - {"body"})) if branch in raw]
        if type is NodeType.SWITCH and isinstance(cases, list):
            config["cases"] = [
                {name: value for name, value in case.items() if name != "next"} if isinstance(case, dict) else case
                for case in cases
            ]
            follows += [(str(case.get("branch")), case["next"]) for case in cases if _has_next(case)]
        self.add(
            id,
            type,
            config,
            name=self.text(raw.get("name"), node=id, field="name"),
            scope=scope,
            retry=self.retry(raw.get("retry"), node=id),
            timeout_s=self.number(timeout_s, node=id, field="timeout_s"),
            skips_errors=self.flag(raw.get("skips_errors"), node=id, field="skips_errors"),
            position=None if raw.get("position") is None else self.object(raw["position"], node=id, field="position"),
        )
        for branch, targets in follows:
            for target in self.names(targets, node=id, field=branch):
                self.link(id, target, "" if branch == "next" else branch)
        if type in CONTAINERS:
            self.scope(raw.get("body"), id, chained=chained, depth=depth + 1)
        return not follows and type is not NodeType.TERMINATE

    def config(self, id: str, type: NodeType, raw: dict[str, Any], words: frozenset[str]) -> tuple[dict[str, Any], Any]:
        """The configuration, and the node's own `timeout_s`."""
        spec = SPECS[type]
        if "config" in raw and spec.field("config") is None:
            for name in raw:
                if name not in words and name not in ("config", "timeout_s"):
                    known = words | {"config", "timeout_s"}
                    message = f"A node has no field {shown(name)} beside `config`.{nearest(name, known)}"
                    self.tell(message, node=id, field=name[:60])
            return dict(self.object(raw["config"], node=id, field="config")), raw.get("timeout_s")
        config = {name: value for name, value in raw.items() if name not in words}
        timeout_s = None if spec.field("timeout_s") else config.pop("timeout_s", None)
        return config, timeout_s

    def edge(self, edge: Any, field: str) -> None:
        given = self.object(edge, field=field)
        source, target = given.get("source", given.get("from")), given.get("target", given.get("to"))
        is_known = set(given) <= {"source", "target", "from", "to", "branch"}
        if not (isinstance(source, str) and isinstance(target, str) and source and target and is_known):
            self.tell(f"`{field}` must have a `source` and a `target`, and may have a `branch`.", field=field)
            return
        self.link(source, target, self.text(given.get("branch"), field=f"{field}.branch"))


def _structure(type: NodeType) -> frozenset[str]:
    if type in CONTAINERS:
        return frozenset({"body"})
    return frozenset({DEFAULT_CASE}) if type is NodeType.SWITCH else frozenset()


def _has_next(case: Any) -> bool:
    return isinstance(case, dict) and "next" in case and isinstance(case.get("branch"), str)


# -- writing


def write(definition: Definition, *, name: str = "") -> dict[str, Any]:
    """A checked definition in this form: `read` gives the same graph of it."""
    writing = _Writing(definition)
    document: dict[str, Any] = {"name": name} if name else {}
    document |= own_values(definition)
    if definition.input_schema is not None:
        document["input_schema"] = definition.input_schema
    document["nodes"] = writing.scope("")
    if rest := list(writing.rest()):
        document["edges"] = rest
    return document


class _Writing:
    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.left: dict[tuple[str, str], list[Edge]] = {}
        for edge in definition.edges:
            self.left.setdefault((edge.source, edge.branch), []).append(edge)

    def scope(self, scope: str) -> dict[str, Any]:
        return {node.id: self.node(node) for node in self.definition.nodes if node.scope == scope}

    def node(self, node: Node) -> dict[str, Any]:
        written: dict[str, Any] = {"type": node.type.value}
        if node.name:
            written["name"] = node.name
        config = dict(node.config)
        if node.type is NodeType.SWITCH and isinstance(config.get("cases"), list):
            config["cases"] = [self.case(node, case) for case in config["cases"]]
        spec, words = SPECS[node.type], _WORDS | BRANCHES.get(node.type, frozenset()) | _structure(node.type)
        is_nested = spec.field("config") is None and (
            (node.timeout_s is not None and spec.field("timeout_s") is not None) or bool({*config} & {*words, "config"})
        )
        written |= {"config": config} if is_nested else config
        if node.retry != Retry():
            written["retry"] = msgspec.to_builtins(node.retry)
        if node.timeout_s is not None:
            written["timeout_s"] = node.timeout_s
        if node.skips_errors:
            written["skips_errors"] = True
        if node.position is not None:
            written["position"] = node.position
        if node.type in CONTAINERS:
            written["body"] = self.scope(node.id)
        for word, branch in (("next", ""), *((word, word) for word in sorted(words - _WORDS - {"body"}))):
            if targets := self.targets(node.id, branch):
                written[word] = targets[0] if len(targets) == 1 else targets
        return written

    def case(self, node: Node, case: Any) -> Any:
        if not isinstance(case, dict) or not isinstance(case.get("branch"), str):
            return case
        targets = self.targets(node.id, case["branch"])
        return case | ({"next": targets[0] if len(targets) == 1 else targets} if targets else {})

    def targets(self, source: str, branch: str) -> list[str]:
        return [edge.target for edge in self.left.pop((source, branch), ())]

    def rest(self) -> Iterator[dict[str, Any]]:
        """Edges that no node can say: an unchecked definition may have them."""
        yield from (msgspec.to_builtins(edge) for edges in self.left.values() for edge in edges)

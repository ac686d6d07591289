"""Refold's form of a definition (protocols/refold.md §6, "Workflow model").

`{nodes: [{id, type | node_type, name, data, position}], edges: [{source, target, sourceHandle?}], json_schema,
settings}`.
What the `data` of a node may hold is not published; the names that are read here are those of its editor's fields, and
Gesta's own, which count first. A node of a group names it in `parentId` (or `parentNode`), or stands in the group's
`data.nodes` with `data.edges`. Every type of Gesta's own may be used, too; so may `trigger`, `price`, `timeout_s` and
`properties` beside the nodes.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gesta.workflows.forms.building import Building, application_of, first_of, own_values
from gesta.workflows.forms.refold_nodes import BRANCH_WORDS, TYPES, data_of, read_data
from gesta.workflows.graph.checking import MOST_EDGES, branches
from gesta.workflows.graph.definition import (
    CONTAINERS,
    DEFAULT_TIMEOUT_S,
    MOST_DEPTH,
    MOST_NODES,
    Definition,
    NodeType,
    Retry,
)
from gesta.workflows.graph.problems import nearest, shown

NAME: Final = "refold"
_PARENT: Final = ("parentId", "parentNode", "parent_id", "parent_node")
_TYPE: Final = ("node_type", "type")


def looks_so(document: dict[str, Any]) -> bool:
    if document.get("form") == NAME or {"json_schema", "settings", "workflow_alias"} & set(document):
        return True
    nodes = document.get("nodes")
    if not isinstance(nodes, list):
        return False
    words = {"data", "node_type", "incoming_nodes", "outgoing_nodes"}
    return any(isinstance(node, dict) and words & set(node) for node in nodes)


def read(document: dict[str, Any]) -> Definition:
    """Raises InvalidInput with every problem of the form. The graph itself is not checked here. Fields that Gesta has
    no use for are kept in `written`, as an editor sends many."""
    reading = _Reading()
    reading.nodes_of(document.get("nodes"), document.get("edges"), "", 0)
    settings = reading.object(document.get("settings"), field="settings")
    fields: dict[str, Any] = {"trigger": reading.start_trigger(document, settings)}
    timeout_s = reading.number(settings.get("timeout"), field="settings.timeout")
    if timeout_s is not None:
        fields["timeout_s"] = timeout_s
    fields |= reading.own_fields(document)
    schema = first_of(document, ("json_schema", "input_schema"))
    if schema is not None:
        fields["input_schema"] = reading.object(schema, field="json_schema") or None
    return reading.definition(NAME, fields | {"written": document})


class _Reading(Building):
    def __init__(self) -> None:
        super().__init__()
        self.start_data: dict[str, Any] = {}

    def nodes_of(self, nodes: Any, edges: Any, scope: str, depth: int) -> None:
        field = "data.nodes" if scope else "nodes"
        if not isinstance(nodes, list):
            self.tell(f"`{field}` must be a list of nodes, and is {shown(nodes)}.", node=scope, field=field)
            return
        if depth > MOST_DEPTH + 1:
            return
        links = len(edges) if isinstance(edges, list) else 0
        if len(nodes) + len(self.nodes) > MOST_NODES or links > MOST_EDGES:
            message = f"A workflow has at most {MOST_NODES} nodes and {MOST_EDGES} edges, not {len(nodes)} and {links}."
            self.tell(message, node=scope, field=field)
            return
        for place, raw in enumerate(nodes):
            given = self.object(raw, node=scope, field=f"{field}[{place}]")
            id = self.text(given.get("id"), node=scope, field=f"{field}[{place}].id")
            if id:
                self.node(id, given, scope, depth)
            elif isinstance(raw, dict):
                self.tell("A node needs an `id`.", node=scope, field=f"{field}[{place}].id")
        if edges is not None and not isinstance(edges, list):
            self.tell(f"`edges` must be a list, and is {shown(edges)}.", node=scope, field="edges")
        for place, edge in enumerate(edges if isinstance(edges, list) else []):
            self.edge(edge, f"edges[{place}]")

    def node(self, id: str, raw: dict[str, Any], scope: str, depth: int) -> None:
        data = self.object(raw.get("data"), node=id, field="data")
        # React Flow draws by `type`; what the node is, may stand in `node_type` or in the data.
        words = [word for word in (*(raw.get(name) for name in _TYPE), data.get("node_type")) if isinstance(word, str)]
        word = next((each for each in words if _folded(each) in TYPES), words[0] if words else "")
        type = TYPES.get(_folded(word))
        if type is None:
            known = sorted(TYPES)
            what = f"the type {shown(word)}" if word else "a node without a type"
            message = f"Gesta has nothing for {what}. There are {', '.join(known)}.{nearest(_folded(word), known)}"
            self.tell(message, node=id, field="type")
            return
        config = read_data(self, id, type, data) if type is not NodeType.START else {}
        if type is NodeType.START:
            self.start_data = self.start_data or data
        name = first_of(raw, ("name", "node_name")) or first_of(data, ("name", "label"))
        self.add(
            id,
            type,
            config,
            name="" if name == id else self.text(name, node=id, field="name"),
            scope=scope or self.text(first_of(raw, _PARENT), node=id, field="parentId"),
            retry=self.retry_of(id, raw, data),
            timeout_s=self.number(raw.get("timeout_s"), node=id, field="timeout_s"),
            skips_errors=self.flag(
                first_of({**data, **raw}, ("skips_errors", "skip_on_error")), node=id, field="skip_on_error"
            ),
            position=raw.get("position") if isinstance(raw.get("position"), dict) else None,
        )
        if type in CONTAINERS and data.get("nodes") is not None:
            self.nodes_of(data["nodes"], data.get("edges"), id, depth + 1)

    def retry_of(self, id: str, raw: dict[str, Any], data: dict[str, Any]) -> Retry:
        """Gesta's own `retry`, or Refold's number of attempts."""
        attempts = first_of({**data, **raw}, ("maximum_attempts", "max_attempts"))
        return self.retry(first_of({**data, **raw}, ("retry",)) or attempts, node=id)

    def edge(self, edge: Any, field: str) -> None:
        given = self.object(edge, field=field)
        source, target = (self.text(given.get(name), field=f"{field}.{name}") for name in ("source", "target"))
        if not source or not target:
            self.tell(f"`{field}` must have a `source` and a `target`.", field=field)
            return
        handle = first_of(given, ("branch", "sourceHandle", "source_handle", "label"))
        self.link(source, target, self.branch_of(source, self.text(handle, field=f"{field}.sourceHandle")))

    def branch_of(self, source: str, handle: str) -> str:
        """The branch that a handle means; a handle of a node that decides nothing means nothing."""
        node = next((node for node in self.nodes if node.id == source), None)
        known = branches(node) if node is not None else frozenset()
        if not handle or not known:
            return ""
        if handle in known:
            return handle
        meant = BRANCH_WORDS.get(_folded(handle), "")
        return meant if meant in known else handle

    def start_trigger(self, document: dict[str, Any], settings: dict[str, Any]) -> Any:
        """Of the start node: `{trigger_type, event, application, cron, timezone, signature}`."""
        data = self.start_data
        word = _folded(str(first_of(data, ("trigger_type", "triggerType")) or ""))
        given: dict[str, Any] = {}
        event = first_of(data, ("event", "event_name"))
        cron = first_of(data, ("cron", "cron_pattern", "cron_patten", "schedule"))
        if word in ("webhook", "webhooks"):
            given["kind"] = "webhook"
            if data.get("signature") is not None:
                given["signature"] = data["signature"]
        elif event is not None:
            application = application_of(first_of(data, ("application", "app"))) or application_of(
                document.get("associated_application")
            )
            given |= {"event": event}
            if application is not None:
                given["application"] = msgspec.to_builtins(application)
        elif isinstance(cron, str):
            given |= {"cron": cron, "timezone": data.get("timezone") or "UTC"}
        key = settings.get("dedup_key")
        if key:
            given["dedup_key"] = key
        return self.trigger(given)


def _folded(word: str) -> str:
    return word.strip().lower().replace(" ", "-").replace("_", "-")[:60]


# -- writing


def write(definition: Definition) -> dict[str, Any]:
    """The definition as Refold has it: as it was written, if it was written so. Types that Refold has not keep their
    names."""
    if definition.source == NAME and definition.written is not None:
        return definition.written
    words = {type: word for word, type in reversed(TYPES.items())}
    nodes = []
    for place, node in enumerate(definition.nodes):
        written: dict[str, Any] = {
            "id": node.id,
            "type": words[node.type],
            "node_type": words[node.type],
            "name": node.title,
            "data": data_of(node),
            "position": node.position or {"x": 0, "y": 120 * place},
            "incoming_nodes": [edge.source for edge in definition.edges if edge.target == node.id],
            "outgoing_nodes": [edge.target for edge in definition.edges if edge.source == node.id],
        }
        if node.scope:
            written["parentId"] = node.scope
        if node.retry != Retry():
            written["retry"] = msgspec.to_builtins(node.retry)
        if node.timeout_s is not None:
            written["timeout_s"] = node.timeout_s
        if node.skips_errors:
            written["skip_on_error"] = True
        nodes.append(written)
    edges = []
    for place, edge in enumerate(definition.edges):
        handle = {"sourceHandle": edge.branch} if edge.branch else {}
        edges.append({"id": f"e{place + 1}", "source": edge.source, "target": edge.target} | handle)
    document: dict[str, Any] = {"nodes": nodes, "edges": edges}
    settings: dict[str, Any] = {"timeout": definition.timeout_s}
    if definition.trigger.dedup_key:
        settings["dedup_key"] = definition.trigger.dedup_key
    document["settings"] = settings
    if definition.input_schema is not None:
        document["json_schema"] = definition.input_schema
    own = own_values(definition)
    if definition.timeout_s != DEFAULT_TIMEOUT_S:
        own.pop("timeout_s")
    return document | own

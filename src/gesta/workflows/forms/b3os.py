"""B3OS's form of a definition (protocols/b3os.md §7, and the public guide that it cites).

`{nodes: {id: {type, payload, children, branch, loopBody, connector}}, inputSchema, triggerNodeIds, variableDefs}`. The
trigger is `root`, or the one node that `triggerNodeIds` names. A branch stands on the child; where its parents decide
for different ones, an addition of Gesta's has them by parent, as `branches`. Every type of Gesta's own may be used,
too, its payload being its configuration; so may `trigger`, `price`, `timeout_s` and `properties` beside the nodes.

What needs another's connector is refused, except plain HTTP. `filter`, `pluck` and `regex` become a transform that is
preceded by what it works on, a node of the name `<id>.input`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gesta.workflows.forms import recurrence
from gesta.workflows.forms.b3os_nodes import BUILT_IN, CONNECTED, filtering, http, payload_of
from gesta.workflows.forms.building import OWN_FIELDS, Building, own_values, trigger_value
from gesta.workflows.graph.checking import MOST_EDGES, branches
from gesta.workflows.graph.definition import CONTAINERS, MOST_NODES, Definition, Node, NodeType, Retry
from gesta.workflows.graph.problems import nearest, shown

NAME: Final = "b3os"
ROOT: Final = "root"
_TOP: Final = OWN_FIELDS | {
    "nodes", "inputSchema", "triggerNodeIds", "variableDefs", "blockExpansions", "name", "description", "slug",
    "visibility", "form", "alias", "id",
}  # fmt: skip
_NODE: Final = frozenset({
    "type", "payload", "children", "branch", "loopBody", "connector", "description", "titleOverride", "position",
    "retry", "timeout_s", "skips_errors", "id", "branches",
})  # fmt: skip
_TYPES: Final = {type.value: type for type in NodeType}


def looks_so(document: dict[str, Any]) -> bool:
    nodes = document.get("nodes")
    if document.get("form") == NAME or {"triggerNodeIds", "inputSchema", "variableDefs"} & set(document):
        return True
    if not isinstance(nodes, dict):
        return False
    root = nodes.get(ROOT)
    if isinstance(root, dict) and root.get("type") in ("manual", "cronjob"):
        return True
    return any(isinstance(raw, dict) and {"payload", "children", "loopBody"} & set(raw) for raw in nodes.values())


def read(document: dict[str, Any]) -> Definition:
    """Raises InvalidInput with every problem of the form. The graph itself is not checked here."""
    reading = _Reading()
    for name in document:
        if name not in _TOP:
            reading.tell(f"A workflow has no field {shown(name)}.{nearest(name, _TOP)}", field=name[:60])
    reading.nodes_of(document)
    fields = {"trigger": reading.trigger_read} | reading.own_fields(document)
    if document.get("inputSchema") is not None:
        fields["input_schema"] = reading.schema(document["inputSchema"])
    defaults = reading.variables(document.get("variableDefs"))
    if defaults:
        fields["properties"] = defaults | fields.get("properties", {})
    return reading.definition(NAME, fields | {"written": document})


class _Reading(Building):
    def __init__(self) -> None:
        super().__init__()
        self.trigger_read = super().trigger({})

    def nodes_of(self, document: dict[str, Any]) -> None:
        given = document.get("nodes")
        if not isinstance(given, dict):
            self.tell(f"`nodes` must be an object of nodes by their ids, and is {shown(given)}.", field="nodes")
            return
        raws = {id: self.object(raw, node=id, field="nodes") for id, raw in given.items()}
        links = sum(len(each) for raw in raws.values() if isinstance(each := raw.get("children"), list))
        if len(raws) > MOST_NODES or links > MOST_EDGES:
            message = f"A workflow has at most {MOST_NODES} nodes and {MOST_EDGES} edges, not {len(raws)} and {links}."
            self.tell(message, field="nodes")
            return
        triggers = self.names(document.get("triggerNodeIds"), node="", field="triggerNodeIds") or [ROOT]
        if len(triggers) != 1:
            self.tell("Gesta starts a workflow at one node: name one.", field="triggerNodeIds")
        elif triggers[0] not in raws:
            self.tell(f"There is no node `{triggers[0][:100]}`, where it would start.", field=f"nodes.{ROOT}")
        scopes = self.scopes(raws)
        # What precedes a filter takes the edges that lead to it.
        heads: dict[str, str] = {}
        for id, raw in raws.items():
            self.node(id, raw, scopes.get(id, ""), is_trigger=id == triggers[0], heads=heads)
        types = {node.id: node for node in self.nodes}
        for id, raw in raws.items():
            for child in self.names(raw.get("children"), node=id, field="children"):
                self.child(types.get(id), id, child, raws.get(child, {}), heads)

    def child(self, parent: Node | None, id: str, child: str, raw: dict[str, Any], heads: dict[str, str]) -> None:
        branch = self.text(raw.get("branch"), node=child, field="branch")
        each = self.object(raw.get("branches"), node=child, field="branches")
        if id in each:
            branch = self.text(each[id], node=child, field=f"branches.{id}")
        if parent is not None and branch and branch not in branches(parent):
            # It is another parent's: a node that merges branches has one word for all who lead to it.
            branch = branch if branches(parent) else ""
        self.link(id, heads.get(child, child), branch)

    def scopes(self, raws: dict[str, dict[str, Any]]) -> dict[str, str]:
        """The loop that each node of a body is in: those that it names, and whoever follows them."""
        scopes: dict[str, str] = {}
        for id, raw in raws.items():
            after = set(self.names(raw.get("children"), node=id, field="children"))
            frontier = self.names(raw.get("loopBody"), node=id, field="loopBody")
            for named in frontier:
                if named not in raws:
                    self.tell(f"`loopBody` names {shown(named)}, and there is no such node.", node=id, field="loopBody")
            seen: set[str] = set()
            while frontier:
                at = frontier.pop()
                if at in seen or at in after or at == id or at not in raws:
                    continue
                seen.add(at)
                scopes[at] = id
                frontier += self.names(raws[at].get("children"), node=at, field="children")
        return scopes

    def node(self, id: str, raw: dict[str, Any], scope: str, *, is_trigger: bool, heads: dict[str, str]) -> None:
        for name in raw:
            if name not in _NODE:
                self.tell(f"A node has no field {shown(name)}.{nearest(name, _NODE)}", node=id, field=name[:60])
        word = self.text(raw.get("type"), node=id, field="type")
        payload = self.object(raw.get("payload"), node=id, field="payload")
        more: dict[str, Any] = {
            "name": self.text(raw.get("titleOverride") or raw.get("description"), node=id, field="titleOverride"),
            "scope": scope,
            "retry": self.retry(raw.get("retry"), node=id),
            "timeout_s": self.number(raw.get("timeout_s"), node=id, field="timeout_s"),
            "skips_errors": self.flag(raw.get("skips_errors"), node=id, field="skips_errors"),
        }
        if is_trigger:
            self.trigger_of(id, word, payload)
            self.add(id, NodeType.START, {}, **more)
            return
        type, config = self.typed(id, word, payload, raw)
        if type is None:
            return
        if word in ("filter", "pluck", "regex"):
            heads[id] = filtering(self, id, word, payload, more)
        self.add(id, type, config, **more)
        if raw.get("loopBody") is not None and type not in CONTAINERS:
            self.tell(f"`{word}` has no `loopBody`; `for-each` has one.", node=id, field="loopBody")

    def typed(
        self, id: str, word: str, payload: dict[str, Any], raw: dict[str, Any]
    ) -> tuple[NodeType | None, dict[str, Any]]:
        """What Gesta calls it, and its configuration."""
        connector = raw.get("connector")
        connected = connector.get("type") if isinstance(connector, dict) else connector
        if word in BUILT_IN:
            return BUILT_IN[word](self, id, payload)
        if word in CONNECTED or (isinstance(connected, str) and connected in CONNECTED):
            return http(self, id, payload)
        if word in _TYPES and connected is None:
            return _TYPES[word], payload
        known = sorted({*BUILT_IN, *_TYPES, *CONNECTED})
        what = f"the connector {shown(connected)}" if connected is not None else f"the type {shown(word)}"
        if not word:
            what = "a node without a type"
        message = (
            f"Gesta has nothing for {what}. There are {', '.join(known)}; a service is called with `http`."
            f"{nearest(word, known)}"
        )
        self.tell(message, node=id, field="type" if connected is None else "connector")
        return None, {}

    # -- what starts it

    def trigger_of(self, id: str, word: str, payload: dict[str, Any]) -> None:
        match word:
            case "manual" | "start" | "":
                return
            case "webhook":
                words = ("dedup_key", "dedup_window_s", "signature")
                given: dict[str, Any] = {"kind": "webhook"} | {word: payload[word] for word in words if word in payload}
            case "cronjob" | "schedule":
                if "rrule" in payload:
                    try:
                        given = recurrence.trigger_of(payload["rrule"])
                    except ValueError as error:
                        self.tell(str(error), node=id, field="payload.rrule")
                        return
                else:
                    given = {name: payload[name] for name in ("cron", "at", "timezone") if name in payload}
                    if not {"cron", "at"} & set(given):
                        message = f"`{word}` needs `payload.rrule`: two lines, its DTSTART and its RRULE."
                        self.tell(message, node=id, field="payload.rrule")
                        return
            case "event":
                given = {"kind": "event", **payload}
            case _:
                message = (
                    f"Gesta has no trigger {shown(word)}. There are `manual` (also by webhook), `webhook`, `cronjob`, "
                    "and `event` with the payload `{event, application}`."
                )
                self.tell(message, node=id, field="type")
                return
        self.trigger_read = self.trigger(given)

    # -- what it is started with

    def schema(self, value: Any) -> dict[str, Any]:
        """A JSON Schema of `[{key, type, required, description}]`; an object is one already."""
        if isinstance(value, dict):
            return value
        properties: dict[str, Any] = {}
        required: list[str] = []
        for place, raw in enumerate(value if isinstance(value, list) else [value]):
            given = self.object(raw, field=f"inputSchema[{place}]")
            key = self.text(given.get("key"), field=f"inputSchema[{place}].key")
            if not key:
                self.tell(f"`inputSchema[{place}]` needs a `key`.", field=f"inputSchema[{place}].key")
                continue
            kind = given.get("type")
            properties[key] = {"type": kind} if kind in ("string", "number", "integer", "boolean", "array") else {}
            if kind == "object":
                properties[key] = {"type": "object"}
            for word in ("description", "default", "enum"):
                if given.get(word) is not None:
                    properties[key][word] = given[word]
            if self.flag(given.get("required"), field=f"inputSchema[{place}].required"):
                required.append(key)
        return {"type": "object", "properties": properties} | ({"required": required} if required else {})

    def variables(self, value: Any) -> dict[str, Any]:
        """The properties' defaults: of `[{key, default}]`, or of an object by key."""
        if value is None:
            return {}
        entries = value.items() if isinstance(value, dict) else []
        if isinstance(value, list):
            entries = [(each.get("key") or each.get("name"), each) for each in value if isinstance(each, dict)]
        defaults = {}
        for key, each in entries:
            default = each.get("default", each.get("value")) if isinstance(each, dict) else each
            if isinstance(key, str) and default is not None:
                defaults[key] = default
        return defaults


# -- writing


def write(definition: Definition) -> dict[str, Any]:
    """The definition as B3OS has it: as it was written, if it was written so. Types that B3OS has not keep their names,
    with their configuration as the payload."""
    if definition.source == NAME and definition.written is not None:
        return definition.written
    nodes = {node.id: _node(definition, node) for node in definition.nodes}
    document: dict[str, Any] = {"nodes": nodes}
    starts = [node.id for node in definition.nodes if node.type is NodeType.START]
    if starts != [ROOT]:
        document["triggerNodeIds"] = starts
    if definition.input_schema is not None:
        document["inputSchema"] = definition.input_schema
    return document | own_values(definition)


def _node(definition: Definition, node: Node) -> dict[str, Any]:
    word, payload = payload_of(node)
    if node.type is NodeType.START:
        trigger = definition.trigger
        word = {"event": "event", "schedule": "cronjob", "webhook": "webhook"}.get(trigger.kind.value, "manual")
        payload = {name: value for name, value in trigger_value(trigger).items() if name != "kind"}
    written: dict[str, Any] = {"type": word, "payload": payload}
    written["children"] = [edge.target for edge in definition.edges if edge.source == node.id]
    into = {edge.source: edge.branch for edge in definition.edges if edge.target == node.id}
    if said := [branch for branch in into.values() if branch]:
        written["branch"] = said[0]
        if len(set(into.values())) > 1:
            written["branches"] = into
    if node.type in CONTAINERS:
        led = {edge.target for edge in definition.edges}
        body = [each.id for each in definition.nodes if each.scope == node.id]
        written["loopBody"] = [id for id in body if id not in led] or body
    if node.name:
        written["titleOverride"] = node.name
    if node.retry != Retry():
        written["retry"] = msgspec.to_builtins(node.retry)
    if node.timeout_s is not None:
        written["timeout_s"] = node.timeout_s
    if node.skips_errors:
        written["skips_errors"] = True
    return written

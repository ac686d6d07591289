"""What the readers of every form share: problems are collected, and told together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

import msgspec

from gesta.ledger.records import Named
from gesta.workflows.graph.configs import normal
from gesta.workflows.graph.definition import (
    DEFAULT_TIMEOUT_S,
    Definition,
    Edge,
    Node,
    NodeType,
    Price,
    Retry,
    SignaturePolicy,
    Trigger,
    TriggerKind,
)
from gesta.workflows.graph.problems import Problem, nearest, refuse, shown

S = TypeVar("S", bound=msgspec.Struct)

#: The definition's own fields, in every form.
OWN_FIELDS: Final = frozenset({"trigger", "price", "timeout_s", "properties"})


class Building:
    """A definition in the making. `told` are the problems so far; `definition` raises them."""

    def __init__(self) -> None:
        self.told: list[Problem] = []
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []

    def tell(self, message: str, *, node: str = "", field: str = "") -> None:
        self.told.append(Problem(node=node[:100], field=field, message=message))

    def definition(self, source: str, fields: Mapping[str, Any]) -> Definition:
        """Raises InvalidInput with everything that was told."""
        refuse(self.told)
        return Definition(nodes=tuple(self.nodes), edges=tuple(self.edges), source=source, **fields)

    def add(self, id: str, type: NodeType, config: dict[str, Any], **more: Any) -> None:
        self.nodes.append(Node(id=id, type=type, config=normal(type, config), **more))

    def link(self, source: str, target: str, branch: str = "") -> None:
        self.edges.append(Edge(source=source, target=target, branch=branch))

    # -- values

    def object(self, value: Any, *, node: str = "", field: str) -> dict[str, Any]:
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        self.tell(f"`{field}` must be an object, and is {shown(value)}.", node=node, field=field)
        return {}

    def text(self, value: Any, *, node: str = "", field: str) -> str:
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        self.tell(f"`{field}` must be a text, and is {shown(value)}.", node=node, field=field)
        return ""

    def names(self, value: Any, *, node: str, field: str) -> list[str]:
        """Ids of nodes: one, or a list."""
        several = value if isinstance(value, list) else [] if value is None else [value]
        return [name for each in several if (name := self.text(each, node=node, field=field))]

    def number(self, value: Any, *, node: str = "", field: str) -> float | None:
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            return None if value is None else float(value)
        self.tell(f"`{field}` must be a number, and is {shown(value)}.", node=node, field=field)
        return None

    def flag(self, value: Any, *, node: str = "", field: str) -> bool:
        if value is None or isinstance(value, bool):
            return bool(value)
        self.tell(f"`{field}` must be true or false, and is {shown(value)}.", node=node, field=field)
        return False

    def struct(self, kind: type[S], value: Any, *, node: str = "", field: str) -> S | None:
        """A struct of a JSON object, strictly, unknown names refused."""
        given = self.object(value, node=node, field=field)
        known = kind.__struct_fields__
        for name in given:
            if name not in known:
                words = ", ".join(f"`{each}`" for each in known)
                message = f"`{field}` has no {shown(name)}; it has {words}.{nearest(name, known)}"
                self.tell(message, node=node, field=f"{field}.{name[:60]}")
        try:
            return msgspec.convert({name: given[name] for name in given if name in known}, kind)
        except msgspec.ValidationError as error:
            self.tell(f"`{field}`: {str(error)[:200]}.", node=node, field=field)
            return None

    # -- parts

    def retry(self, value: Any, *, node: str) -> Retry:
        """`3` is short for `{attempts: 3}`."""
        if value is None:
            return Retry()
        if isinstance(value, int) and not isinstance(value, bool):
            value = {"attempts": value}
        return self.struct(Retry, value, node=node, field="retry") or Retry()

    def trigger(self, value: Any) -> Trigger:
        """The kind follows from what is said, unless it is said, too."""
        given = dict(self.object(value, field="trigger"))
        webhook = self.flag(given.pop("webhook", None), field="trigger.webhook")
        application = given.get("application")
        if isinstance(application, str):
            given["application"] = {"id": application, "name": application}
        policies = [each.value for each in SignaturePolicy]
        if given.get("signature", policies[0]) not in policies:
            words = " or ".join(f"`{each}`" for each in policies)
            message = f"`trigger.signature` must be {words}, and is {shown(given.pop('signature'))}."
            self.tell(message, field="trigger.signature")
        if "kind" not in given:
            if webhook:
                given["kind"] = TriggerKind.WEBHOOK
            elif given.get("event"):
                given["kind"] = TriggerKind.EVENT
            elif given.get("cron") or given.get("at"):
                given["kind"] = TriggerKind.SCHEDULE
            elif "signature" in given:
                given["kind"] = TriggerKind.WEBHOOK
        return self.struct(Trigger, given, field="trigger") or Trigger()

    def price(self, value: Any) -> Price | None:
        """`{amount, currency}`, or a text as `4.50 USD`."""
        if value is None:
            return None
        if isinstance(value, str):
            amount, _, currency = value.strip().partition(" ")
            value = {"amount": amount, "currency": currency.strip() or "USD"}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            value = {"amount": value}
        given = self.object(value, field="price")
        for name in given:
            if name not in ("amount", "currency"):
                self.tell(f"`price` has no {shown(name)}; it has `amount` and `currency`.", field="price")
        number, currency = given.get("amount"), self.text(given.get("currency", "USD"), field="price.currency")
        try:
            if isinstance(number, bool) or not isinstance(number, int | float | str):
                raise InvalidOperation
            return Price(amount=Decimal(str(number).strip()), currency=currency.upper())
        except InvalidOperation:
            self.tell(f"`price.amount` must be a number above zero, and is {shown(number)}.", field="price.amount")
            return None

    def own_fields(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those of OWN_FIELDS that are there, read."""
        fields: dict[str, Any] = {}
        if given.get("trigger") is not None:
            fields["trigger"] = self.trigger(given["trigger"])
        if given.get("price") is not None:
            fields["price"] = self.price(given["price"])
        if given.get("timeout_s") is not None:
            fields["timeout_s"] = self.number(given["timeout_s"], field="timeout_s") or DEFAULT_TIMEOUT_S
            if fields["timeout_s"] <= 0 or given["timeout_s"] == 0:
                self.tell("`timeout_s` must be above zero.", field="timeout_s")
        if given.get("properties") is not None:
            fields["properties"] = self.object(given["properties"], field="properties")
        return fields


def own_values(definition: Definition) -> dict[str, Any]:
    """What `own_fields` reads, written."""
    values: dict[str, Any] = {}
    if definition.trigger != Trigger():
        values["trigger"] = trigger_value(definition.trigger)
    if definition.price is not None:
        values["price"] = {"amount": str(definition.price.amount), "currency": definition.price.currency}
    if definition.timeout_s != DEFAULT_TIMEOUT_S:
        values["timeout_s"] = definition.timeout_s
    if definition.properties:
        values["properties"] = definition.properties
    return values


def trigger_value(trigger: Trigger) -> dict[str, Any]:
    value: dict[str, Any] = msgspec.to_builtins(trigger)
    kind = value.pop("kind", TriggerKind.MANUAL.value)
    return {"kind": kind} | value


def application_of(value: Any) -> Named | None:
    """An application as a dialect shows it: a text, or `{_id | id, name, icon}`."""
    if isinstance(value, str) and value:
        return Named(id=value, name=value)
    if isinstance(value, dict):
        id = value.get("_id") or value.get("id") or value.get("name")
        name = value.get("name") or id
        if isinstance(id, str) and isinstance(name, str):
            return Named(id=id, name=name)
    return None


def first_of(given: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The value of the first name that is there and not null."""
    return next((given[name] for name in names if given.get(name) is not None), None)

"""Gesta's own shape, in and out. Pure: no clock, no I/O, no randomness."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any, TypeVar

import msgspec

from gesta.access.model import Account, AccountType, Environment
from gesta.apis.common.services import Decoded
from gesta.apis.native.models import (
    ONE,
    ZERO,
    CorrelationModel,
    DetailModel,
    EventModel,
    ExecutorModel,
    FillModel,
    NamedModel,
    NodeModel,
    RowModel,
    RunModel,
    TransitionModel,
)
from gesta.kernel.errors import Conflict, GestaError, InvalidInput
from gesta.kernel.json import decode_json
from gesta.kernel.times import MAX_US, format_us, parse_rfc3339
from gesta.ledger.lifecycle import check_birth
from gesta.ledger.records import (
    Detail,
    Event,
    Execution,
    ExecutorDetail,
    FillDetail,
    Kind,
    Named,
    NewEvent,
    NewExecution,
    RunDetail,
    RunNode,
    Status,
    Transition,
    Wire,
)

MAX_DEPTH = 64
_MAX_DIGITS = 36
_CONTEXT = Context(prec=96)
# A number in its one form already, as nearly all are.
_USUAL_NUMBER = re.compile(r"-?[1-9][0-9]{0,17}(\.[0-9]{0,17}[1-9])?", re.ASCII)
_NUL_ESCAPE = b"\\u0000"
_KINDS: dict[type, Kind] = {FillModel: Kind.FILL, ExecutorModel: Kind.EXECUTOR, RunModel: Kind.RUN}
_DETAIL_TYPES: dict[Kind, type[FillDetail] | type[ExecutorDetail] | type[RunDetail]] = {
    Kind.FILL: FillDetail,
    Kind.EXECUTOR: ExecutorDetail,
    Kind.RUN: RunDetail,
}
_DEFAULTS: dict[type[msgspec.Struct], list[tuple[str, Any]]] = {
    kind: [
        (field.name, field.default)
        for field in msgspec.structs.fields(kind)
        if isinstance(field.default, (str, Decimal)) and field.default != ""
    ]
    for kind in (FillDetail, ExecutorDetail, RunDetail, RunNode)
}
T = TypeVar("T", bound=msgspec.Struct)

encoder = msgspec.json.Encoder(decimal_format="string")


# -- what comes in


def decode_model(data: bytes | msgspec.Raw, model: type[T]) -> T:
    """Read one object of a model. Raises InvalidInput, also for what no database can hold (NUL, numbers without
    bound, nesting beyond 64)."""
    raw = bytes(data)
    decoded = decode_json(raw, model)
    if _NUL_ESCAPE in raw:
        check_json(decode_json(raw))
    return decoded


def decode_vendor_object(data: bytes | msgspec.Raw) -> Mapping[str, Any]:
    """Read a vendor's object as plain JSON, within the same bounds."""
    posted = decode_json(bytes(data))
    if not isinstance(posted, dict):
        raise InvalidInput("Expected `object`.")
    check_json(posted)
    return posted


def check_json(value: Any, path: str = "", depth: int = 0) -> None:
    """Raise InvalidInput unless every value can be stored as it stands."""
    if isinstance(value, str):
        if "\x00" in value:
            raise InvalidInput("Text must not hold the NUL character.", field=path or None)
    elif isinstance(value, dict):
        if depth >= MAX_DEPTH:
            raise InvalidInput(f"The JSON is nested deeper than {MAX_DEPTH}.", field=path[:128] or None)
        for key, member in value.items():
            check_json(key, path, depth)
            check_json(member, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, (list, tuple)):
        if depth >= MAX_DEPTH:
            raise InvalidInput(f"The JSON is nested deeper than {MAX_DEPTH}.", field=path[:128] or None)
        for place, member in enumerate(value):
            check_json(member, f"{path}[{place}]", depth + 1)
    elif isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        raise InvalidInput("Whole numbers must fit in 64 bits; send larger ones as text.", field=path or None)


def parse_moment(text: str | None, field: str) -> int | None:
    """UTC microseconds of a time from 1970 to 9999; None stays None. Raises InvalidInput."""
    if text is None:
        return None
    at_us = parse_rfc3339(text, field=field)
    if not 0 <= at_us <= MAX_US:
        raise InvalidInput(f"{text[:64]!r} is not between 1970 and 9999.", field=field)
    return at_us


def canonical(value: Decimal, field: str) -> Decimal:
    """The one form of a number, so that 1.50, 1.5 and 15E-1 are the same content. Raises InvalidInput."""
    if _USUAL_NUMBER.fullmatch(str(value)):
        return value
    if not value.is_finite():
        raise InvalidInput("A number must be finite.", field=field)
    if not value:
        return Decimal(0)
    _sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    if len(digits) > _MAX_DIGITS or not -_MAX_DIGITS <= value.adjusted() < 30 or exponent < -_MAX_DIGITS:
        raise InvalidInput(f"A number has at most {_MAX_DIGITS} digits and is below 10^30.", field=field)
    if exponent == 0 or (exponent < 0 and digits[-1] != 0):
        return value
    normal = value.normalize(_CONTEXT)
    return normal.quantize(Decimal(1), context=_CONTEXT) if normal == normal.to_integral_value() else normal


def decode_detail(model: DetailModel, path: str = "detail") -> Detail:
    """The typed detail of a posted one. Raises InvalidInput."""
    fields = msgspec.structs.asdict(model)
    for name, value in fields.items():
        if type(value) is Decimal and value is not ZERO and value is not ONE:
            fields[name] = canonical(value, f"{path}.{name}")
    if isinstance(model, RunModel):
        _decode_run(fields, model, path)
    else:
        for name in ("config", "custom_info"):
            if fields.get(name) is not None:
                check_json(fields[name], f"{path}.{name}")
    kind = _DETAIL_TYPES[_KINDS[type(model)]]
    _take_defaults(kind, fields)
    return kind(**fields)


def _take_defaults(kind: type[msgspec.Struct], fields: dict[str, Any]) -> None:
    """Put the default itself where an equal value was posted. Records are encoded without their defaults, which msgspec
    knows by identity: only so are a default that was said and one that was left out the same content."""
    for name, default in _DEFAULTS[kind]:
        if fields[name] == default:
            fields[name] = default


def _decode_run(fields: dict[str, Any], model: RunModel, path: str) -> None:
    for name in ("request_payload", "response_payload", "client_safe_metadata"):
        check_json(fields[name], f"{path}.{name}")
    for name in ("workflow", "application", "trigger_application"):
        named: NamedModel | None = fields[name]
        fields[name] = None if named is None else Named(id=named.id, name=named.name, icon=named.icon)
    fields["nodes"] = tuple(_decode_node(node, f"{path}.nodes[{place}]") for place, node in enumerate(model.nodes))


def _decode_node(node: NodeModel, path: str) -> RunNode:
    fields = msgspec.structs.asdict(node)
    fields["started_at_us"] = parse_moment(fields.pop("started_at"), f"{path}.started_at")
    check_json(node.input, f"{path}.input")
    check_json(node.output, f"{path}.output")
    _take_defaults(RunNode, fields)
    return RunNode(**fields)


def decode_row(row: RowModel, *, default_environment: Environment) -> Decoded:
    """One posted row in Gesta's own shape. Raises InvalidInput with the field."""
    kind = _KINDS[type(row.detail)]
    if row.kind not in (None, kind):
        raise InvalidInput(f"`kind` is {row.kind}, but `detail` is of a {kind}.", field="kind")
    _check_names(row)
    status = row.status or (Status.SUCCEEDED if kind is Kind.FILL else None)
    if status is None:
        raise InvalidInput(f"`status` is required for a {kind}.", field="status")
    try:
        check_birth(kind, status)
    except Conflict as error:
        raise InvalidInput(error.message, field="status") from None
    created_at_us = parse_moment(row.created_at, "created_at")
    assert created_at_us is not None
    fields: dict[str, Any] = {
        "id": row.external_id or row.id,
        "origin": row.origin,
        "name": row.name,
        "status": status,
        "source": row.source,
        "mode": row.mode,
        "parent_id": row.parent_id,
        "created_at_us": created_at_us,
        "started_at_us": parse_moment(row.started_at, "started_at"),
        "finished_at_us": parse_moment(row.finished_at, "finished_at"),
        # An export says it even where it was not posted: both are the same content.
        "updated_at_us": created_at_us if row.updated_at is None else parse_moment(row.updated_at, "updated_at"),
        "detail": decode_detail(row.detail),
        "wire": _decode_wire(row),
    }
    fields["correlation"] = {**correlation_of(fields["detail"]), **_said(row.correlation)}

    def build(account: Account) -> NewExecution:
        return NewExecution(account=account.id, **fields)

    default_type = AccountType.LINKED if kind is Kind.RUN else AccountType.TRADING
    return Decoded(
        account_name=row.account,
        account_type=row.account_type or default_type,
        environment=row.environment or default_environment,
        row=build,
    )


def _check_names(row: RowModel) -> None:
    names = (row.id, row.account, row.origin, row.external_id, row.parent_id)
    for field, value in zip(("id", "account", "origin", "external_id", "parent_id"), names, strict=True):
        if value is not None and (not value.isprintable() or value in (".", "..")):
            raise InvalidInput(f"`{field}` must be printable text, and neither `.` nor `..`.", field=field)


def correlation_of(detail: Detail) -> dict[str, str]:
    """What a detail already says is found by the correlation filters without being said twice."""
    if isinstance(detail, FillDetail):
        said = {"order_id": detail.order_id, "instrument": detail.instrument}
    elif isinstance(detail, ExecutorDetail):
        said = {"trading_pair": detail.trading_pair or ""}
    else:
        said = {
            "workflow_id": detail.workflow.id,
            "event_id": detail.event_id or "",
            "order_id": detail.order_id or "",
            "external_ref": detail.external_ref or "",
            "application": comparable(detail.application.name) if detail.application else "",
        }
    return {name: value for name, value in said.items() if value}


def _said(correlation: CorrelationModel) -> dict[str, str]:
    fields = {name: value for name, value in msgspec.structs.asdict(correlation).items() if value}
    if "application" in fields:
        fields["application"] = comparable(fields["application"])
    return fields


def comparable(application: str) -> str:
    """The form in which applications are compared: letters and digits only, without case, at most 128."""
    return "".join(character for character in application.casefold() if character.isalnum())[:128]


def _decode_wire(row: RowModel) -> Wire | None:
    if row.wire is None:
        return None
    check_json(row.wire.overrides, "wire.overrides")
    check_json(row.wire.extra, "wire.extra")
    return Wire(dialect=row.wire.dialect, overrides=row.wire.overrides, extra=row.wire.extra)


def decode_event(event: EventModel, path: str = "") -> NewEvent:
    check_json(event.data, f"{path}data")
    return NewEvent(
        type=event.type,
        level=event.level,
        title=event.title,
        message=event.message,
        at_us=parse_moment(event.at, f"{path}at"),
        data=event.data,
    )


def decode_transition(change: TransitionModel, kind: Kind) -> Transition:
    """Raises InvalidInput for a change that changes nothing, or for a detail of another kind."""
    if change.status is None and change.detail is None:
        raise InvalidInput("Give a `status`, a `detail`, or both; to add an event only, post it to `/events`.")
    if change.detail is not None and _KINDS[type(change.detail)] is not kind:
        raise InvalidInput(f"`detail` must be of a {kind}.", field="detail")
    said = change.event
    check_json(said.data, "event.data")
    event = NewEvent(
        type=said.type or f"execution.{change.status or 'amended'}",
        level=said.level,
        title=said.title,
        message=said.message,
        at_us=parse_moment(said.at, "event.at"),
        data=said.data,
    )
    return Transition(
        event=event,
        status=change.status,
        detail=None if change.detail is None else decode_detail(change.detail),
        expected_version=change.expected_version,
    )


# -- what goes out


def decimal_text(value: Decimal) -> str:
    """Decimal text without exponent."""
    text = str(value)
    return text if "E" not in text else f"{value:f}"


def _moment(at_us: int | None) -> str | None:
    return None if at_us is None else format_us(at_us)


def view_detail(detail: Detail) -> dict[str, Any]:
    """The detail with its `kind`, every field present, numbers as decimal text, times as RFC 3339."""
    fields = msgspec.structs.asdict(detail)
    for name, value in fields.items():
        if type(value) is Decimal:
            fields[name] = decimal_text(value)
    if isinstance(detail, RunDetail):
        for name in ("workflow", "application", "trigger_application"):
            named = fields[name]
            fields[name] = None if named is None else msgspec.structs.asdict(named)
        fields["nodes"] = [_view_node(node) for node in detail.nodes]
        return {"kind": "run", **fields}
    return {"kind": "fill" if isinstance(detail, FillDetail) else "executor", **fields}


def _view_node(node: RunNode) -> dict[str, Any]:
    fields = msgspec.structs.asdict(node)
    fields["started_at"] = _moment(fields.pop("started_at_us"))
    return fields


def view_execution(row: Execution, account: Account) -> dict[str, Any]:
    """One execution as Gesta's own dialect prints it."""
    view: dict[str, Any] = {
        "id": row.id,
        "account": account.name,
        "account_type": account.type,
        "environment": account.environment,
        "kind": row.kind,
        "name": row.name,
        "status": row.status,
        "source": row.source,
        "mode": row.mode,
        "origin": row.origin,
        "external_id": row.external_id,
        "parent_id": row.parent_id,
        "correlation": row.correlation,
        "created_at": format_us(row.created_at_us),
        "started_at": _moment(row.started_at_us),
        "finished_at": _moment(row.finished_at_us),
        "updated_at": format_us(row.updated_at_us),
        "recorded_at": format_us(row.recorded_at_us),
        "version": row.version,
        "seq": row.seq,
        "detail": view_detail(row.detail),
    }
    if row.wire is not None:
        view["wire"] = {"dialect": row.wire.dialect, "overrides": row.wire.overrides, "extra": row.wire.extra}
    return view


def view_event(event: Event) -> dict[str, Any]:
    """One entry of a timeline."""
    return {
        "seq": event.seq,
        "execution_id": event.execution_id,
        "at": format_us(event.at_us),
        "recorded_at": format_us(event.recorded_at_us),
        "type": event.type,
        "level": event.level,
        "from_status": event.from_status,
        "to_status": event.to_status,
        "title": event.title,
        "message": event.message,
        "data": event.data,
    }


def view_row_error(error: GestaError) -> dict[str, Any]:
    """What is wrong with one row of a batch."""
    said: dict[str, Any] = {"code": error.code, "detail": error.message}
    if isinstance(error, InvalidInput) and error.field:
        said["field"] = error.field
    return said

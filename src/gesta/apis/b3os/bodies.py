"""The bodies of this dialect's requests, read field by field: every defect with the field's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request

from gesta.apis.b3os.codec import RUN_PREFIX
from gesta.apis.common.posted import MAX_DEPTH, MAX_NAME, plain_object
from gesta.kernel.errors import InvalidInput, TooLarge
from gesta.kernel.json import decode_json

MAX_BODY_BYTES = 9 * 1024 * 1024
MAX_METADATA_BYTES = 64 * 1024
MAX_TITLE = 256
MAX_DESCRIPTION = 10_000
MAX_STACK = 5
MAX_ITEMS = 10_000
MAX_VERSION = 2**31 - 1

_RUN_ID = re.compile(r"run_\w{1,100}", re.ASCII)
# As this server's own ids are: nobody makes such a one up.
_SERVERS_OWN = re.compile(r"run_[0-9a-f]{24}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)
_encoder = msgspec.json.Encoder(decimal_format="number")
VISIBILITIES = ("private", "org", "public_view", "public_execute")


class NewExecutionBody(msgspec.Struct, frozen=True, kw_only=True):
    """What `POST /v1/executions` and its public sister take (protocols/b3os.md §4.1)."""

    workflow_id: str
    payload: dict[str, Any] | None
    key: str | None
    attributes: dict[str, Any]
    success_url: str | None
    cancel_url: str | None


async def posted(request: Request, *, needs_body: bool = True) -> dict[str, Any]:
    """The JSON object of a request; an empty body is an empty object unless `needs_body`. Raises InvalidInput,
    TooLarge."""
    raw = await read_raw(request)
    if not raw.strip() and not needs_body:
        return {}
    kind = (request.headers.get("content-type") or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise _refused("Send the body as `Content-Type: application/json`.", problem="json")
    return object_of(raw)


def anything(request: Request, raw: bytes) -> Any:
    """What a webhook sends: JSON where it is JSON, else its text. None for nothing."""
    if not raw:
        return None
    try:
        return _plain(decode_json(raw))
    except InvalidInput:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json" or kind.endswith("+json"):
            raise _refused("The body is not the JSON that its type says.", problem="json") from None
    try:
        return _plain(raw.decode())
    except UnicodeDecodeError:
        raise _refused("The body is neither JSON nor text in UTF-8.", problem="json") from None


async def read_raw(request: Request) -> bytes:
    """The bytes as they came. Raises TooLarge."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise TooLarge(f"The body of this request has at most {MAX_BODY_BYTES} bytes.")
        parts.append(part)
    return b"".join(parts)


def object_of(raw: bytes) -> dict[str, Any]:
    try:
        value = decode_json(raw)
    except InvalidInput as error:
        raise _refused(error.message, problem="json") from None
    if not isinstance(value, dict):
        raise _refused("The body must be a JSON object.", problem="json")
    plain: dict[str, Any] = _plain(value)
    return plain


def _plain(value: Any) -> Any:
    try:
        return plain_object({"body": value})["body"] if not isinstance(value, dict) else plain_object(value)
    except InvalidInput as error:
        raise _refused(error.message, error.field, problem="body") from None


def _refused(message: str, field: str | None = None, *, problem: str = "body") -> InvalidInput:
    return InvalidInput(message, field=field, where="body", problem=problem)


class Fields:
    """One object that `posted` gave. Absent and null read as None."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def text(self, name: str, *, most: int = MAX_NAME, needed: bool = False) -> str | None:
        value = self.values.get(name)
        if value is None and not needed:
            return None
        if not isinstance(value, str) or len(value) > most or (needed and not value.strip()):
            least = "1 to " if needed else "at most "
            raise _refused(f"`{name}` must be text of {least}{most} characters.", name)
        return value

    def needed(self, name: str, *, most: int = MAX_NAME) -> str:
        value = self.text(name, most=most, needed=True)
        assert value is not None
        return value

    def document(self, name: str) -> dict[str, Any] | None:
        value = self.values.get(name)
        if value is not None and not isinstance(value, dict):
            raise _refused(f"`{name}` must be a JSON object.", name)
        return value

    def flag(self, name: str) -> bool:
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            raise _refused(f"`{name}` must be true or false.", name)
        return value is True

    def count(self, name: str, *, least: int = 1, most: int = MAX_VERSION) -> int | None:
        value = self.values.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most):
            raise _refused(f"`{name}` must be a whole number from {least} to {most}.", name)
        return value

    def word(self, name: str) -> str | None:
        """What stands in addresses: letters, digits, `_`, `.`, `-`."""
        value = self.text(name)
        if value and _WORD.fullmatch(value) is None:
            raise _refused(f"`{name}` must be 1 to 100 letters, digits, `_`, `.` or `-`.", name)
        return value

    def visibility(self) -> str | None:
        value = self.text("visibility")
        if value is not None and value not in VISIBILITIES:
            raise _refused(f"`visibility` must be one of {', '.join(VISIBILITIES)}.", "visibility")
        return value


def new_execution(values: Mapping[str, Any], *, workflow_id: str | None = None) -> NewExecutionBody:
    """Raises InvalidInput. `workflow_id` is that of the path, where the path has it."""
    fields = Fields(values)
    named = fields.needed("workflowId") if workflow_id is None else workflow_id
    attributes = {
        "source_system": fields.needed("sourceSystem"),
        "source_entity_type": fields.needed("sourceEntityType"),
        "source_entity_id": fields.text("sourceEntityId"),
        "external_ref": fields.text("externalRef"),
        "client_safe_metadata": _shown(fields),
    }
    key = fields.text("idempotencyKey")
    if key is not None and (not key or not key.isprintable()):
        raise _refused("`idempotencyKey` must be 1 to 256 printable characters.", "idempotencyKey")
    return NewExecutionBody(
        workflow_id=named,
        payload=fields.document("requestPayload"),
        key=key,
        attributes={name: value for name, value in attributes.items() if value is not None},
        success_url=_url(fields, "successUrl"),
        cancel_url=_url(fields, "cancelUrl"),
    )


def _shown(fields: Fields) -> dict[str, Any] | None:
    """`clientSafeMetadata` is in every list and in every frame of a stream, so that it is bounded more closely."""
    value = fields.document("clientSafeMetadata")
    if value is not None and len(_encoder.encode(value)) > MAX_METADATA_BYTES:
        message = f"`clientSafeMetadata` may have {MAX_METADATA_BYTES} bytes as JSON."
        raise _refused(message, "clientSafeMetadata")
    return value


def _url(fields: Fields, name: str) -> str | None:
    value = fields.text(name, most=2048)
    if value is not None and (not value.startswith(("https://", "http://")) or not value.isprintable() or " " in value):
        raise _refused(f"`{name}` must be an address that begins with https:// or http://.", name)
    return value


def is_callers_own(text: str) -> bool:
    """Whether a run's id is one that only a caller can have made: fit for `runId`, and not as the server makes them."""
    return _RUN_ID.fullmatch(text) is not None and _SERVERS_OWN.fullmatch(text) is None


def run_id_of(values: Mapping[str, Any]) -> str | None:
    """The id that a caller wants for a run, without its prefix. Raises InvalidInput (400078)."""
    wanted = values.get("runId")
    if wanted is None:
        return None
    if not isinstance(wanted, str) or _RUN_ID.fullmatch(wanted) is None:
        raise _refused("`runId` must be `run_` and 1 to 100 letters, digits or `_`.", "runId", problem="run_id")
    return wanted.removeprefix(RUN_PREFIX)


def resumption(values: Mapping[str, Any], node_id: str) -> tuple[str, Any]:
    """The path of the node within its loops, and what it is given: `data` with `forEachContext`, or `payload`
    (protocols/b3os.md §7). Raises InvalidInput."""
    context = Fields(values).document("forEachContext") or {}
    stack = context.get("stack")
    if stack is None:
        stack = []
    if not isinstance(stack, list) or len(stack) > MAX_STACK:
        raise _refused(f"`forEachContext.stack` must be a list of at most {MAX_STACK} loops.", "forEachContext.stack")
    path = ""
    for each in stack:
        entry = Fields(each if isinstance(each, dict) else {})
        parent, index = entry.needed("parentNodeId"), entry.count("index", least=0, most=MAX_ITEMS)
        if index is None:
            raise _refused("Each of `forEachContext.stack` needs `parentNodeId` and `index`.", "forEachContext.stack")
        path += f"{parent}[{index}]/"
    return path + node_id, values.get("data", values.get("payload"))


__all__ = ["MAX_DEPTH", "Fields", "anything", "new_execution", "posted", "resumption", "run_id_of"]

"""The bodies of this dialect's requests: read field by field, every defect in FastAPI's words. Pure, but `read`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request

from gesta.apis.common.posted import MAX_NAME, plain_object
from gesta.apis.hummingbot.codec import RUNNABLE_STATUS
from gesta.executors.registry import MODULES, UNAVAILABLE
from gesta.executors.vocabulary import DEFAULT_ACCOUNT
from gesta.kernel.errors import InvalidInput, TooLarge
from gesta.kernel.json import decode_json
from gesta.ledger.cursor import decode_cursor
from gesta.ledger.query import Cursor
from gesta.ledger.records import Status

MAX_BODY_BYTES = 256 * 1024
DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
# Values of one filter.
MAX_VALUES = 100
MAX_SHOWN = 256

DEFAULT_CONTROLLER = "main"
TYPES = (*MODULES, *UNAVAILABLE)
# The canonical statuses behind each word.
STATUSES_OF: dict[str, frozenset[Status]] = {
    word: frozenset(status for status, printed in RUNNABLE_STATUS.items() if printed == word)
    for word in dict.fromkeys(RUNNABLE_STATUS.values())
}


class Create(msgspec.Struct, frozen=True, kw_only=True):
    config: dict[str, Any]
    account_name: str
    controller_id: str


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """An empty set is no condition. `accounts` are names without case."""

    limit: int = DEFAULT_LIMIT
    after: Cursor | None = None
    accounts: frozenset[str] = frozenset()
    connectors: frozenset[str] = frozenset()
    pairs: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    controllers: frozenset[str] = frozenset()
    statuses: frozenset[Status] = frozenset()


async def read(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises InvalidInput with FastAPI's defects, TooLarge."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise TooLarge(f"The body of this request has at most {MAX_BODY_BYTES} bytes.")
        parts.append(part)
    return object_of(b"".join(parts), request.headers.get("content-type"))


def object_of(body: bytes, content_type: str | None) -> dict[str, Any]:
    if not body:
        raise _invalid([_defect("missing", (), "Field required", None)])
    kind = (content_type or "application/json").partition(";")[0].strip().lower()
    # What a page elsewhere can send without asking first is no JSON, and is not taken for it.
    posted: Any = body
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        try:
            posted = decode_json(body)
        except InvalidInput as error:
            said = {"error": error.message[:MAX_SHOWN]}
            raise _invalid([_defect("json_invalid", (0,), "JSON decode error", {}, **said)]) from None
    if not isinstance(posted, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise _invalid([_defect("model_attributes_type", (), message, posted)])
    return posted


def create_of(posted: Mapping[str, Any]) -> Create:
    """Raises InvalidInput with every defect. What is in the configuration is for the machine to judge."""
    fields = _Fields(posted)
    config = posted.get("executor_config")
    if "executor_config" not in posted:
        fields.refuse("missing", ("executor_config",), "Field required", {})
    elif not isinstance(config, dict):
        fields.refuse("dict_type", ("executor_config",), "Input should be a valid dictionary", config)
    account_name = fields.text("account_name") or DEFAULT_ACCOUNT
    controller_id = fields.text("controller_id")
    fields.done()
    assert isinstance(config, dict)
    plain = plain_object(config)
    own = plain.get("controller_id")
    # What the request names wins, what it does not name is the configuration's.
    return Create(
        config=plain,
        account_name=account_name,
        controller_id=controller_id or (own if isinstance(own, str) and own else DEFAULT_CONTROLLER),
    )


def search_of(posted: Mapping[str, Any]) -> Search:
    """Raises InvalidInput with every defect."""
    fields = _Fields(posted)
    status = fields.text("status")
    if status and status.upper() not in STATUSES_OF:
        fields.literal(("status",), STATUSES_OF, status)
    types = fields.texts("executor_types")
    for at, name in enumerate(types):
        if name not in TYPES:
            fields.literal(("executor_types", at), TYPES, name)
    search = Search(
        limit=fields.integer("limit", DEFAULT_LIMIT, 1, MAX_LIMIT),
        after=fields.cursor("cursor"),
        accounts=frozenset(name.casefold() for name in fields.texts("account_names")),
        connectors=frozenset(fields.texts("connector_names")),
        pairs=frozenset(fields.texts("trading_pairs")),
        types=frozenset(types),
        controllers=frozenset(fields.texts("controller_ids")),
        statuses=STATUSES_OF.get(status.upper(), frozenset()) if status else frozenset(),
    )
    fields.done()
    return search


def keep_position_of(posted: Mapping[str, Any]) -> bool:
    """Raises InvalidInput."""
    fields = _Fields(posted)
    keeps = posted.get("keep_position", False)
    if not isinstance(keeps, bool):
        fields.refuse("bool_type", ("keep_position",), "Input should be a valid boolean", keeps)
    fields.done()
    return keeps is True


class _Fields:
    """One object; `done` raises what was found."""

    def __init__(self, posted: Mapping[str, Any]) -> None:
        self._posted = posted
        self._defects: list[dict[str, Any]] = []

    def refuse(self, kind: str, path: tuple[str | int, ...], message: str, given: Any, **context: Any) -> None:
        self._defects.append(_defect(kind, path, message, given, **context))

    def literal(self, path: tuple[str | int, ...], known: Any, given: str) -> None:
        *names, last = (repr(name) for name in known)
        expected = f"{', '.join(names)} or {last}"
        self.refuse("literal_error", path, f"Input should be {expected}", given, expected=expected)

    def done(self) -> None:
        if self._defects:
            raise _invalid(self._defects)

    def text(self, name: str) -> str | None:
        """None for what is absent or null."""
        value = self._posted.get(name)
        return None if value is None else self._text((name,), value)

    def _text(self, path: tuple[str | int, ...], value: Any) -> str:
        if not isinstance(value, str):
            self.refuse("string_type", path, "Input should be a valid string", value)
            return ""
        if len(value) > MAX_NAME:
            message = f"String should have at most {MAX_NAME} characters"
            self.refuse("string_too_long", path, message, value, max_length=MAX_NAME)
        elif not value.isprintable():
            self.refuse("value_error", path, "Input should have printable characters only", "")
        return value

    def texts(self, name: str) -> list[str]:
        """Empty for what is absent, null or an empty list."""
        values = self._posted.get(name)
        if values is None:
            return []
        if not isinstance(values, list):
            self.refuse("list_type", (name,), "Input should be a valid list", values)
            return []
        if len(values) > MAX_VALUES:
            message = f"List should have at most {MAX_VALUES} items after validation, not {len(values)}"
            self.refuse("too_long", (name,), message, None, max_length=MAX_VALUES, actual_length=len(values))
            return []
        return [self._text((name, at), value) for at, value in enumerate(values)]

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        if name not in self._posted:
            return default
        value = self._posted[name]
        number = value if isinstance(value, int) and not isinstance(value, bool) else _whole(value)
        if number is None:
            self.refuse("int_type", (name,), "Input should be a valid integer", value)
        elif number < least:
            message = f"Input should be greater than or equal to {least}"
            self.refuse("greater_than_equal", (name,), message, value, ge=least)
        elif number > most:
            self.refuse("less_than_equal", (name,), f"Input should be less than or equal to {most}", value, le=most)
        else:
            return number
        return default

    def cursor(self, name: str) -> Cursor | None:
        """None for what is absent, null or empty."""
        text = self.text(name)
        if not text:
            return None
        try:
            return decode_cursor(text)
        except InvalidInput:
            self.refuse("value_error", (name,), "Input should be a cursor that this server gave", text)
            return None


def _whole(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, str) and len(value) < 19 and value.isascii() and value.removeprefix("-").isdigit():
        return int(value)
    return None


def _defect(kind: str, path: tuple[str | int, ...], message: str, given: Any, **context: Any) -> dict[str, Any]:
    return {"type": kind, "loc": ["body", *path], "msg": message, "input": _shown(given), "ctx": context}


def _shown(value: Any) -> Any:
    """What was given, if it is short."""
    if isinstance(value, str):
        return value[:MAX_SHOWN]
    if isinstance(value, bytes):
        return value[:MAX_SHOWN].decode("utf-8", "replace")
    if isinstance(value, int) and abs(value) >= 2**63:
        return str(value)[:MAX_SHOWN]
    if isinstance(value, (list, dict)) and value:
        return f"{type(value).__name__} of {len(value)}"
    return value


def _invalid(defects: list[dict[str, Any]]) -> InvalidInput:
    last = defects[0]["loc"][-1]
    return InvalidInput(defects[0]["msg"], field=str(last), where="body", errors=defects)

"""What the calls that write have in common: who calls, their headers, their bodies, and the workflow they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gesta.access.face import Access
from gesta.access.model import Account, Principal
from gesta.apis.common.posted import plain_object
from gesta.apis.refold import auth, listing
from gesta.apis.refold.codec import Scope
from gesta.apis.refold.errors import WorkflowNotFound, WorkflowPrivate
from gesta.kernel.errors import Forbidden, InvalidInput, NotFound
from gesta.kernel.json import decode_json, encode_json_numbers
from gesta.workflows.face import Definitions, WorkflowStatus, WorkflowView

MAX_WORD = 256
_ID_DIGITS = 24
_HEX = frozenset("0123456789abcdef")


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, for which linked account, with which query."""

    principal: Principal
    account: Account
    query: Mapping[str, str]

    @property
    def scope(self) -> Scope:
        return Scope.of(self.account, self.principal.organization.public_id)


async def enter(access: Access, request: Request) -> Caller:
    """Authenticate, by either of the two ways."""
    query = listing.read_query(request.scope["query_string"])
    principal, account = await auth.linked_account(access, request, query)
    return Caller(principal=principal, account=account, query=query)


# -- headers


def word_of(request: Request, query: Mapping[str, str], name: str) -> str:
    """A word that is said in a header or, where the header is missing or empty, in the query; empty if in neither.

    Proxies drop headers with an underscore (protocols/refold.md §1), so the query counts too.
    """
    word = auth.utf8(request.headers.get(name, "").strip()) or query.get(name, "").strip()
    if len(word) > MAX_WORD or not word.isprintable():
        raise InvalidInput(
            f"`{name}` is at most {MAX_WORD} characters, none of them a control character", field=name, where="header"
        )
    return word


def flag_of(request: Request, query: Mapping[str, str], name: str) -> bool:
    word = word_of(request, query, name).casefold()
    if word not in ("", "true", "false"):
        raise InvalidInput(f"`{name}` is true or false", field=name, where="header")
    return word == "true"


# -- bodies


async def read_body(request: Request) -> bytes:
    """The whole body. The dispatcher bounds its size and its time."""
    try:
        return await request.body()
    except ClientDisconnect:
        raise InvalidInput("The client left before its body was complete.") from None


async def read_json(request: Request) -> Any:
    """The body as JSON values; an empty one, whatever its type says, is an empty object (the browser SDK announces
    JSON and sends nothing). Raises InvalidInput for what is not JSON, nested too deeply, or has a NUL in it."""
    return json_of(await read_body(request))


def json_of(body: bytes) -> Any:
    if not body.strip():
        return {}
    posted = decode_json(body)
    # An object's own fields are named where something in them is wrong.
    return plain_object(posted) if isinstance(posted, dict) else plain_object({"body": posted})["body"]


async def read_object(request: Request) -> dict[str, Any]:
    posted = await read_json(request)
    if not isinstance(posted, dict):
        raise InvalidInput("The body must be a JSON object.")
    return posted


def text_in(posted: Mapping[str, Any], name: str, *, most: int = MAX_WORD) -> str | None:
    """A text of the body. None where it is absent or null."""
    value = posted.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > most:
        raise InvalidInput(f"`{name}` must be text of at most {most} characters.", field=name)
    return value


def json_answer(value: Any, status: int = 200) -> Response:
    return Response(encode_json_numbers(value), status, media_type="application/json")


# -- workflows


def draft_id_of(workflow_id: str) -> str:
    """The `_id` of a workflow's draft; of that id, the workflow's own again.

    A draft and what is published of it have ids of their own (protocols/refold.md §6). Here the published one is the
    workflow's id in every other dialect and in its executions, and the draft's is the same with the second half of its
    digits complemented: each follows from the other, and both name the one workflow for good.
    """
    half = _ID_DIGITS // 2
    return workflow_id[:half] + "".join(f"{15 - int(digit, 16):x}" for digit in workflow_id[half:])


def is_object_id(word: str) -> bool:
    return len(word) == _ID_DIGITS and _HEX.issuperset(word)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow, and whether it was named by its draft's id."""

    view: WorkflowView
    is_draft: bool

    @property
    def id(self) -> str:
        return draft_id_of(self.view.id) if self.is_draft else self.view.id


async def find_workflow(definitions: Definitions, principal: Principal, word: str) -> Found:
    """By the published id, the draft's id, or the alias. Raises WorkflowNotFound, also for one that was deleted, and
    WorkflowPrivate."""
    if not word or len(word) > MAX_WORD or not word.isprintable():
        raise WorkflowNotFound()
    is_draft = False
    try:
        view = await definitions.get(principal, word.lower() if is_object_id(word.lower()) else word)
    except Forbidden as error:
        raise _private(error) from None
    except NotFound:
        if not is_object_id(word.lower()):
            raise WorkflowNotFound() from None
        view, is_draft = await _of_draft(definitions, principal, word.lower()), True
    if view.status is WorkflowStatus.ARCHIVED:
        raise WorkflowNotFound()
    return Found(view=view, is_draft=is_draft)


async def _of_draft(definitions: Definitions, principal: Principal, word: str) -> WorkflowView:
    try:
        return await definitions.get(principal, draft_id_of(word))
    except NotFound:
        raise WorkflowNotFound() from None
    except Forbidden as error:
        raise _private(error) from None


def check_is_own(view: WorkflowView) -> None:
    """Raises Forbidden for a workflow of the whole organization, which linked accounts run and do not change."""
    if not view.account:
        raise Forbidden("The workflow is the whole organization's; a linked account executes it and changes its own")


async def check_is_private(access: Access, definitions: Definitions, caller: Caller, word: str) -> None:
    """Of a workflow that the caller does not find: raises WorkflowPrivate where another linked account of the
    environment has it (protocols/refold.md §5). Only by its id, which nobody guesses: an alias tells nothing."""
    word = word.lower()
    if not is_object_id(word):
        return
    everybody = msgspec.structs.replace(caller.principal, account=None)
    for id in (word, draft_id_of(word)):
        try:
            view = await definitions.get(everybody, id)
        except (NotFound, Forbidden):
            continue
        if view.status is WorkflowStatus.ARCHIVED or view.account in (0, caller.account.id):
            continue
        owner = await access.account_by_id(view.organization, view.account)
        if owner is not None and owner.environment is caller.account.environment:
            raise WorkflowPrivate()


def _private(error: Forbidden) -> Forbidden:
    """A workflow of another linked account; a scope that is missing stays what it is."""
    return WorkflowPrivate() if "workflow" in error.details else error

"""The Refold dialect under `/api/v2/public` and `/api/v1` (seed 004, protocols/refold.md); `writing.py` has what
writes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gesta import __version__
from gesta.access.model import Principal
from gesta.apis.common import errors as common_errors
from gesta.apis.common.hot import HotRoute
from gesta.apis.common.printed import Printed
from gesta.apis.common.services import Services
from gesta.apis.refold import auth, listing, openapi, writing
from gesta.apis.refold.accounts import encode_account
from gesta.apis.refold.codec import Scope, encode_detail, encode_item
from gesta.apis.refold.errors import TokenMissing, render
from gesta.apis.refold.inner_nodes import Entry, encode_inner
from gesta.apis.refold.models import (
    ExecutionDetail,
    ExecutionPage,
    LinkedAccount,
    SessionRevoked,
    SessionToken,
    SessionTokenRequest,
)
from gesta.apis.refold.paging import envelope
from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.kernel.json import decode_json, encode_json, encode_json_numbers
from gesta.ledger.records import Execution, RunDetail

PREFIX = "/api/v2/public"

# What browsers may read of an answer (protocols/refold.md §7).
CORS_RESPONSE_HEADERS = ("Retry-After", "X-Request-Id")


def build(services: Services) -> FastAPI:
    """The dialect as one application; the dispatcher hands it whole paths."""
    app = FastAPI(
        title=openapi.TITLE,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["*"],
        # Whatever is asked for: the SDKs' own headers, and those that tracing adds to every call of a page.
        allow_headers=["*"],
        expose_headers=list(CORS_RESPONSE_HEADERS),
    )
    common_errors.install(app, render)
    # On the application's own router: an included one would be one more step for each request.
    app.router.route_class = HotRoute
    _add_executions(app.router, services)
    _add_sessions(app.router, services)
    writing.add(app.router, services)
    openapi.install(app)
    return app


def _add_executions(router: APIRouter, services: Services) -> None:
    reading, access = services.reading, services.access
    printed = Printed(encode_json)

    async def list_executions(request: Request) -> Response:
        query = listing.read_query(request.scope["query_string"])
        principal, account = await auth.linked_account(access, request, query)
        asked = listing.read_list(query)
        rows, total = await listing.find(reading, principal, asked)
        scope = Scope.of(account, principal.organization.public_id)
        return _json(envelope([printed.of(row, partial(encode_item, row, scope)) for row in rows], total, asked.page))

    async def get_execution(request: Request) -> Response:
        query = listing.read_query(request.scope["query_string"])
        principal, account = await auth.linked_account(access, request, query)
        row = await listing.get(reading, principal, request.path_params["execution_id"])
        if row is None:
            raise NotFound("Execution not found", what="execution")
        inner = await _inner_nodes(services, principal, row)
        scope = Scope.of(account, principal.organization.public_id)
        return Response(encode_json_numbers(encode_detail(row, scope, inner)), media_type="application/json")

    one = {"parameters": [openapi.EXECUTION_ID, openapi.LINKED_ACCOUNT_QUERY], "security": openapi.EITHER}
    many = {"parameters": openapi.LIST_PARAMETERS, "security": openapi.EITHER}
    # The singular is the published path; the plural is that of 2023, kept as an alias (protocols/refold.md §2).
    for path, suffix in ((f"{PREFIX}/execution", ""), (f"{PREFIX}/executions", "_plural")):
        router.add_api_route(
            path,
            list_executions,
            methods=["GET"],
            operation_id=f"list_executions{suffix}",
            summary="List executions",
            tags=["Executions"],
            responses=openapi.responses(ExecutionPage, "One page, with exact totals"),
            openapi_extra=many,
        )
        router.add_api_route(
            path + "/{execution_id}",
            get_execution,
            methods=["GET"],
            operation_id=f"get_execution{suffix}",
            summary="Get an execution with its nodes",
            tags=["Executions"],
            responses=openapi.responses(ExecutionDetail, "The execution", 404),
            openapi_extra=one,
        )


async def _inner_nodes(services: Services, principal: Principal, row: Execution) -> Sequence[Entry]:
    """Of a run of Gesta's own that has a group; the record itself has the nodes on the top only."""
    grouped = isinstance(row.detail, RunDetail) and any(node.is_batch for node in row.detail.nodes)
    if services.workflows is None or not grouped:
        return ()
    try:
        return encode_inner(await services.workflows.runs.run(principal, row.id))
    except (Conflict, NotFound):
        # Recorded from elsewhere: what was recorded is all there is.
        return ()


def _add_sessions(router: APIRouter, services: Services) -> None:
    access = services.access

    async def create_session_token(request: Request) -> Response:
        query = listing.read_query(request.scope["query_string"])
        key = request.headers.get("x-api-key")
        if not key:
            raise TokenMissing()
        await auth.check_key(access, key)
        name = await _named_account(request) or auth.linked_account_id(request, query)
        principal, account = await auth.api_key(access, key, name)
        force_refresh = listing.read_flag(query, "force_refresh")
        tokens = await access.issue_session(principal, account, force_refresh=force_refresh)
        return _json(
            SessionToken(
                token=tokens.token,
                refresh_token=tokens.refresh_token,
                expires_in=tokens.expires_in_s,
                refresh_expires_in=tokens.refresh_expires_in_s,
            )
        )

    async def revoke_session_token(request: Request) -> Response:
        token = auth.bearer_token(request)
        if token is None:
            raise TokenMissing()
        return _json(SessionRevoked(success=True, revoked_count=await auth.revoke(access, token)))

    async def active_linked_account(request: Request) -> Response:
        query = listing.read_query(request.scope["query_string"])
        principal, account = await auth.linked_account(access, request, query)
        return _json(encode_account(account, await access.profile(account), principal))

    create: dict[str, Any] = {
        "parameters": [openapi.FORCE_REFRESH],
        "security": openapi.KEY_ONLY,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": openapi.reference(SessionTokenRequest)}},
        },
    }
    router.add_api_route(
        f"{PREFIX}/session-token",
        create_session_token,
        methods=["POST"],
        operation_id="create_session_token",
        summary="Open a session for a linked account",
        tags=["Session tokens"],
        responses=openapi.responses(SessionToken, "The session", 408, 413),
        openapi_extra=create,
    )
    router.add_api_route(
        f"{PREFIX}/session-token/revoke",
        revoke_session_token,
        methods=["POST"],
        operation_id="revoke_session_token",
        summary="End the caller's session",
        tags=["Session tokens"],
        responses=openapi.responses(SessionRevoked, "Whether a session ended"),
        openapi_extra={"security": openapi.TOKEN_ONLY},
    )
    router.add_api_route(
        f"{PREFIX}/session/active-linked-account",
        active_linked_account,
        methods=["GET"],
        operation_id="active_linked_account",
        summary="The linked account of the caller",
        tags=["Session tokens"],
        responses=openapi.responses(LinkedAccount, "The linked account"),
        openapi_extra={"parameters": [openapi.LINKED_ACCOUNT_QUERY], "security": openapi.EITHER},
    )


async def _named_account(request: Request) -> str | None:
    """`linked_account_id` of the body; None when the body is empty or has none. The dispatcher bounds the body."""
    try:
        body = await request.body()
    except ClientDisconnect:
        raise InvalidInput("The client left before its body was complete.") from None
    posted = decode_json(body) if body.strip() else {}
    if not isinstance(posted, dict):
        raise InvalidInput("The body must be a JSON object with `linked_account_id`.")
    name = posted.get("linked_account_id")
    if name is None:
        return None
    if not isinstance(name, str) or "\0" in name:
        raise InvalidInput("`linked_account_id` must be text.", field="linked_account_id")
    return name


def _json(value: Any) -> Response:
    return Response(encode_json(value), media_type="application/json")

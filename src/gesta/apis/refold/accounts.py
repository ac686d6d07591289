"""Linked accounts, as an organization's key manages them (protocols/refold.md §1).

Gesta keeps an account's id and environment. `name`, `udf` and `your_app` of a request are checked and not kept, since
nothing here uses them: an account is named by its id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gesta.access.face import Access
from gesta.access.model import Account, AccountType, Environment, Principal
from gesta.access.model import Scope as Right
from gesta.apis.common.services import Services
from gesta.apis.refold import auth, listing
from gesta.apis.refold.calls import MAX_WORD, json_answer, read_object, text_in
from gesta.apis.refold.errors import LinkedAccountMissing
from gesta.apis.refold.paging import envelope, read_page
from gesta.kernel.errors import InvalidInput, NotFound


class AccountCalls:
    def __init__(self, services: Services) -> None:
        self._access: Access = services.access

    async def create(self, request: Request) -> Response:
        account, is_new = await self._upsert(request)
        return json_answer(encode_account(account) | {"integrations": None, "new_account": is_new})

    async def upsert(self, request: Request) -> Response:
        """With a session token (the browser SDK) it is the session's own account."""
        token = auth.bearer_token(request)
        if token is not None:
            principal, account = await auth.session(self._access, token)
            principal.require(Right.RUN)
            posted = await read_object(request)
            named = _named(posted)
            if named is not None and named.casefold() != account.name.casefold():
                raise InvalidInput("A session changes its own linked account only.", field="account_id")
            return json_answer(encode_account(account) | {"new_account": False})
        account, is_new = await self._upsert(request)
        return json_answer(encode_account(account) | {"new_account": is_new})

    async def list_(self, request: Request) -> Response:
        query = listing.read_query(request.scope["query_string"])
        principal, environment = await self._key(request)
        principal.require(Right.READ)
        page = read_page(query.get("page"), query.get("limit"))
        found = [
            each
            for each in await self._access.accounts(principal.organization.id)
            if each.type is AccountType.LINKED and each.environment is environment
        ]
        found.sort(key=lambda each: -each.id)
        shown = found[page.offset : page.offset + page.limit]
        return json_answer(envelope([encode_account(each) for each in shown], len(found), page))

    async def get(self, request: Request) -> Response:
        principal, environment = await self._key(request)
        principal.require(Right.READ)
        name = request.path_params["linked_account_id"]
        account = None
        if 0 < len(name) <= MAX_WORD and name.isprintable():
            account = await self._access.account(principal.organization.id, name, AccountType.LINKED, environment)
        if account is None:
            raise NotFound(f"Linked Account with account id {name[:MAX_WORD]} not found", what="account")
        return json_answer(encode_account(account))

    async def _upsert(self, request: Request) -> tuple[Account, bool]:
        principal, environment = await self._key(request)
        principal.require(Right.RUN)
        name = _named(await read_object(request))
        if not name:
            raise LinkedAccountMissing()
        organization = principal.organization.id
        known = await self._access.account(organization, name, AccountType.LINKED, environment)
        if known is not None:
            return known, False
        made = await self._access.ensure_account(
            organization, name, AccountType.LINKED, environment, actor=principal.identity_name
        )
        return made, True

    async def _key(self, request: Request) -> tuple[Principal, Environment]:
        """An organization's key; a session of one account manages none."""
        principal = await auth.organization(self._access, request)
        assert principal.environment is not None, "an API key is of one environment"
        return principal, principal.environment


def _named(posted: Mapping[str, Any]) -> str | None:
    for word in ("name", "payload", "udf", "your_app"):
        value = posted.get(word)
        if value is not None and not isinstance(value, str if word == "name" else dict):
            raise InvalidInput(f"`{word}` must be {'text' if word == 'name' else 'an object'}.", field=word)
    name = text_in(posted, "account_id") or text_in(posted, "linked_account_id")
    return name.strip() if name else None


def encode_account(account: Account) -> dict[str, Any]:
    return {
        "_id": f"{account.id:024x}",
        "account_id": account.name,
        "linked_account_id": account.name,
        "name": account.name,
        "environment": account.environment.value,
        "udf": [],
        "integrations": [],
    }

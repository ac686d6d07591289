"""Linked accounts, as an organization's key manages them (protocols/refold.md §1).

`your_app` of a request is checked and not kept: Gesta keeps no credentials of others.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.face import Access
from gesta.access.model import Account, AccountProfile, AccountType, Environment, Principal
from gesta.access.model import Scope as Right
from gesta.apis.common.services import Services
from gesta.apis.refold import auth, listing
from gesta.apis.refold.calls import MAX_WORD, json_answer, read_object, text_in
from gesta.apis.refold.errors import LinkedAccountMissing
from gesta.apis.refold.paging import envelope, read_page
from gesta.kernel.errors import Conflict, InvalidInput, NotFound
from gesta.kernel.times import format_ms
from gesta.ledger.lifecycle import ACTIVE
from gesta.ledger.records import Kind

DELETED = "User deleted successfully"
MAX_FIELDS = 100
_AT_ONCE = 200


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says of an account. None: nothing."""

    account: str | None
    name: str | None
    fields: dict[str, Any] | None


class AccountCalls:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._access: Access = services.access

    async def create(self, request: Request) -> Response:
        printed, is_new = await self._upsert(request)
        return json_answer(printed | {"integrations": None, "new_account": is_new})

    async def upsert(self, request: Request) -> Response:
        """With a session token (the browser SDK) it is the session's own account."""
        token = auth.bearer_token(request)
        if token is None:
            printed, is_new = await self._upsert(request)
            return json_answer(printed | {"new_account": is_new})
        principal, account = await auth.session(self._access, token)
        principal.require(Right.RUN)
        said = read_said(await read_object(request))
        if said.account is not None and said.account.casefold() != account.name.casefold():
            raise InvalidInput("A session changes its own linked account only.", field="account_id")
        profile = await self._say(principal, account, said)
        return json_answer(encode_account(account, profile, principal) | {"new_account": False})

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
        docs = []
        for each in found[page.offset : page.offset + page.limit]:
            try:
                docs.append(encode_account(each, await self._access.profile(each), principal))
            except NotFound:
                # Removed meanwhile.
                continue
        return json_answer(envelope(docs, len(found), page))

    async def get(self, request: Request) -> Response:
        principal, environment = await self._key(request)
        principal.require(Right.READ)
        account = await self._named(request, principal, environment)
        return json_answer(encode_account(account, await self._access.profile(account), principal))

    async def delete(self, request: Request) -> Response:
        """With its workflows, its schedules and its sessions; what goes on of it is stopped. What is done already stays
        done where it fails half way: the account is there until the last, and may be deleted again."""
        principal, environment = await self._key(request)
        principal.require(Right.RUN)
        account = await self._named(request, principal, environment)
        own = msgspec.structs.replace(principal, account=account)
        if self._services.workflows is not None:
            await self._end(own, account)
        await self._access.remove_account(account, actor=principal.identity_name)
        return json_answer({"message": DELETED})

    async def _end(self, own: Principal, account: Account) -> None:
        doors = self._services.runs_workflows
        for workflow in [view.id async for view in self._workflows(own) if view.account == account.id]:
            await doors.definitions.delete(own, workflow)
        for schedule in await doors.triggers.schedules(own):
            if schedule.account == account.id:
                await doors.triggers.delete_schedule(own, schedule.id)
        query = self._services.reading.filter(own, kinds=frozenset({Kind.RUN}), statuses=ACTIVE)
        after = None
        while True:
            found = await self._services.reading.seek(own, query, after=after, limit=_AT_ONCE, newest_first=False)
            for row in found.rows:
                try:
                    await doors.runs.stop(own, row.id)
                except (Conflict, NotFound):
                    # Over meanwhile, or recorded from elsewhere.
                    continue
            if found.next is None:
                return
            after = found.next

    async def _workflows(self, own: Principal) -> AsyncGenerator[Any, None]:
        definitions = self._services.runs_workflows.definitions
        offset, total = 0, 1
        while offset < total:
            views, total = await definitions.list(own, offset=offset, limit=_AT_ONCE)
            if not views:
                return
            for view in views:
                yield view
            offset += len(views)

    async def _named(self, request: Request, principal: Principal, environment: Environment) -> Account:
        name, organization = request.path_params["linked_account_id"], principal.organization
        account = None
        if 0 < len(name) <= MAX_WORD and name.isprintable():
            account = await self._access.account(organization.id, name, AccountType.LINKED, environment)
        if account is None:
            raise NotFound(
                f"Linked Account with account id {name[:MAX_WORD]} for org {organization.public_id} in environment "
                f"{environment.value} not found",
                what="account",
            )
        return account

    async def _upsert(self, request: Request) -> tuple[dict[str, Any], bool]:
        principal, environment = await self._key(request)
        principal.require(Right.RUN)
        said = read_said(await read_object(request))
        if not said.account:
            raise LinkedAccountMissing()
        organization = principal.organization.id
        account = await self._access.account(organization, said.account, AccountType.LINKED, environment)
        is_new = account is None
        if account is None:
            account = await self._access.ensure_account(
                organization, said.account, AccountType.LINKED, environment, actor=principal.identity_name
            )
        return encode_account(account, await self._say(principal, account, said), principal), is_new

    async def _say(self, principal: Principal, account: Account, said: Said) -> AccountProfile:
        if said.name is None and said.fields is None:
            return await self._access.profile(account)
        return await self._access.put_profile(
            account, name=said.name, fields=said.fields, actor=principal.identity_name
        )

    async def _key(self, request: Request) -> tuple[Principal, Environment]:
        """An organization's key; a session of one account manages none."""
        principal = await auth.organization(self._access, request)
        assert principal.environment is not None, "an API key is of one environment"
        return principal, principal.environment


def read_said(posted: Mapping[str, Any]) -> Said:
    """What stands in `payload` goes before what stands beside it. Raises InvalidInput."""
    account = text_in(posted, "account_id") or text_in(posted, "linked_account_id")
    payload = _object_in(posted, "payload") or {}
    words = {**posted, **payload}
    your_app = _object_in(words, "your_app")
    if your_app is not None and not isinstance(your_app.get("auth_credentials"), dict):
        raise InvalidInput("your_app object requires auth_credentials", field="your_app")
    name = text_in(words, "name")
    if name is not None and not name.isprintable():
        raise InvalidInput("`name` has no control characters.", field="name")
    fields = _object_in(words, "udf")
    if fields is not None and (len(fields) > MAX_FIELDS or any(not key or len(key) > MAX_WORD for key in fields)):
        raise InvalidInput(
            f"`udf` has at most {MAX_FIELDS} fields, each by a name of up to {MAX_WORD} characters.", field="udf"
        )
    named = None if name is None else name.strip() or None
    return Said(account=account.strip() if account else None, name=named, fields=fields)


def _object_in(posted: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    value = posted.get(name)
    if value is not None and not isinstance(value, dict):
        raise InvalidInput(f"`{name}` must be an object.", field=name)
    return value


def encode_account(account: Account, profile: AccountProfile, principal: Principal) -> dict[str, Any]:
    return {
        "_id": f"{account.id:024x}",
        "associated_org": principal.organization.public_id,
        "account_id": account.name,
        "linked_account_id": account.name,
        "name": profile.name,
        "environment": account.environment.value,
        "udf": [{"key_name": name, "key_value": value} for name, value in profile.fields.items()],
        "integrations": [],
        "createdAt": format_ms(profile.created_at_us),
        "updatedAt": format_ms(profile.updated_at_us),
    }

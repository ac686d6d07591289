"""The routes of workflows: checked, saved, published, found, compared, put away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gesta.access.model import Principal, Scope
from gesta.apis.common.services import Services
from gesta.apis.native import params
from gesta.apis.native.auth import Directory
from gesta.apis.native.bodies import JSON, content_type, read_body
from gesta.apis.native.codec import decode_model
from gesta.apis.native.executors import Enter
from gesta.apis.native.workflow_codec import (
    decode_definition,
    decode_draft,
    encoder,
    view_diff,
    view_version,
    view_workflow,
)
from gesta.apis.native.workflow_models import PublishModel, ValidateModel, WorkflowModel, WorkflowStatusModel
from gesta.kernel.errors import InvalidInput, NotFound
from gesta.workflows.face import Definitions, WorkflowStatus, WorkflowView
from gesta.workflows.forms.reading import FORMS, form_of, header_of
from gesta.workflows.graph.diff import diff

MAX_ID = 256
T = TypeVar("T", bound=msgspec.Struct)

LIST: dict[str, params.Param] = {
    "search": params.text_param("Text in the name, without case.", "settle"),
    "slug": params.text_param("Of this slug.", "settlement"),
    "limit": params.integer_param(1, 1000, "Rows of the page.", 50),
    "offset": params.integer_param(0, 2**31 - 1, "Rows to pass over.", 0),
}
VERSION: dict[str, params.Param] = {
    "form": params.word_param(FORMS, "The form in which the definition is written.", "gesta")
}
DIFF: dict[str, params.Param] = {
    "from": params.integer_param(1, 2**31 - 1, "The version before. Default: the one before `to`."),
    "to": params.integer_param(1, 2**31 - 1, "The version after. Default: the newest."),
}


def path_word(request: Request, name: str, what: str) -> str:
    """An id or alias of the path. Raises NotFound for what can be none."""
    word = str(request.path_params[name])
    if not word or "\x00" in word or len(word) > MAX_ID:
        raise NotFound(f"There is no {what} {word[:128]!r}.", what=what)
    return word


def answer(value: Any, status: int = 200) -> Response:
    return Response(encoder.encode(value), status_code=status, media_type=JSON)


class WorkflowRoutes:
    """The handlers. `enter` authenticates and reads the query."""

    def __init__(self, services: Services, directory: Directory, enter: Enter) -> None:
        self._services = services
        self._directory = directory
        self._enter = enter

    @property
    def _door(self) -> Definitions:
        return self._services.runs_workflows.definitions

    async def _body(self, request: Request, model: type[T]) -> T:
        content_type(request, JSON)
        return decode_model(await read_body(request, self._services.limits), model)

    async def workflows(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._create(request)
        principal, given = await self._enter(request, LIST)
        offset, limit = given["offset"], given["limit"]
        found, total = await self._door.list(
            principal, search=given.get("search", ""), slug=given.get("slug", ""), offset=offset, limit=limit
        )
        items = await self._views(principal, found)
        return answer({"items": items, "total": total, "has_more": offset + len(items) < total})

    async def _create(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        principal.require(Scope.RUN)
        posted = await self._body(request, WorkflowModel)
        if posted.expected_version is not None:
            raise InvalidInput("A new workflow has no version to expect.", field="expected_version")
        # A large definition takes a while to be checked, which nobody else here has to wait for.
        view = await self._door.create(principal, await asyncio.to_thread(decode_draft, posted))
        if posted.publish:
            view = await self._door.publish(principal, view.id)
        return await self._view(principal, view, status=201)

    async def validate(self, request: Request) -> Response:
        """What is wrong with a definition is no error of the request."""
        principal, _ = await self._enter(request, {})
        principal.require(Scope.READ)
        posted = await self._body(request, ValidateModel)
        try:
            definition = await asyncio.to_thread(decode_definition, posted.definition, posted.form)
        except InvalidInput as error:
            problems = error.details.get("problems") or [{"node": "", "field": "", "message": error.message}]
            return answer({"is_valid": False, "form": None, "name": "", "nodes": 0, "problems": problems})
        form = posted.form if posted.form != "auto" else form_of(posted.definition)
        header = header_of(posted.definition)
        shown = {"is_valid": True, "form": form, "name": header.name, "nodes": len(definition.nodes), "problems": []}
        return answer(shown)

    async def workflow(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        word = path_word(request, "id", "workflow")
        if request.method == "GET":
            return await self._view(principal, await self._door.get(principal, word))
        if request.method == "DELETE":
            await self._door.delete(principal, word)
            return Response(status_code=204)
        # The workflow first: a stranger to it learns nothing but that it is not there, whatever the body.
        await self._door.get(principal, word)
        principal.require(Scope.RUN)
        posted = await self._body(request, WorkflowModel)
        view = await self._door.save(principal, word, await asyncio.to_thread(decode_draft, posted))
        if posted.publish:
            view = await self._door.publish(principal, view.id, version=view.newest_version)
        return await self._view(principal, view)

    async def versions(self, request: Request) -> Response:
        principal, _ = await self._enter(request, {})
        found = await self._door.versions(principal, path_word(request, "id", "workflow"))
        return answer({"items": [view_version(each) for each in found]})

    async def version(self, request: Request) -> Response:
        principal, given = await self._enter(request, VERSION)
        word, number = path_word(request, "id", "workflow"), path_word(request, "version", "version")
        wanted: int | None
        if number == "newest":
            wanted = (await self._door.get(principal, word)).newest_version
        elif number == "published":
            wanted = (await self._door.get(principal, word)).published_version
            if wanted is None:
                raise NotFound(f"Workflow {word} is not published.", what="version")
        elif number.isascii() and number.isdigit() and len(number) < 10:
            wanted = int(number)
        else:
            raise NotFound(f"A version is a number, `newest` or `published`, not {number[:64]!r}.", what="version")
        view = await self._door.version(principal, word, wanted)
        return answer(view_version(view, given["form"]))

    async def diff(self, request: Request) -> Response:
        principal, given = await self._enter(request, DIFF)
        word = path_word(request, "id", "workflow")
        after = given.get("to")
        if after is None:
            after = (await self._door.get(principal, word)).newest_version
        before = given.get("from", max(1, after - 1))
        old = await self._door.version(principal, word, before)
        new = await self._door.version(principal, word, after)
        return answer(view_diff(diff(old.definition, new.definition), before, after))

    async def publish(self, request: Request) -> Response:
        principal, word = await self._found(request)
        posted = await self._body(request, PublishModel)
        return await self._view(principal, await self._door.publish(principal, word, version=posted.version))

    async def unpublish(self, request: Request) -> Response:
        principal, word = await self._found(request)
        return await self._view(principal, await self._door.unpublish(principal, word))

    async def status(self, request: Request) -> Response:
        principal, word = await self._found(request)
        posted = await self._body(request, WorkflowStatusModel)
        view = await self._door.set_status(principal, word, WorkflowStatus(posted.status))
        return await self._view(principal, view)

    async def hook_secret(self, request: Request) -> Response:
        principal, word = await self._found(request)
        secret = await self._door.new_hook_secret(principal, word)
        view = await self._door.get(principal, word)
        return answer({"secret": secret, "hint": view.hook_secret_hint, "path": f"/ledger/hooks/{view.id}"})

    async def _found(self, request: Request) -> tuple[Principal, str]:
        principal, _ = await self._enter(request, {})
        word = path_word(request, "id", "workflow")
        await self._door.get(principal, word)
        principal.require(Scope.RUN)
        return principal, word

    async def _views(self, principal: Principal, views: Sequence[WorkflowView]) -> list[dict[str, Any]]:
        organization = principal.organization.id
        accounts = await self._directory.names(organization, [view.account for view in views if view.account])
        return [view_workflow(view, accounts.get(view.account)) for view in views]

    async def _view(self, principal: Principal, view: WorkflowView, *, status: int = 200) -> Response:
        return answer((await self._views(principal, [view]))[0], status)

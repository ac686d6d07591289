"""The demo's workflows: three files beside this module, published once and taken up after that."""

from __future__ import annotations

from importlib import resources

import msgspec

from gesta.access.model import Principal
from gesta.kernel.errors import NotFound
from gesta.workflows.face import Definitions, Draft, WorkflowStatus, WorkflowView
from gesta.workflows.forms.reading import header_of, read_definition
from gesta.workflows.graph.definition import Definition

WATCH_PRICES = "watch-prices"
TAKE_ORDER = "take-order"
OPEN_POSITION = "open-position"
ALIASES = (WATCH_PRICES, TAKE_ORDER, OPEN_POSITION)
# The property by which a workflow knows where the service is.
SERVICE = "service"


def document(alias: str) -> bytes:
    """A workflow's file, in YAML."""
    return resources.files("gesta.app.demo").joinpath("workflows", f"{alias}.yaml").read_bytes()


async def publish(definitions: Definitions, principal: Principal, service: str) -> dict[str, WorkflowView]:
    """The workflows by alias, private to the caller's account. What is there is left as it is, whoever changed it, but
    for the service's address."""
    return {alias: await _published(definitions, principal, alias, service) for alias in ALIASES}


async def _published(definitions: Definitions, principal: Principal, alias: str, service: str) -> WorkflowView:
    try:
        view = await definitions.get(principal, alias)
    except NotFound:
        written = document(alias)
        header = header_of(written)
        draft = Draft(
            definition=_with_service(read_definition(written), service),
            name=header.name,
            alias=header.alias,
            description=header.description,
            is_private=True,
        )
        view = await definitions.create(principal, draft)
        return await definitions.publish(principal, view.id)
    if view.status is WorkflowStatus.ARCHIVED:
        return view
    version = await definitions.version(principal, view.id)
    if version.definition.properties.get(SERVICE) != service:
        draft = Draft(definition=_with_service(version.definition, service))
        view = await definitions.save(principal, view.id, draft)
    elif view.published_version is not None:
        return view
    return await definitions.publish(principal, view.id)


def _with_service(definition: Definition, service: str) -> Definition:
    # What was written in another form says the old address; the graph is what runs.
    return msgspec.structs.replace(definition, properties={**definition.properties, SERVICE: service}, written=None)

"""A server that has an endpoint, runs one run and tells it; it is killed at a point on the way."""

from __future__ import annotations

import asyncio
import sys

from gesta.access.bootstrap import bootstrap
from gesta.access.model import Principal, Scope
from gesta.app.build import build
from gesta.app.settings import Settings, load_settings
from gesta.workflows.face import StartRun
from gesta.workflows.graph.definition import Definition, Edge, Node, NodeType
from gesta.workflows.hooks_face import EndpointIn, HookEvent

DEFINITION = Definition(
    nodes=(Node(id="start", type=NodeType.START), Node(id="t", type=NodeType.TRANSFORM, config={"value": 1})),
    edges=(Edge(source="start", target="t"),),
)


def settings_of(database: str) -> Settings:
    overrides = {
        "database.url": database,
        "trading.enabled": False,
        "workflows.allow_networks": "127.0.0.0/8",
        "log.requests": False,
    }
    return load_settings(overrides=overrides, environ={})


async def main(database: str, url: str) -> None:
    async with build(settings_of(database)) as server:
        await bootstrap(server.core.access, "test")
        (organization,) = await server.core.access.organizations()
        owner = Principal(
            organization=organization,
            identity_id=1,
            identity_name="owner",
            credential_id=1,
            scopes=frozenset({Scope.RUN}),
        )
        workflows = server.workflows
        assert workflows is not None
        await workflows.webhooks.create(owner, EndpointIn(url=url, events=(HookEvent.RUN_SUCCEEDED,)))
        await workflows.door.runs.start(owner, StartRun(definition=DEFINITION))
        # It is killed meanwhile.
        await asyncio.sleep(30)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""The workflow engine is loaded where it will be needed, and nowhere else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import asyncio, sys
from gesta.access.model import Principal, Scope
from gesta.app.build import build
from gesta.app.settings import load_settings
from gesta.workflows.face import Draft
from gesta.workflows.forms.reading import read_definition

async def life(settings, publish):
    async with build(settings) as server:
        loading = [task for task in asyncio.all_tasks() if task.get_name() == "loading of the workflow engine"]
        await asyncio.gather(*loading)
        print("dbos" in sys.modules)
        if publish:
            organization = await server.core.access.create_organization("Shop")
            scopes = frozenset({Scope.RUN})
            principal = Principal(
                organization=organization, identity_id=1, identity_name="b", credential_id=1, scopes=scopes
            )
            definition = read_definition({"name": "one", "nodes": [{"id": "start", "type": "start"}]})
            door = server.workflows.door.definitions
            view = await door.create(principal, Draft(definition=definition, name="one", alias="one"))
            await door.publish(principal, view.id)

settings = load_settings(None, {"database.url": sys.argv[1], "trading.enabled": False}, environ={})
asyncio.run(life(settings, True))
asyncio.run(life(settings, False))
"""


def test_a_server_with_a_published_workflow_loads_its_engine_at_its_start(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "gesta.sqlite3")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["False", "True"]), done.stderr

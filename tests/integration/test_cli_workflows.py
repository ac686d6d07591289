"""Workflows from the command line against a running server: checked, published, run, watched, stopped, run again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gesta.client import AsyncGesta, BadRequest, Conflict, Gesta
from tests.integration.test_cli_trading import Command, gesta, live, token

__all__ = ["gesta", "live", "token"]

GREET = """\
name: Greet
alias: greet
nodes:
  - {id: start, type: start}
  - id: each
    type: for_each
    items: "{{input.names}}"
    body:
      - {id: note, type: log, message: "greeted {{item}}"}
      - {id: made, type: transform, value: "Hello {{item}}"}
  - {id: say, type: response, body: "{{each}}"}
"""
ASK = """\
name: Ask
alias: ask
nodes:
  - {id: start, type: start}
  - {id: ask, type: human, title: "Go on?", timeout_s: 3600, resumed: done, timed_out: late}
  - {id: done, type: response, body: "{{ask}}"}
  - {id: late, type: terminate, outcome: failed, message: Too late.}
"""
FAIL = """\
name: Fail
alias: fail
nodes:
  - {id: start, type: start}
  - {id: a, type: transform, value: 1}
  - {id: b, type: terminate, outcome: failed, message: It is broken.}
"""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {}
    for name, text in (("greet", GREET), ("ask", ASK), ("fail", FAIL)):
        made[name] = tmp_path / f"{name}.yaml"
        made[name].write_text(text)
    return made


def test_a_workflow_from_its_file_to_its_runs(gesta: Command, files: dict[str, Path], tmp_path: Path) -> None:
    said = gesta("workflows", "validate", files["greet"])
    assert (said.code, said.out.strip()) == (0, "Valid: Greet, 5 nodes, gesta form, started by a call.")
    assert "No workflow." in gesta("workflows").out
    made = gesta("workflows", "publish", files["greet"])
    assert made.code == 0, made.err
    assert made.out.startswith("Published: Greet, version 1.")
    assert "gesta runs start greet --wait" in made.out

    (tmp_path / "in.json").write_text('{"names": ["Ada", "Grace"]}')
    ran = gesta("runs", "start", "greet", "-i", tmp_path / "in.json", "--wait")
    assert ran.code == 0, (ran.out, ran.err)
    assert ran.out.startswith("Succeeded: Greet, in ")
    assert "Hello Grace" in ran.out
    (run,) = gesta("runs", "list", "--workflow", "greet", "--json").json
    assert run["status"] == "succeeded"

    tree = gesta("runs", "show", run["id"][:8])
    assert tree.code == 0, tree.err
    for part in ("each  for_each  succeeded", "[0]  succeeded", "[1]  succeeded", "made  transform  succeeded"):
        assert part in tree.out
    assert "and 1 more of 2 rounds" in gesta("runs", "show", run["id"], "--rounds", 1).out
    whole = gesta("runs", "show", run["id"], "--json").json
    assert whole["nodes"][1]["rounds"]["items"][1]["nodes"][1]["output"] == "Hello Grace"
    lines = gesta("runs", "logs", "-f", run["id"]).out
    assert "greeted Ada" in lines
    assert "each[1]/made: succeeded" in lines

    again = gesta("runs", "rerun", run["id"], "-i", '{"names": ["Edsger"]}', "--wait", "--json")
    assert (again.code, again.json["detail"]["response_payload"]["body"]) == (0, ["Hello Edsger"]), again.err
    from_say = gesta("runs", "rerun", run["id"], "--from", "say", "--wait", "--json").json
    assert from_say["detail"]["response_payload"]["body"] == ["Hello Ada", "Hello Grace"]
    for words in (("workflows",), ("workflows", "show", "greet"), ("runs",), ("runs", "show", run["id"])):
        ended = gesta(*words)
        assert (ended.code, ended.err) == (0, "")
        assert max(map(len, ended.out.splitlines())) <= 80


def test_versions_are_compared(gesta: Command, files: dict[str, Path], tmp_path: Path) -> None:
    assert gesta("workflows", "publish", files["greet"]).code == 0
    changed = tmp_path / "changed.yaml"
    changed.write_text(GREET.replace("Hello {{item}}", "Hi {{item}}"))
    lines = gesta("workflows", "diff", "greet", changed).out
    assert 'config.value: "Hello {{item}}" → "Hi {{item}}"' in lines
    assert gesta("workflows", "publish", changed, "--draft").out.startswith("Saved: Greet, version 2.")
    assert gesta("workflows", "diff", "greet").out == lines
    assert gesta("workflows", "diff", "greet@1", "greet@1").out.strip() == "No difference."
    newest, first = gesta("workflows", "versions", "greet").out.splitlines()[-2:]
    assert (newest.split()[0], newest.split()[-1], first.split()[0], first.split()[-1]) == ("2", "–", "1", "live")
    assert "1 of 2" in gesta("workflows", "list").out
    with Gesta() as client:
        found = client.workflows.diff("greet")
        assert [each["id"] for each in found["nodes_changed"]] == ["made"]
        with pytest.raises(Conflict, match="somebody"):
            client.workflows.save("greet", GREET, expected_version=1)
        client.workflows.archive("greet")
        assert list(client.workflows.list()) == []


def test_a_secret_is_made_for_its_webhook(gesta: Command, files: dict[str, Path]) -> None:
    workflow = gesta("workflows", "publish", files["greet"], "--json").json["id"]
    made = gesta("workflows", "hook-secret", "greet")
    assert (made.code, len(made.out.splitlines())) == (0, 1), made.err
    assert f"POST /ledger/hooks/{workflow}" in made.err
    secret = made.out.strip()
    other = gesta("workflows", "hook-secret", workflow[:8], "--json").json
    assert other["path"] == f"/ledger/hooks/{workflow}"
    with Gesta() as client:
        row = client.workflows.get("greet")
    assert other["secret"].startswith(row["hook_secret_hint"])
    assert not secret.startswith(row["hook_secret_hint"])
    assert gesta("workflows", "hook-secret", "nobody").code == 2


def test_a_person_is_asked(gesta: Command, files: dict[str, Path]) -> None:
    gesta("workflows", "publish", files["ask"])
    began = gesta("runs", "start", "ask", "--wait", "--timeout", 0.3, "--json")
    assert began.code == 0, began.err
    assert "It goes on; `gesta runs show" in began.err
    run_id = began.json["id"]
    with Gesta() as client:
        for _ in range(100):
            if client.runs.get(run_id)["waits"]:
                break
            client._sleep(0.05)
    shown = gesta("runs", "show", run_id)
    assert f"gesta runs resume {run_id[:8]} ask" in " ".join(shown.out.split())
    assert gesta("runs", "resume", run_id, "ask", "-i", '{"approved": true}').out.strip() == "ask goes on."
    with Gesta() as client:
        assert client.runs.wait(run_id)["status"] == "succeeded"
    again = gesta("runs", "resume", run_id, "ask")
    assert (again.code, "does not wait" in again.err) == (2, True)

    other = gesta("runs", "start", "ask", "--json").json["id"]
    stopped = gesta("runs", "stop", other)
    assert (stopped.code, stopped.out.startswith("Cancelled: Ask")) == (0, True), stopped.err
    late = gesta("runs", "stop", other)
    assert (late.code, "over already" in late.err) == (2, True)


def test_many_at_once(gesta: Command, files: dict[str, Path]) -> None:
    gesta("workflows", "publish", files["fail"])
    failed = gesta("runs", "start", "fail", "--wait")
    assert (failed.code, failed.out.startswith("Failed: Fail")) == (2, True)
    assert "It is broken." in failed.out
    with Gesta() as client:
        for _ in range(4):
            client.runs.start("fail")
        workflow = client.workflows.get("fail")["id"]
        for row in client.runs.list(workflow_id=workflow):
            client.runs.wait(row["id"])
        with pytest.raises(BadRequest, match="condition"):
            client.runs.bulk("rerun")
        job = client.runs.bulk("rerun", workflow_id=workflow, status=["failed"])
        assert (job["total"], job["action"]) == (5, "rerun")
        for _ in range(200):
            job = client.runs.job(job["id"])
            if job["status"] != "running":
                break
            client._sleep(0.05)
        assert (job["status"], job["done"], job["failed"], job["errors"]) == ("finished", 5, 0, [])
        assert client.executions.count(kind="run", workflow_id=workflow) == 10


def test_schedules(gesta: Command, files: dict[str, Path]) -> None:
    gesta("workflows", "publish", files["greet"])
    assert "No schedule." in gesta("schedules").out
    wrong = gesta("schedules", "create", "greet", "--cron", "61 * * * *")
    assert (wrong.code, "cron" in wrong.err) == (2, True)
    assert gesta("schedules", "create", "greet").code == 2
    said = gesta("schedules", "create", "greet", "--cron", "0 9 * * 1", "--timezone", "Europe/Berlin", "-i", "[1]")
    assert said.code == 0, said.err
    assert said.out.startswith("Greet starts 0 9 * * 1 Europe/Berlin, next ")
    (row,) = gesta("schedules", "list", "--json").json
    assert (row["input"], row["catch_up"], row["is_paused"]) == ([1], "one", False)
    listed = gesta("schedules").out
    assert "greet" in listed
    assert max(map(len, listed.splitlines())) <= 80
    assert "is paused" in gesta("schedules", "pause", row["id"][:6]).out
    assert "paused" in gesta("schedules", "list").out
    assert "goes on, next" in gesta("schedules", "resume", row["id"]).out
    assert "is gone" in gesta("schedules", "delete", row["id"]).out
    missing = gesta("schedules", "pause", row["id"])
    assert (missing.code, "gesta schedules" in missing.err) == (2, True)


def test_what_is_wrong_says_what_would_be_right(gesta: Command, files: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(GREET.replace("transform", "transfrom").replace('"{{each}}"', '"{{nobody.x}}"'))
    for words in (("validate", broken), ("publish", broken)):
        said = gesta("workflows", *words)
        assert (said.code, said.out) == (2, "")
        assert "made.type" in said.err
        assert "transform" in said.err
    assert "No workflow." in gesta("workflows").out
    assert "gesta workflows" in gesta("workflows", "show", "nosuch").err
    assert "gesta runs" in gesta("runs", "show", "nosuch").err
    for words in (("runs", "start", "nosuch"), ("runs", "list", "--workflow", "nosuch")):
        assert "`gesta workflows` lists them" in gesta(*words).err
    assert gesta("runs", "start").code == 2
    assert "not JSON" in gesta("runs", "start", "greet", "-i", "{").err
    assert "No such file" in gesta("runs", "start", "greet", "-i", tmp_path / "none.json").err
    unsaved = gesta("runs", "start", "--file", files["greet"], "-i", '{"names": []}', "--wait", "--json")
    assert (unsaved.code, unsaved.json["status"]) == (0, "succeeded"), unsaved.err


def test_the_async_client(gesta: Command) -> None:
    async def work() -> Any:
        async with AsyncGesta() as client:
            assert (await client.workflows.validate(GREET))["is_valid"] is True
            made = await client.workflows.create(GREET, publish=True)
            first = await client.runs.start("greet", {"names": ["Ada"]}, wait_s=20, key="one", external_ref="o-7")
            again = await client.runs.start("greet", {"names": ["Ada"]}, key="one", external_ref="o-7")
            assert (first["is_new"], again["is_new"]) == (True, False)
            assert again["run"]["id"] == first["run"]["id"]
            assert first["answer"] == {"status_code": 200, "body": ["Hello Ada"]}
            assert [row["id"] async for row in client.runs.list(external_ref="o-7")] == [first["run"]["id"]]
            page = await client.runs.batches(first["run"]["id"], "each")
            assert [each["status"] for each in page["items"]] == ["succeeded"]
            taken = await client.runs.event("nothing.happened")
            assert taken["started"] == []
            schedule = await client.schedules.create(made["id"], every_s=3600)
            assert [row["id"] for row in await client.schedules.list()] == [schedule["id"]]
            await client.schedules.delete(schedule["id"])
            return [row["alias"] async for row in client.workflows.list()]

    assert asyncio.run(work()) == ["greet"]
    assert json.loads(gesta("workflows", "list", "--json").out)[0]["published_version"] == 1

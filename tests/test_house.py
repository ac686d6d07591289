"""The house keeps its own rules: the gates find nothing in the tree, and each finds what it is there for."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from gesta.ledger.lifecycle import TRANSITIONS
from gesta.ledger.records import Kind
from gesta.trading import order_states
from scripts import docs, gates

PYPROJECT = gates.ROOT / "pyproject.toml"


def test_the_gates_find_nothing_in_the_repository() -> None:
    assert list(gates.findings()) == []


def test_the_gates_look_at_the_package_itself() -> None:
    names = {path.relative_to(gates.ROOT).as_posix() for path in gates.tracked()}
    assert "src/gesta/ledger/records.py" in names
    assert names >= gates.AMBIENT_HOMES


def test_a_long_file_is_found() -> None:
    assert list(gates.size_findings("a.sql", "select 1;\n" * 801)) == ["a.sql: 801 lines, at most 800"]
    assert list(gates.size_findings("a.sql", "select 1;\n" * 800)) == []


def test_a_long_function_is_found_wherever_it_is_nested() -> None:
    body = "".join(f"        x = {number}\n" for number in range(90))
    text = f"class A:\n    async def long(self):\n{body}\n    def short(self):\n        pass\n"
    assert list(gates.size_findings("a.py", text)) == ["a.py:2: `long` has 91 lines, at most 90"]


@pytest.mark.parametrize(
    "text",
    [
        "import random",
        "import secrets as s",
        "from random import choice",
        "from time import time",
        "from time import monotonic as tick",
        "from uuid import uuid4",
        "import time\ntime.time()",
        "import time\nkey = time.perf_counter_ns",
        "import time as t\nt.monotonic()",
        "import uuid\nuuid.uuid4()",
        "import os\nos.urandom(8)",
        "import datetime\ndatetime.datetime.now()",
        "import datetime as dt\ndt.datetime.now(dt.UTC)",
        "from datetime import datetime, UTC\ndatetime.now(UTC)",
        "from datetime import date\ndate.today()",
        "def f():\n    import time\n    return time.time_ns()",
    ],
)
def test_ambient_time_and_randomness_are_found(text: str) -> None:
    assert list(gates.ambient_findings("a.py", text)) != []


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.sleep(1)",
        "import uuid\nuuid.UUID(bytes=b'x' * 16)",
        "from datetime import datetime, UTC\ndatetime(2026, 1, 1, tzinfo=UTC)",
        "def f(clock):\n    return clock.now_us()",
        "class time:\n    pass\nx = self.time.time()",
    ],
)
def test_what_is_not_ambient_passes(text: str) -> None:
    assert list(gates.ambient_findings("a.py", text)) == []


@pytest.mark.parametrize(
    "line",
    [
        "see /ro" + "ot/notes",
        "data in /wo" + "rk/shared",
        "/home/" + "someone/x",
        "https://py" + "pi.org/simple",
        "--index-" + "url x",
    ],
)
def test_addresses_of_machines_and_registries_are_found(line: str) -> None:
    assert len(list(gates.address_findings("a.md", f"fine\n{line}\n"))) == 1


@pytest.mark.parametrize("line", ["GET /v1/executions", "docs/work/x.md", "https://example.com/workflows/"])
def test_paths_of_the_product_pass(line: str) -> None:
    assert list(gates.address_findings("a.md", line)) == []


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-dev.txt"])
def test_the_locks_have_versions_and_hashes_and_no_addresses(name: str) -> None:
    text = (gates.ROOT / name).read_text("utf-8")
    pins = re.findall(r"^([A-Za-z0-9._-]+)==\S+", text, re.MULTILINE)
    assert len(pins) > 30
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[a-z0-9._-]+==\S+( ; [^\\]+)? \\\n    --hash=sha256:[0-9a-f]{64}", entry), entry[:80]
    assert "://" not in text


def test_every_declared_dependency_is_locked_and_the_locks_agree() -> None:
    project: dict[str, Any] = tomllib.loads(PYPROJECT.read_text("utf-8"))
    locks = {name: _pins(name) for name in ("constraints.txt", "constraints-dev.txt")}
    runtime = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    assert {_name(wanted) for wanted in runtime} <= locks["constraints.txt"].keys()
    wanted_dev = [*runtime, *project["project"]["optional-dependencies"]["dev"]]
    assert {_name(wanted) for wanted in wanted_dev} <= locks["constraints-dev.txt"].keys()
    assert locks["constraints.txt"].items() <= locks["constraints-dev.txt"].items()


def test_every_import_contract_says_its_name_and_the_layers_are_exhaustive() -> None:
    contracts = tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    assert all(contract["name"] for contract in contracts)
    (layers,) = [contract for contract in contracts if contract["type"] == "layers"]
    assert layers["exhaustive"] is True
    named = {name for layer in layers["layers"] for name in re.split(r"\s*\|\s*", layer)}
    packages = {path.parent.name for path in (gates.ROOT / "src/gesta").glob("*/__init__.py")}
    assert named | set(layers["exhaustive_ignores"]) == packages


def _pins(name: str) -> dict[str, str]:
    text = (gates.ROOT / name).read_text("utf-8")
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE))


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return found[0].lower().replace("_", "-").replace(".", "-")


def test_the_generated_pages_say_what_the_code_says() -> None:
    assert sorted(docs.stale()) == [], "run `make docs`"


def test_the_life_cycle_page_draws_every_transition_and_no_other() -> None:
    drawn: dict[str, set[tuple[str, str]]] = {}
    for section in docs.lifecycle_markdown().split("\n## ")[1:]:
        drawn[section.split("\n", 1)[0]] = set(re.findall(r"^    (\w+) --> (\w+)$", section, re.MULTILINE))
    for kind, title in ((Kind.FILL, "Fills"), (Kind.EXECUTOR, "Executors"), (Kind.RUN, "Runs")):
        table = TRANSITIONS[kind]
        assert drawn[title] == {(state, target) for state, following in table.items() for target in following}


def test_the_order_page_has_every_row_and_no_other() -> None:
    page = docs.order_lifecycle_markdown()
    rows = order_states.TRANSITIONS.items()
    arrows = set(re.findall(r"^    (\w+) --> (\w+): (.+)$", page, re.MULTILINE))
    drawn = {(state, target, event) for state, target, events in arrows for event in events.split(", ")}
    wanted = {(state, target, event) for state, following in rows for event, target in following.items()}
    assert drawn == {row for row in wanted if row[0] != row[1]}
    listed = re.findall(r"^\| `(\w+)` \| (.*→.*) \|$", page, re.MULTILINE)
    told = {(state, target, event) for state, row in listed for event, target in re.findall(r"(\w+) → `(\w+)`", row)}
    assert told == wanted


def test_every_link_between_the_pages_leads_somewhere() -> None:
    broken = []
    for page in [gates.ROOT / "README.md", *(gates.ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(gates.ROOT)}: {target}")
    assert broken == []


def test_the_index_leads_to_every_page() -> None:
    folder = gates.ROOT / "docs"
    linked = set(re.findall(r"\]\(([^)#\s]+)", (folder / "index.md").read_text("utf-8")))
    pages = {page.relative_to(folder).as_posix() for page in folder.rglob("*.md")}
    assert pages - {"index.md"} <= linked

"""One server per database for the whole folder, with three organizations in it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.hardening.house import House, Live, found_house, hold_a_position, rest_an_order


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    if request.param == "sqlite":
        with Live(**{"database.url": str(tmp_path_factory.mktemp("hardening") / "gesta.sqlite3")}) as server:
            yield server
        return
    postgres: Any = request.getfixturevalue("postgres_server")
    name = f"hardening_{uuid.uuid4().hex}"
    postgres.psql(f"CREATE DATABASE {name}")
    with Live(**{"database.url": postgres.get_uri(database=name)}) as server:
        yield server
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def houses(live: Live) -> dict[str, House]:
    """`alpha` is asked for, `beta` asks, `gamma` writes what is named like alpha's."""
    made = {tag: live.run(found_house(live.core, f"{tag}7q")) for tag in ("alpha", "beta", "gamma")}
    for house in made.values():
        live.run(rest_an_order(live.server, house))
        live.run(hold_a_position(live.server, house))
    return made


@pytest.fixture(scope="session")
def alpha(houses: dict[str, House]) -> House:
    return houses["alpha"]


@pytest.fixture(scope="session")
def beta(houses: dict[str, House]) -> House:
    return houses["beta"]


@pytest.fixture(scope="session")
def gamma(houses: dict[str, House]) -> House:
    return houses["gamma"]

from __future__ import annotations

import pytest

from gesta.apis.crosstrade.commands import BY_API, COMMANDS, PATHS
from gesta.apis.crosstrade.suggest import nearest, nearest_path


@pytest.mark.parametrize("name", list(BY_API))
def test_a_known_name_is_its_own_nearest(name: str) -> None:
    assert nearest(name, BY_API) == name
    assert nearest(name.upper(), BY_API) == name
    assert nearest(name[:-1], BY_API) == name


def test_every_path_is_its_own_nearest() -> None:
    for command in COMMANDS:
        path = command.path.replace("{account}", "Sim101").replace("{executionId}", "a").replace("{orderId}", "b")
        assert nearest_path(path, PATHS) == path


def test_names_that_the_caller_did_not_give_stay_open() -> None:
    assert nearest_path("/v1/api/acounts", PATHS) == "/v1/api/accounts"
    assert nearest_path("/v1/api/accounts/Sim101/execs", PATHS) == "/v1/api/accounts/Sim101/executions"


@pytest.mark.parametrize("path", ["", "/", "//////", "x" * 100_000, "/v1/api/" + "a/" * 50_000])
def test_any_path_has_a_nearest(path: str) -> None:
    assert nearest_path(path, PATHS).startswith("/")


def test_api_names_are_unique() -> None:
    assert len(BY_API) == len(COMMANDS)

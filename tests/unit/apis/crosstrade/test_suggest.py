from __future__ import annotations

import pytest

from gesta.apis.crosstrade.commands import BY_API, COMMANDS, PATHS
from gesta.apis.crosstrade.suggest import nearest, nearest_call, nearest_path


@pytest.mark.parametrize("name", list(BY_API))
def test_a_known_name_is_its_own_nearest(name: str) -> None:
    assert nearest(name, BY_API) == name
    assert nearest(name.upper(), BY_API) == name
    # The name of one may be another's without its last letter.
    assert nearest(name[:-1], BY_API) == (name[:-1] if name[:-1] in BY_API else name)


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


def test_a_name_is_of_one_command() -> None:
    """Two rows may share a name where the vendor has two paths for it; no other row's alias is one of them."""
    names = [name for command in COMMANDS for name in {command.api, *command.aliases}]
    assert {name for name in names if names.count(name) > 1} == {"Change", "GetQuote"}


@pytest.mark.parametrize(
    ("method", "path", "meant"),
    [
        ("DELETE", "/v1/api/accounts/a%20b/orders/x", "/v1/api/accounts/a%20b/orders/x/cancel"),
        ("DELETE", "/v1/api/accounts/{x}/orders/{y}", "/v1/api/accounts/{x}/orders/{y}/cancel"),
        ("GET", "/v1/api/order", "/v1/api/accounts/{account}/orders"),
        ("GET", "/v1/api/accounts/Sim101/order", "/v1/api/accounts/Sim101/orders"),
        ("BREW", "/v1/api/acounts", "/v1/api/accounts"),
        ("GET", "x" * 100_000, None),
    ],
)
def test_what_an_invented_call_meant(method: str, path: str, meant: str | None) -> None:
    found = nearest_call(method, path, PATHS)
    assert found.startswith("/")
    assert meant in (None, found)

"""Every error of the hierarchy has its problem."""

from __future__ import annotations

from typing import Any

import pytest

from gesta.apis.common import errors as common
from gesta.apis.native import errors
from gesta.apis.native.errors import PROBLEMS, headers_of, problem_of
from gesta.kernel import errors as kernel
from gesta.kernel.errors import Conflict, GestaError, InvalidInput, RateLimited, Unauthenticated


def tree(kind: type[GestaError]) -> list[type[GestaError]]:
    """The classes of the hierarchy that this dialect can meet."""
    here = [kind] if kind.__module__ in (kernel.__name__, common.__name__, errors.__name__) else []
    return here + [below for child in kind.__subclasses__() for below in tree(child)]


@pytest.mark.parametrize("kind", tree(GestaError))
def test_every_class_has_a_problem_of_its_own_status(kind: type[GestaError]) -> None:
    status, title = PROBLEMS[kind.code]
    assert status == kind.status
    assert title


def test_members() -> None:
    said = problem_of(InvalidInput("No.", field="limit", where="query"), instance="/x", request_id="r")
    assert (said.type, said.status, said.field, said.where) == ("/problems/invalid_input", 400, "limit", "query")
    assert (said.instance, said.request_id, said.detail) == ("/x", "r", "No.")
    refused = problem_of(Conflict("No.", current="failed", wanted="paid", allowed=["queued"]))
    assert (refused.current, refused.wanted, refused.allowed) == ("failed", "paid", ["queued"])


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (RateLimited("No.", retry_after_s=1.2), {"Retry-After": "2"}),
        (Unauthenticated("No.", reason="missing"), {"WWW-Authenticate": 'Bearer realm="gesta"'}),
        (
            Unauthenticated("No.", reason="expired"),
            {"WWW-Authenticate": 'Bearer realm="gesta", error="invalid_token"'},
        ),
        (InvalidInput("No."), {}),
    ],
)
def test_headers(error: Any, headers: dict[str, str]) -> None:
    assert headers_of(error) == headers


def test_an_unknown_code_is_internal() -> None:
    class Odd(GestaError):
        code = "odd"

    assert problem_of(Odd("x")).type == "/problems/internal"

from __future__ import annotations

import itertools

import pytest

from gesta.kernel.errors import Conflict
from gesta.ledger import lifecycle
from gesta.ledger.records import Kind, Status


@pytest.mark.parametrize(("kind", "current", "wanted"), list(itertools.product(Kind, Status, Status)))
def test_every_pair_is_allowed_or_refused_by_the_table(kind: Kind, current: Status, wanted: Status) -> None:
    if wanted in lifecycle.TRANSITIONS[kind].get(current, ()):
        lifecycle.check(kind, current, wanted)
        return
    with pytest.raises(Conflict) as caught:
        lifecycle.check(kind, current, wanted)
    assert f"cannot become {wanted}" in caught.value.message


def test_nothing_stays_as_it_is_by_transition() -> None:
    for table in lifecycle.TRANSITIONS.values():
        assert all(state not in following for state, following in table.items())


def test_final_states_of_fills_and_executors_are_final() -> None:
    assert lifecycle.TRANSITIONS[Kind.FILL] == {
        Status.SUCCEEDED: frozenset({Status.CANCELLED}),
        Status.CANCELLED: frozenset(),
    }
    for state in lifecycle.TERMINAL:
        assert lifecycle.TRANSITIONS[Kind.EXECUTOR][state] == frozenset()


def test_every_state_can_be_reached_from_a_birth_and_none_is_stuck() -> None:
    for table in lifecycle.TRANSITIONS.values():
        assert all(following <= table.keys() for following in table.values())
        stuck = {state for state, following in table.items() if not following}
        assert stuck <= lifecycle.TERMINAL


def test_births() -> None:
    lifecycle.check_birth(Kind.FILL, Status.SUCCEEDED)
    lifecycle.check_birth(Kind.RUN, Status.AWAITING_PAYMENT)
    for kind, status in ((Kind.FILL, Status.RUNNING), (Kind.EXECUTOR, Status.AWAITING_PAYMENT)):
        with pytest.raises(Conflict, match="cannot be"):
            lifecycle.check_birth(kind, status)

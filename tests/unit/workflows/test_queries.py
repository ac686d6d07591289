"""JSONata: what runs away is stopped, what differs each time is refused, one question knows nothing of another."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from gesta.kernel.bounded import BoundedPool, Bounds
from gesta.kernel.errors import InvalidInput
from gesta.workflows.graph.expressions import ExpressionError, Scope
from gesta.workflows.graph.rendering import check_query, query

SCOPE = Scope(outputs={"a": {"x": [1, 2.5, None]}, "n": 3}, input={"q": "é"}, moment_us=1_700_000_000_123_456)
#: The bound of real time, and what a start of a process on a busy machine may add.
MOST_S = 5.0 + 1.0 + 20.0


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("($f := function($x){$f($x)}; $f(1))", "processor"),  # a tail call: for ever, in no stack
        ("($f := function($x){$f($x) + 1}; $f(1))", "deep"),
        ("[1..1000000000]", "range|must not exceed"),
        ("[1..9999999]", "processor|memory|bytes"),
        ('($f := function($s, $n){$n = 0 ? $s : $f($s & $s, $n - 1)}; $f("x", 60))', "memory|processor"),
        ('$pad("x", 100000000000)', "memory"),
        ('$pad("x", 5000000)', "more than 4194304 bytes"),
        ('$match("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", /^(a+)+$/)', "processor"),
        ("(" * 5000, "deep|memory"),
    ],
)
def test_what_runs_away_is_stopped(expression: str, why: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ExpressionError, match=why):
        query(expression, SCOPE)
    assert time.monotonic() - begun < MOST_S
    assert query("n + 1", SCOPE) == 4  # and the next is answered


def test_waiting_is_bounded_in_real_time_too() -> None:
    pool = BoundedPool("gesta.workflows.graph.bounded_jobs", bounds=Bounds(processor_s=60, wall_s=0.3), workers=1)
    job = b'{"job":"query","expression":"($f := function($x){$f($x)}; $f(1))","document":null,"moment_ms":null}'
    try:
        with pytest.raises(InvalidInput, match=r"longer than 0\.3 s"):
            pool.perform(job)
    finally:
        pool.close()


@pytest.mark.parametrize(
    "expression", ["$random()", "$shuffle([1, 2])", '$eval("1")', "$map([1], $random)", "($r := $random; $r())"]
)
def test_what_differs_each_time_is_refused(expression: str) -> None:
    with pytest.raises(ExpressionError, match="is not allowed"):
        query(expression, SCOPE)


def test_now_is_the_moment_of_the_run() -> None:
    assert [query("$millis()", SCOPE) for _ in range(2)] == [1_700_000_000_123] * 2
    assert query('$now("[Y0001]-[M01]-[D01]")', SCOPE) == "2023-11-14"
    assert query('$toMillis("2020-01-01T00:00:00")', SCOPE) == 1_577_836_800_000  # whatever the zone of this machine
    with pytest.raises(ExpressionError, match="only within a run"):
        query("$now()", Scope())


def test_one_question_knows_nothing_of_another() -> None:
    assert query("($secret := 42; $secret)", SCOPE) == 42
    assert [query("$secret", SCOPE) for _ in range(3)] == [None] * 3
    assert query("($string := 1; $sum := function(){2}; $sum())", SCOPE) == 2
    assert [query("$sum([1, 2])", SCOPE) for _ in range(3)] == [3] * 3


def test_the_document() -> None:
    scope = Scope(outputs={"input": "a node", "d": Decimal("1.50")}, input=1)
    assert query("[input, nodes.input, $number(d)]", scope) == [1, "a node", 1.5]
    assert query("[d * 2, -d, d > 1, $sum([d, 0.25])]", scope) == [3, -1.5, True, 1.75]
    assert query("item", scope) is None
    assert query("$lookup(nodes, '__class__')", scope) is None


def test_a_number_beyond_a_float_is_an_error() -> None:
    with pytest.raises(ExpressionError, match="out of range"):
        query("d", Scope(outputs={"d": Decimal("1E+999")}))


@pytest.mark.parametrize(
    "expression", ["", " ", "1 +", "(", "{", "a[", "/(/", "x" * 70_000, "[function($x){$x}]", "1/0", '"\\ud800"']
)
def test_what_is_no_query_or_no_value_is_an_error(expression: str) -> None:
    with pytest.raises(ExpressionError):
        query(expression, SCOPE)


def test_syntax_is_checked_before_a_run() -> None:
    check_query("a.b[c > 1] ~> $sum()")
    for expression in ("", "1 +", "a.[", 5):
        with pytest.raises(ExpressionError) as failure:
            check_query(expression)  # type: ignore[arg-type]
        assert failure.value.field == "jsonata"


def test_too_much_data_is_an_error() -> None:
    with pytest.raises(ExpressionError, match="16777216"):
        query("1", Scope(input="x" * 17_000_000))
    with pytest.raises(ExpressionError, match="JSON cannot hold"):
        query("1", Scope(input=object()))


def test_many_threads_ask_at_once() -> None:
    def ask(number: int) -> object:
        return query(f"n * {number}", SCOPE)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(60))) == [3 * number for number in range(60)]

"""The node `python`, and who performs which type of node."""

from __future__ import annotations

import asyncio
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gesta.desk.reading import Reading
from gesta.kernel.errors import InvalidInput
from gesta.testing.fake_access import FakeAccess
from gesta.testing.fakes import ManualClock
from gesta.testing.memory_ledger import MemoryLedger
from gesta.workflows.graph.definition import PURE, WAITS, NodeType
from gesta.workflows.nodes.python import NodeFailed, PythonSteps, StepContext, gesta_step, load_steps
from gesta.workflows.nodes.registry import NodeSettings, open_performers
from tests.unit.workflows.nodes.bench import performance

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module that can be imported until the test's end, and give its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names = []

    def make(text: str) -> str:
        name = f"operators_steps_{tmp_path.name.replace('-', '_')}_{len(names)}"
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        names.append(name)
        return name

    yield make
    for name in names:
        sys.modules.pop(name, None)


async def call(steps: dict[str, Callable[..., Any]], function: str, arguments: Any = None, **changes: Any) -> Any:
    node = PythonSteps(steps, most_threads=2)
    try:
        input = {"function": function, "arguments": arguments}
        return (await node(performance(NodeType.PYTHON, input, **changes))).output
    finally:
        node.close()


async def fails(steps: dict[str, Callable[..., Any]], function: str, arguments: Any = None) -> NodeFailed:
    with pytest.raises(NodeFailed) as failure:
        await call(steps, function, arguments)
    return failure.value


# -- loading


def test_marked_functions_and_the_table_are_registered(write: Write) -> None:
    name = write(
        """
        import os
        from functools import partial
        from gesta.workflows.nodes.python import gesta_step

        @gesta_step()
        def plain(): return 1

        @gesta_step("other.name")
        async def named(): return 2

        alias = plain

        def hidden(): return 3

        STEPS = {"from_table": partial(pow, 2), "plain": plain}
        """
    )
    assert set(load_steps(name)) == {"plain", "other.name", "from_table"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import no_such_module_anywhere", "no_such_module_anywhere"),
        ("def f(:", "SyntaxError"),
        ("raise RuntimeError('out of order')", "out of order"),
        ("raise SystemExit(3)", "SystemExit"),
        ("x = 1", "registers no function"),
        ("STEPS = [1]", "must map names to functions"),
        ("STEPS = {'a': 1}", "must map names to functions"),
        ("STEPS = {1: print}", "must map names to functions"),
        ("STEPS = {'a': dict}", "whose parameters cannot be known"),
        (
            "from gesta.workflows.nodes.python import gesta_step\n"
            "@gesta_step('a')\ndef f(): pass\n@gesta_step('a')\ndef g(): pass",
            "two functions as 'a'",
        ),
    ],
)
def test_a_module_that_cannot_be_used_is_named(write: Write, text: str, words: str) -> None:
    name = write(text)
    with pytest.raises(InvalidInput) as failure:
        load_steps(name)
    assert name in failure.value.message
    assert words in failure.value.message
    assert failure.value.message.startswith("workflows.steps_module: ")
    assert failure.value.where == "settings"


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidInput, match="operators_missing_module"):
        load_steps("operators_missing_module")


async def test_the_page_about_it_works(write: Write) -> None:
    page = (Path(__file__).parents[4] / "docs/how-to/workflow-python-steps.md").read_text("utf-8")
    steps = load_steps(write(page.split("```python\n")[1].split("```")[0]))
    assert await call(steps, "price_of", {"plan": "pro"}) == {"plan": "pro", "amount": "29.00"}
    assert (await fails(steps, "price_of", {"plan": "none"})).is_final
    output = await call(steps, "billing.invoice", {"customer": "c", "amount": "9.00"})
    assert output == {"invoice": "c/run1/step", "amount": "9.00"}


def test_marking_changes_nothing_else() -> None:
    def double(x: int) -> int:
        return 2 * x

    assert gesta_step()(double) is double
    assert double(4) == 8


# -- calling


async def test_sync_functions_run_in_a_thread_and_async_ones_in_the_loop() -> None:
    here = threading.get_ident()

    def sync() -> bool:
        return threading.get_ident() == here

    async def direct() -> bool:
        return threading.get_ident() == here

    assert await call({"f": sync}, "f") is False
    assert await call({"f": direct}, "f") is True
    assert await call({"f": lambda: direct()}, "f") is True


async def test_no_more_threads_than_allowed() -> None:
    node = PythonSteps({"f": lambda: seen.append(gate.wait(10))}, most_threads=2)
    seen: list[bool] = []
    gate = threading.Event()
    calls = [asyncio.create_task(node(performance(NodeType.PYTHON, {"function": "f"}))) for _ in range(5)]
    await asyncio.sleep(0.05)
    running = [each for each in threading.enumerate() if each.name.startswith("workflow-step")]
    assert len(running) == 2
    gate.set()
    await asyncio.gather(*calls)
    assert seen == [True] * 5
    node.close()


async def test_what_goes_in_and_out_is_json() -> None:
    given = {"n": Decimal("1.10"), "items": [1, None, {"a": "b"}]}
    assert await call({"f": lambda n, items: {"n": n + 1, "items": items}}, "f", given) == {
        "n": Decimal("2.10"),
        "items": [1, None, {"a": "b"}],
    }
    moment = datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert await call({"f": lambda: (moment, {1})}, "f") == ["2026-03-10T12:00:00Z", [1]]


async def test_a_function_that_wants_it_is_told_where_it_is() -> None:
    def told(x: int, context: StepContext) -> Any:
        return [x, context.run_id, context.key, context.attempt, context.path, context.environment]

    output = await call({"f": told}, "f", {"x": 1}, attempt=3)
    assert output == [1, "run1", "run1/step", 3, "step", "production"]
    failure = await fails({"f": told}, "f", {"x": 1, "context": {}})
    assert failure.is_final
    assert "arguments.context" in failure.message


@pytest.mark.parametrize(
    ("arguments", "word"), [({}, "'x'"), ({"x": 1, "y": 2}, "'y'"), ([1], "arguments"), ("{", "arguments")]
)
async def test_arguments_that_do_not_fit(arguments: Any, word: str) -> None:
    failure = await fails({"f": lambda x: x}, "f", arguments)
    assert failure.is_final
    assert word in failure.message


@pytest.mark.parametrize("name", ["Double", "os.system", "__import__", "builtins.eval", ""])
async def test_only_what_is_registered_is_called(name: str) -> None:
    failure = await fails({"double": lambda x: x}, name, {"x": 1})
    assert failure.is_final
    assert "function" in failure.message.lower()


async def test_a_misspelt_name_is_told() -> None:
    assert "Did you mean `double`?" in (await fails({"double": lambda: 1}, "duoble")).message


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("not today"),
        KeyError("a"),
        TimeoutError("slow"),
        SystemExit(3),
        StopIteration("end"),
        OSError(5, "x"),
    ],
)
async def test_what_a_function_raises_may_be_tried_again(error: BaseException, is_async: bool) -> None:
    def sync() -> None:
        raise error

    async def direct() -> None:
        raise error

    failure = await fails({"f": direct if is_async else sync}, "f")
    assert not failure.is_final
    assert "`f` raised " in failure.message
    assert str(error) in failure.message or "StopIteration" in failure.message


async def test_a_function_may_say_that_another_attempt_is_of_no_use() -> None:
    def refuses() -> None:
        raise NodeFailed("The account is closed.", is_final=True, output={"code": 7})

    failure = await fails({"f": refuses}, "f")
    assert (failure.is_final, failure.message, failure.output) == (True, "The account is closed.", {"code": 7})


def _endless() -> Any:
    rows: list[Any] = []
    rows.append(rows)
    return rows


@pytest.mark.parametrize("made", [object, lambda: {(1, 2): 3}, lambda: Decimal("NaN"), _endless, lambda: "\ud800"])
async def test_what_is_no_json_is_refused(made: Callable[[], Any]) -> None:
    failure = await fails({"f": lambda: made()}, "f")
    assert failure.is_final
    assert "no JSON form" in failure.message


# -- who performs what


async def test_every_type_that_is_performed_has_a_performer(write: Write) -> None:
    name = write("STEPS = {'one': lambda: 1}")
    access, reading = FakeAccess(), Reading(MemoryLedger(ManualClock()))
    settings = NodeSettings(steps_module=name)
    async with open_performers(
        settings,
        access=access,  # type: ignore[arg-type]
        reading=reading,
        executors=None,
        trading=None,
        runs=None,
    ) as performers:
        assert set(performers) == set(NodeType) - PURE - WAITS - {NodeType.FOR_EACH, NodeType.TRY}
        done = await performers[NodeType.PYTHON](performance(NodeType.PYTHON, {"function": "one"}))
        assert done.output == 1
        for type_, setting in {
            NodeType.EXECUTOR_START: "trading.enabled",
            NodeType.ORDER_SUBMIT: "trading.enabled",
            NodeType.SUB_FLOW: "workflows.enabled",
        }.items():
            with pytest.raises(NodeFailed, match=setting) as failure:
                await performers[type_](performance(type_, {}))
            assert failure.value.is_final
    async with open_performers(
        NodeSettings(),
        access=access,  # type: ignore[arg-type]
        reading=reading,
        executors=None,
        trading=None,
        runs=None,
    ) as performers:
        with pytest.raises(NodeFailed, match=r"workflows\.steps_module"):
            await performers[NodeType.PYTHON](performance(NodeType.PYTHON, {"function": "one"}))


@pytest.mark.parametrize("settings", [NodeSettings(allow_networks=("here",)), NodeSettings(steps_module="no_such_one")])
async def test_wrong_settings_are_told_at_the_start(settings: NodeSettings) -> None:
    reading = Reading(MemoryLedger(ManualClock()))
    with pytest.raises(InvalidInput) as failure:
        async with open_performers(
            settings,
            access=FakeAccess(),  # type: ignore[arg-type]
            reading=reading,
            executors=None,
            trading=None,
            runs=None,
        ):
            pytest.fail("it was opened")
    assert failure.value.where == "settings"

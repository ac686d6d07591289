"""What happens to a run: edges, containers, waits, retries, ends."""

from __future__ import annotations

from typing import Any

import pytest

from gesta.workflows.graph.definition import Definition, Edge, Node, NodeType, Retry
from gesta.workflows.graph.plan import Plan
from gesta.workflows.graph.progress import (
    Event,
    Failed,
    NodeStatus,
    Outcome,
    Passed,
    Performed,
    Progress,
    StopAsked,
    Wait,
    WaitKind,
    Woken,
)
from gesta.workflows.graph.steps import begin, resume, step, todo
from gesta.workflows.runs.again import from_failure, from_node

START_US = 1_800_000_000_000_000
S = 1_000_000


def node(id: str, type: str = "http", scope: str = "", retry: Retry | None = None, **config: Any) -> Node:
    skips = config.pop("skips_errors", False)
    return Node(
        id=id,
        type=NodeType(type),
        config=config,
        scope=scope,
        retry=retry or Retry(),
        skips_errors=skips,
    )


def edges(*pairs: str) -> tuple[Edge, ...]:
    """`a>b`, or `a:branch>b`."""
    found = []
    for pair in pairs:
        source, target = pair.split(">")
        source, _, branch = source.partition(":")
        found.append(Edge(source=source, target=target, branch=branch))
    return tuple(found)


def flow(*nodes: Node, links: tuple[str, ...] = (), **changes: Any) -> Plan:
    return Plan(Definition(nodes=(node("start", "start"), *nodes), edges=edges(*links), **changes))


class Run:
    """A run, and the moment that it is."""

    def __init__(self, plan: Plan, input: Any = None) -> None:
        self.plan = plan
        self.at_us = START_US
        self.progress = begin(plan, input=input, meta={"run_id": "r"}, at_us=START_US)

    def tell(self, event: Event) -> Progress:
        self.progress = step(self.plan, self.progress, event)
        return self.progress

    def done(self, path: str, output: Any = None) -> Progress:
        return self.tell(Performed(path=path, output=output, at_us=self.at_us))

    def failed(self, path: str, *, final: bool = False) -> Progress:
        return self.tell(Failed(path=path, error="no", is_final=final, at_us=self.at_us))

    def passed(self, seconds: float) -> Progress:
        self.at_us = START_US + int(seconds * S)
        return self.tell(Passed(at_us=self.at_us))

    def status(self, path: str) -> NodeStatus | None:
        run = self.progress.runs.get(path)
        return None if run is None else run.status

    @property
    def performs(self) -> tuple[str, ...]:
        return todo(self.progress).performs


def test_one_after_the_other() -> None:
    run = Run(flow(node("a"), node("b", url="{{a.x}}"), links=("start>a", "a>b")), {"k": 1})
    assert run.performs == ("a",)
    run.done("a", {"x": 5})
    assert (run.performs, run.progress.runs["b"].input) == (("b",), {"url": 5})
    run.done("b", "end")
    assert (run.progress.outcome, run.progress.output) == (Outcome.SUCCEEDED, "end")
    assert todo(run.progress).next_us is None


def test_both_of_two_edges_are_waited_for_and_one_that_is_not_taken_holds_nothing_up() -> None:
    plan = flow(
        node("test", "if", condition={"left": "{{input.x}}", "op": "gt", "right": 1}),
        node("yes"),
        node("no"),
        node("other"),
        node("join", "merge"),
        links=("start>test", "start>other", "test:then>yes", "test:else>no", "yes>join", "no>join", "other>join"),
    )
    run = Run(plan, {"x": 2})
    assert (set(run.performs), run.status("no")) == ({"yes", "other"}, NodeStatus.SKIPPED)
    run.done("yes", 1)
    assert run.status("join") is None
    run.done("other", 2)
    assert (run.progress.outcome, run.progress.output) == (Outcome.SUCCEEDED, {"yes": 1, "other": 2})


def test_what_is_only_behind_a_skipped_node_is_skipped() -> None:
    plan = flow(
        node("test", "if", condition={"left": 1, "op": "eq", "right": 2}),
        node("a"),
        node("b"),
        links=("start>test", "test:then>a", "a>b"),
    )
    run = Run(plan)
    assert (run.status("a"), run.status("b")) == (NodeStatus.SKIPPED, NodeStatus.SKIPPED)
    assert run.progress.outcome is Outcome.SUCCEEDED


def test_a_retry_waits_longer_each_time_and_then_fails_the_run() -> None:
    plan = flow(node("a", retry=Retry(attempts=3, backoff_s=2, jitter=0.5)), node("b"), links=("start>a", "start>b"))
    run = Run(plan)
    run.failed("a")
    assert (run.status("a"), todo(run.progress).next_us) == (NodeStatus.RETRYING, START_US + 2 * S)
    run.passed(1)
    assert run.performs == ("b",)
    run.passed(2)
    assert run.performs == ("a", "b")
    run.tell(Failed(path="a", error="no", jitter=1.0, at_us=run.at_us))
    assert todo(run.progress).next_us == START_US + 2 * S + 6 * S
    run.passed(8)
    run.failed("a")
    assert (run.progress.outcome, run.progress.error, run.progress.error_path) == (Outcome.FAILED, "no", "a")
    assert (run.progress.runs["a"].attempts, run.status("b")) == (3, NodeStatus.STOPPED)


def test_a_final_failure_is_not_tried_again_and_one_that_is_skipped_goes_on() -> None:
    plan = flow(node("a", retry=Retry(attempts=5), skips_errors=True), node("b"), links=("start>a", "a>b"))
    run = Run(plan)
    run.failed("a", final=True)
    assert (run.status("a"), run.performs) == (NodeStatus.FAILED_SKIPPED, ("b",))


def test_a_template_that_comes_to_nothing_fails_its_node() -> None:
    run = Run(flow(node("a", url="{{input.missing}}"), links=("start>a",)), {})
    assert run.progress.outcome is Outcome.FAILED
    assert "missing" in run.progress.error


# -- containers


def test_rounds_go_on_so_many_at_once_and_their_outputs_keep_their_order() -> None:
    plan = flow(
        node("loop", "for_each", items="{{input}}", at_once=2),
        node("a", scope="loop", url="{{item}}"),
        node("after"),
        links=("start>loop", "loop>after"),
    )
    run = Run(plan, ["x", "y", "z"])
    assert run.performs == ("loop[0]/a", "loop[1]/a")
    assert run.progress.runs["loop[1]/a"].input == {"url": "y"}
    run.done("loop[1]/a", 2)
    assert run.performs == ("loop[0]/a", "loop[2]/a")
    run.done("loop[2]/a", 3)
    run.done("loop[0]/a", 1)
    assert run.progress.runs["loop"].output == [1, 2, 3]
    assert run.performs == ("after",)


def test_no_items_is_no_rounds() -> None:
    plan = flow(
        node("loop", "for_each", items="{{input}}"), node("a", scope="loop"), node("b"), links=("start>loop", "loop>b")
    )
    assert Run(plan, []).performs == ("b",)


def test_items_that_are_no_list_fail() -> None:
    run = Run(flow(node("loop", "for_each", items="{{input}}"), node("a", scope="loop"), links=("start>loop",)), {})
    assert run.progress.error == "`items` must come to a list, and came to an object."


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_round_that_fails(goes_on: bool) -> None:
    plan = flow(
        node("loop", "for_each", items="{{input}}", continue_on_error=goes_on),
        node("a", scope="loop"),
        links=("start>loop",),
    )
    run = Run(plan, [1, 2])
    run.failed("loop[0]/a")
    if not goes_on:
        assert (run.progress.outcome, run.progress.error_path) == (Outcome.FAILED, "loop")
        return
    run.done("loop[1]/a", "b")
    assert run.progress.output == [{"error": "no", "node": "a"}, "b"]


def test_what_fails_within_a_try_is_caught() -> None:
    plan = flow(
        node("try", "try"),
        node("a", scope="try"),
        node("b", scope="try"),
        node("caught", "transform", value="{{try.error}} at {{try.node}}"),
        node("fine"),
        links=("start>try", "a>b", "try:catch>caught", "try:done>fine"),
    )
    run = Run(plan)
    run.failed("try[0]/a")
    assert (run.status("fine"), run.progress.output) == (NodeStatus.SKIPPED, {"caught": "no at a"})
    other = Run(plan)
    other.done("try[0]/a")
    other.done("try[0]/b", 7)
    assert (other.performs, other.progress.runs["try"].output) == (("fine",), 7)


def test_containers_within_containers() -> None:
    plan = flow(
        node("outer", "for_each", items="{{input}}"),
        node("inner", "for_each", scope="outer", items="{{item}}", at_once=5),
        node("a", scope="inner", url="{{item}}"),
        links=("start>outer",),
    )
    run = Run(plan, [[1, 2], [3]])
    assert run.performs == ("outer[0]/inner[0]/a", "outer[0]/inner[1]/a")
    for path, output in (("outer[0]/inner[1]/a", "b"), ("outer[0]/inner[0]/a", "a"), ("outer[1]/inner[0]/a", "c")):
        run.done(path, output)
    assert run.progress.output == [["a", "b"], ["c"]]


# -- waits


def test_a_delay_is_over_at_its_moment() -> None:
    run = Run(flow(node("wait", "delay", seconds=30), node("a"), links=("start>wait", "wait>a")))
    assert todo(run.progress).waits["wait"] == Wait(kind=WaitKind.TIMER, until_us=START_US + 30 * S)
    run.passed(29)
    assert run.performs == ()
    run.passed(30)
    assert run.performs == ("a",)


def test_a_wait_is_resumed_once_or_times_out() -> None:
    plan = flow(
        node("wait", "wait_webhook", timeout_s=60),
        node("yes", "transform", value="{{wait.x}}"),
        node("late"),
        links=("start>wait", "wait:resumed>yes", "wait:timed_out>late"),
    )
    run = Run(plan)
    run.tell(Woken(path="wait", payload={"x": 1}, at_us=START_US + S))
    assert (run.progress.outcome, run.progress.output) == (Outcome.SUCCEEDED, {"yes": 1})
    before = run.progress
    assert run.tell(Woken(path="wait", payload={"x": 2}, at_us=START_US + S)) is before
    late = Run(plan)
    late.passed(60)
    assert late.performs == ("late",)


def test_a_wait_without_a_branch_for_its_timeout_times_the_run_out() -> None:
    run = Run(flow(node("wait", "wait_event", event="paid", timeout_s=60), links=("start>wait",)))
    assert todo(run.progress).waits["wait"].key == "paid"
    run.passed(60)
    assert (run.progress.outcome, run.status("wait")) == (Outcome.TIMED_OUT, NodeStatus.TIMED_OUT)


def test_what_was_begun_elsewhere_is_waited_for() -> None:
    run = Run(flow(node("a", "executor.await", executor_id="x"), links=("start>a",)))
    wait = Wait(kind=WaitKind.EXECUTOR, key="x")
    run.tell(Performed(path="a", wait=wait, at_us=START_US))
    assert todo(run.progress).waits == {"a": wait}
    run.tell(Woken(path="a", error="gone", at_us=START_US))
    assert (run.progress.outcome, run.progress.error) == (Outcome.FAILED, "gone")


# -- ends


def test_the_whole_run_has_a_limit() -> None:
    run = Run(flow(node("a"), links=("start>a",), timeout_s=10.0))
    assert todo(run.progress).next_us == START_US + 10 * S
    run.passed(10)
    assert (run.progress.outcome, run.status("a")) == (Outcome.TIMED_OUT, NodeStatus.TIMED_OUT)
    assert run.progress.error == "The run took longer than 10 s."


def test_a_stop_ends_everything_and_what_comes_after_changes_nothing() -> None:
    run = Run(flow(node("a"), node("w", "delay", seconds=5), links=("start>a", "start>w")))
    run.tell(StopAsked(at_us=START_US))
    assert (run.progress.outcome, run.status("a"), run.status("w")) == (
        Outcome.CANCELLED,
        NodeStatus.STOPPED,
        NodeStatus.STOPPED,
    )
    before = run.progress
    assert run.done("a") is before


def test_a_response_is_the_answer_and_the_run_goes_on() -> None:
    plan = flow(
        node("say", "response", status_code=202, body={"id": "{{input.id}}"}), node("a"), links=("start>say", "say>a")
    )
    run = Run(plan, {"id": 9})
    assert run.progress.answer is not None
    assert (run.progress.answer.status_code, run.progress.answer.body) == (202, {"id": 9})
    assert run.performs == ("a",)
    run.done("a", "ignored")
    assert run.progress.output == {"id": 9}


@pytest.mark.parametrize(("outcome", "expected"), [("failed", Outcome.FAILED), ("succeeded", Outcome.SUCCEEDED)])
def test_a_terminate_ends_the_run_where_it_stands(outcome: str, expected: Outcome) -> None:
    plan = flow(node("end", "terminate", outcome=outcome, message="enough"), node("a"), links=("start>end", "start>a"))
    run = Run(plan)
    assert (run.progress.outcome, run.status("a")) == (expected, None)
    assert (run.progress.error if outcome == "failed" else run.progress.output) == "enough"


def test_a_log_is_told_once() -> None:
    run = Run(
        flow(node("log", "log", message="at {{input}}", level="warning"), node("a"), links=("start>log", "log>a")), 4
    )
    assert [(line.level, line.message) for line in run.progress.lines] == [("warning", "at 4")]
    run.done("a")
    assert run.progress.lines == ()


# -- once more


def test_a_run_goes_on_from_its_failure() -> None:
    plan = flow(node("a"), node("b"), node("c"), links=("start>a", "a>b", "b>c"))
    run = Run(plan)
    run.done("a", 1)
    run.failed("b")
    again = from_failure(plan, run.progress, START_US + 9 * S)
    assert (todo(again).performs, again.runs["a"].output, again.outcome) == (("b",), 1, None)


def test_a_loop_goes_on_with_the_rounds_that_are_not_done() -> None:
    plan = flow(
        node("loop", "for_each", items="{{input}}"),
        node("a", scope="loop"),
        node("b", scope="loop"),
        links=("start>loop", "a>b"),
    )
    run = Run(plan, [1, 2, 3])
    for path in ("loop[0]/a", "loop[0]/b", "loop[1]/a"):
        run.done(path, path)
    run.failed("loop[1]/b")
    run.progress = from_failure(plan, run.progress, START_US)
    assert todo(run.progress).performs == ("loop[1]/b",)
    for path in ("loop[1]/b", "loop[2]/a", "loop[2]/b"):
        run.done(path, path)
    assert run.progress.output == ["loop[0]/b", "loop[1]/b", "loop[2]/b"]


def test_a_new_run_begins_at_a_node() -> None:
    plan = flow(node("a"), node("b", url="{{a}}"), links=("start>a", "a>b"))
    run = Run(plan, 1)
    run.done("a", "kept")
    run.done("b")
    fresh = from_node(plan, run.progress, "b", input=1, meta={}, at_us=START_US)
    assert (todo(fresh).performs, fresh.runs["b"].input) == (("b",), {"url": "kept"})


def test_opening_a_run_again_changes_nothing_that_is_over() -> None:
    run = Run(flow(node("a"), links=("start>a",)))
    assert resume(run.plan, run.progress, START_US).runs == run.progress.runs

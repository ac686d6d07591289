"""What happens to a run: `step(plan, progress, event)` gives how it stands after the event. Pure: no clock, no network,
no disk, no randomness.

Nothing here performs anything: `todo` says which nodes are to be performed, what the run waits for, and until when.
Whoever performs them tells the outcome as an event. The rules of edges and containers are in `definition.py`.
"""

from __future__ import annotations

from typing import Any, TypeGuard

import msgspec

from gesta.kernel.errors import InvalidInput
from gesta.workflows.graph.configs import moment_us, seconds
from gesta.workflows.graph.definition import (
    BRANCHES,
    CONTAINERS,
    DEFAULT_CASE,
    MOST_EVENT_NAME,
    MOST_ITEMS,
    PURE,
    Edge,
    Node,
    NodeType,
)
from gesta.workflows.graph.expressions import Item, Scope
from gesta.workflows.graph.plan import Plan
from gesta.workflows.graph.progress import (
    Answer,
    Event,
    Failed,
    Line,
    NodeRun,
    NodeStatus,
    Outcome,
    Passed,
    Performed,
    Progress,
    StopAsked,
    Todo,
    Wait,
    WaitKind,
    Woken,
)
from gesta.workflows.graph.rendering import holds, query, render

__all__ = ["begin", "node_of", "resume", "step", "todo"]

US = 1_000_000


def begin(plan: Plan, *, input: Any, meta: dict[str, str], at_us: int) -> Progress:
    """A run at its start. The payload has been checked against the definition's schema."""
    deadline_us = at_us + int(plan.definition.timeout_s * US)
    progress = Progress(input=input, meta=meta, begun_at_us=at_us, deadline_us=deadline_us)
    stepper = _Stepper(plan, progress, at_us)
    stepper.settle()
    return stepper.progress


def resume(plan: Plan, progress: Progress, at_us: int) -> Progress:
    """A run that is opened again: what follows from what it has done is begun."""
    stepper = _Stepper(plan, progress, at_us)
    stepper.settle()
    return stepper.progress


def step(plan: Plan, progress: Progress, event: Event) -> Progress:
    """The run after an event. What comes too late, or twice, changes nothing."""
    if progress.is_over:
        return progress
    stepper = _Stepper(plan, progress, event.at_us)
    match event:
        case Performed():
            stepper.performed(event)
        case Failed():
            stepper.failed(event)
        case Woken():
            stepper.woken(event)
        case Passed():
            stepper.passed()
        case StopAsked():
            stepper.end(Outcome.CANCELLED, NodeStatus.STOPPED)
    stepper.settle()
    return stepper.progress


def todo(progress: Progress) -> Todo:
    """What the run needs now. Nothing once it is over."""
    if progress.is_over:
        return Todo()
    performs, waits = [], {}
    moments = [] if progress.deadline_us is None else [progress.deadline_us]
    for path, run in progress.runs.items():
        if run.status is NodeStatus.READY:
            performs.append(path)
        elif run.status is NodeStatus.RETRYING and run.due_at_us is not None:
            moments.append(run.due_at_us)
        elif run.status is NodeStatus.WAITING and run.wait is not None:
            waits[path] = run.wait
            if run.wait.until_us is not None:
                moments.append(run.wait.until_us)
    return Todo(performs=tuple(performs), waits=waits, next_us=min(moments, default=None))


def node_of(plan: Plan, path: str) -> Node:
    """The node that a path visits."""
    return plan.nodes[path.rsplit("/", 1)[-1]]


class _Unhandled(Exception):
    """A node of a scope failed, and nothing within the scope takes it up."""

    def __init__(self, path: str, error: str) -> None:
        super().__init__(error)
        self.path = path
        self.error = error


class _Stepper:
    """One step in the making."""

    def __init__(self, plan: Plan, progress: Progress, at_us: int) -> None:
        self.plan = plan
        self.before = progress
        self.at_us = at_us
        self.runs = dict(progress.runs)
        self.lines: list[Line] = []
        self.changes: dict[str, Any] = {}

    @property
    def progress(self) -> Progress:
        return msgspec.structs.replace(self.before, runs=self.runs, lines=tuple(self.lines), **self.changes)

    @property
    def is_over(self) -> bool:
        return self.before.is_over or "outcome" in self.changes

    def change(self, path: str, **changes: Any) -> None:
        self.runs[path] = msgspec.structs.replace(self.runs[path], **changes)

    # -- events

    def performed(self, event: Performed) -> None:
        run = self.runs.get(event.path)
        if run is None or run.status is not NodeStatus.READY:
            return
        if event.wait is not None:
            self.change(event.path, status=NodeStatus.WAITING, wait=event.wait, output=event.output)
        else:
            # What it would have waited for was over already.
            branches = BRANCHES.get(node_of(self.plan, event.path).type, frozenset())
            self.change(event.path, attempts=run.attempts + 1)
            self.succeed(event.path, event.output, branch="resumed" if "resumed" in branches else "")

    def failed(self, event: Failed) -> None:
        run = self.runs.get(event.path)
        if run is None or run.status is not NodeStatus.READY:
            return
        retry, attempts = node_of(self.plan, event.path).retry, run.attempts + 1
        self.change(event.path, attempts=attempts, error=event.error, output=event.output)
        if event.is_final or attempts >= retry.attempts:
            self.fail(event.path, event.error)
            return
        wait_s = min(retry.backoff_s * retry.factor ** (attempts - 1), retry.most_s)
        wait_s *= 1 + retry.jitter * event.jitter
        wait_s = max(wait_s, min(event.retry_after_s, retry.most_s))
        self.change(event.path, status=NodeStatus.RETRYING, due_at_us=self.at_us + int(wait_s * US))

    def woken(self, event: Woken) -> None:
        run = self.runs.get(event.path)
        if run is None or run.status is not NodeStatus.WAITING:
            return
        if event.error:
            self.fail(event.path, event.error)
        else:
            self.succeed(event.path, event.payload, branch="resumed")

    def passed(self) -> None:
        deadline_us = self.before.deadline_us
        if deadline_us is not None and deadline_us <= self.at_us:
            seconds_ = self.plan.definition.timeout_s
            self.changes["error"] = f"The run took longer than {seconds_:g} s."
            self.end(Outcome.TIMED_OUT, NodeStatus.TIMED_OUT)
            return
        for path, run in list(self.runs.items()):
            if run.status is NodeStatus.RETRYING and (run.due_at_us or 0) <= self.at_us:
                self.change(path, status=NodeStatus.READY, due_at_us=None)
            elif run.status is NodeStatus.WAITING and _is_over(run.wait, self.at_us):
                self.waited_out(path, run.wait)

    def waited_out(self, path: str, wait: Wait) -> None:
        if wait.kind is WaitKind.TIMER:
            self.succeed(path, None)
        elif any(edge.branch == "timed_out" for edge in self.plan.outgoing[node_of(self.plan, path).id]):
            self.succeed(path, {"timed_out": True}, branch="timed_out")
        else:
            self.fail(path, "Nothing came before its time was over.", status=NodeStatus.TIMED_OUT)

    # -- what becomes of a node

    def succeed(self, path: str, output: Any, *, branch: str = "") -> None:
        self.change(
            path,
            status=NodeStatus.SUCCEEDED,
            output=output,
            branch=branch,
            error="",
            wait=None,
            due_at_us=None,
            finished_at_us=self.at_us,
        )

    def fail(self, path: str, error: str, *, status: NodeStatus = NodeStatus.FAILED) -> None:
        if node_of(self.plan, path).skips_errors:
            status = NodeStatus.FAILED_SKIPPED
        self.change(path, status=status, error=error, wait=None, due_at_us=None, finished_at_us=self.at_us)

    def end(self, outcome: Outcome, status: NodeStatus) -> None:
        """The run is over; what is not, ends with this status."""
        self.stop_all("", status)
        self.changes["outcome"] = outcome

    def stop_all(self, prefix: str, status: NodeStatus = NodeStatus.STOPPED) -> None:
        for path, run in list(self.runs.items()):
            if path.startswith(prefix) and not run.status.is_over:
                self.change(path, status=status, wait=None, due_at_us=None, finished_at_us=self.at_us)

    # -- what follows

    def settle(self) -> None:
        """Begin and decide everything that can be."""
        if self.is_over:
            return
        try:
            is_over = self.settle_scope("", "")
        except _Unhandled as failure:
            self.changes |= {"error": failure.error, "error_path": failure.path}
            timed_out = self.runs[failure.path].status is NodeStatus.TIMED_OUT
            self.end(Outcome.TIMED_OUT if timed_out else Outcome.FAILED, NodeStatus.STOPPED)
            return
        if is_over and not self.is_over:
            answer = self.changes.get("answer", self.before.answer)
            self.changes["output"] = self.result_of("", "") if answer is None else answer.body
            self.end(Outcome.SUCCEEDED, NodeStatus.STOPPED)

    def settle_scope(self, prefix: str, scope: str) -> bool:
        """Whether everything in a body is over. Raises _Unhandled for a node that failed."""
        is_over = True
        for node in self.plan.body(scope):
            path = prefix + node.id
            if path not in self.runs:
                taken = self.is_reached(prefix, node)
                if taken is None:
                    is_over = False
                    continue
                self.arrive(path, node) if taken else self.skip(path)
            if self.is_over:
                return True
            run = self.runs[path]
            if run.status is NodeStatus.RUNNING:
                self.settle_rounds(path, node)
                run = self.runs[path]
            if run.status in (NodeStatus.FAILED, NodeStatus.TIMED_OUT):
                raise _Unhandled(path, run.error)
            is_over = is_over and run.status.is_over
        return is_over

    def is_reached(self, prefix: str, node: Node) -> bool | None:
        """Whether an edge into it was taken; None while one of them is not decided."""
        edges = self.plan.incoming[node.id]
        if not edges:
            return True
        taken = [self.is_taken(prefix, edge) for edge in edges]
        return None if None in taken else any(taken)

    def is_taken(self, prefix: str, edge: Edge) -> bool | None:
        run = self.runs.get(prefix + edge.source)
        if run is None or not run.status.is_over:
            return None
        if run.status not in (NodeStatus.SUCCEEDED, NodeStatus.FAILED_SKIPPED):
            return False
        return not edge.branch or edge.branch == run.branch

    def skip(self, path: str) -> None:
        self.runs[path] = NodeRun(status=NodeStatus.SKIPPED)

    def arrive(self, path: str, node: Node) -> None:
        """A node is reached: it is decided at once, waits, has its body begun, or is to be performed."""
        self.runs[path] = NodeRun(status=NodeStatus.READY, started_at_us=self.at_us)
        try:
            if node.type in PURE:
                self.decide(path, node)
            elif node.type in CONTAINERS:
                self.open(path, node)
            else:
                input = render(node.config, self.scope_of(path))
                self.change(path, input=input)
                self.wait(path, node, input)
        except InvalidInput as error:
            self.fail(path, error.message)

    def decide(self, path: str, node: Node) -> None:
        scope, config = self.scope_of(path), node.config
        output: Any = None
        branch = ""
        match node.type:
            case NodeType.START:
                output = self.before.input
            case NodeType.TRANSFORM:
                expression = config.get("jsonata")
                output = render(config.get("value"), scope) if expression is None else query(expression, scope)
            case NodeType.IF:
                output = holds(config["condition"], scope)
                branch = "then" if output else "else"
            case NodeType.SWITCH:
                cases = config.get("cases", ())
                branch = next((case["branch"] for case in cases if holds(case["condition"], scope)), DEFAULT_CASE)
                output = branch
            case NodeType.MERGE:
                output = self.merged(path, node)
            case NodeType.RESPONSE:
                output = self.answer(config, scope)
            case NodeType.LOG:
                output = self.log(path, config, scope)
            case _:
                self.terminate(path, config, scope)
                return
        self.change(path, attempts=1)
        self.succeed(path, output, branch=branch)

    def merged(self, path: str, node: Node) -> dict[str, Any]:
        """The outputs of the nodes whose edges were taken, by their ids."""
        prefix = path[: len(path) - len(node.id)]
        edges = [edge for edge in self.plan.incoming[node.id] if self.is_taken(prefix, edge)]
        return {edge.source: self.runs[prefix + edge.source].output for edge in edges}

    def answer(self, config: dict[str, Any], scope: Scope) -> Any:
        code = render(config.get("status_code", 200), scope)
        if isinstance(code, str) and code.isdecimal():
            code = int(code)
        if isinstance(code, bool) or not isinstance(code, int) or not 200 <= code <= 599:
            raise InvalidInput(f"`status_code` must be between 200 and 599, and is {code!r}.", field="status_code")
        body = render(config.get("body"), scope)
        self.changes["answer"] = Answer(status_code=code, body=body)
        return body

    def log(self, path: str, config: dict[str, Any], scope: Scope) -> str:
        message = render(config.get("message", ""), scope)
        text = message if isinstance(message, str) else msgspec.json.encode(message).decode()
        self.lines.append(Line(path=path, level=str(config.get("level", "info")), message=text, at_us=self.at_us))
        return text

    def terminate(self, path: str, config: dict[str, Any], scope: Scope) -> None:
        """End the run here and now, well or badly."""
        message = str(render(config.get("message", ""), scope))
        fails = config.get("outcome", "succeeded") == "failed"
        self.change(path, attempts=1)
        if fails:
            self.change(path, status=NodeStatus.FAILED, error=message, finished_at_us=self.at_us)
            self.changes |= {"error": message or "The workflow ended itself as failed.", "error_path": path}
        else:
            self.succeed(path, message)
            self.changes["output"] = message or None
        self.end(Outcome.FAILED if fails else Outcome.SUCCEEDED, NodeStatus.STOPPED)

    def wait(self, path: str, node: Node, input: dict[str, Any]) -> None:
        """For what waits by itself; everything else stays ready to be performed."""
        limit = input.get("timeout_s", node.timeout_s)
        until_us = None if limit is None else self.at_us + int(seconds(limit, "timeout_s") * US)
        match node.type:
            case NodeType.DELAY:
                until = input.get("until")
                if until is not None:
                    wait = Wait(kind=WaitKind.TIMER, until_us=moment_us(until, "until"))
                else:
                    for_us = int(seconds(input.get("seconds", 0), "seconds") * US)
                    wait = Wait(kind=WaitKind.TIMER, until_us=self.at_us + for_us)
            case NodeType.WAIT_WEBHOOK:
                wait = Wait(kind=WaitKind.WEBHOOK, until_us=until_us)
            case NodeType.WAIT_EVENT:
                wait = Wait(kind=WaitKind.EVENT, key=_event_name(input["event"]), until_us=until_us)
            case NodeType.HUMAN:
                wait = Wait(kind=WaitKind.HUMAN, until_us=until_us)
            case _:
                return
        self.change(path, status=NodeStatus.WAITING, wait=wait, attempts=1)

    # -- containers

    def open(self, path: str, node: Node) -> None:
        items: Any = [None]
        if node.type is NodeType.FOR_EACH:
            items = render(node.config["items"], self.scope_of(path))
            if not isinstance(items, list):
                raise InvalidInput(f"`items` must come to a list, and came to {_kind(items)}.", field="items")
            if len(items) > MOST_ITEMS:
                raise InvalidInput(f"`items` has {len(items)} entries; {MOST_ITEMS} is the most.", field="items")
        self.change(path, status=NodeStatus.RUNNING, items=items, attempts=1, output=[None] * len(items))

    def settle_rounds(self, path: str, node: Node) -> None:
        at_once = max(1, int(node.config.get("at_once", 1)))
        while True:
            run = self.runs[path]
            items = run.items or []
            fresh = range(run.begun, min(len(items), run.begun + at_once - len(run.active)))
            active = [*run.active, *fresh]
            self.change(path, active=tuple(active), begun=run.begun + len(fresh))
            over = [number for number in active if self.settle_round(path, node, number)]
            if self.is_over or self.runs[path].status is not NodeStatus.RUNNING:
                return
            if not over:
                break
            self.change(path, active=tuple(number for number in active if number not in over))
        run = self.runs[path]
        if not run.active and run.begun == len(items):
            results = run.output if node.type is NodeType.FOR_EACH else (run.output or [None])[0]
            self.succeed(path, results, branch="done" if node.type is NodeType.TRY else "")

    def settle_round(self, path: str, node: Node, number: int) -> bool:
        prefix = f"{path}[{number}]/"
        result: Any = None
        try:
            if not self.settle_scope(prefix, node.id):
                return False
            result = self.result_of(prefix, node.id)
        except _Unhandled as failure:
            if self.is_over:
                return True
            self.stop_all(prefix)
            error = {"error": failure.error, "node": failure.path.rsplit("/", 1)[-1]}
            if node.type is NodeType.TRY:
                self.succeed(path, error, branch="catch")
                return True
            if not node.config.get("continue_on_error", False):
                self.stop_all(f"{path}[")
                self.fail(path, failure.error)
                return True
            result = error
        results = list(self.runs[path].output)
        results[number] = result
        self.change(path, output=results)
        return True

    def result_of(self, prefix: str, scope: str) -> Any:
        """What a body comes to: the output of its last node, or of each of its last nodes by their ids."""
        last = [node.id for node in self.plan.body(scope) if not self.plan.outgoing[node.id]]
        done = {id: run for id in last if (run := self.runs.get(prefix + id)) and run.status is NodeStatus.SUCCEEDED}
        if len(last) == 1:
            return done[last[0]].output if done else None
        return {id: run.output for id, run in done.items()}

    # -- what an expression may name

    def scope_of(self, path: str) -> Scope:
        outputs: dict[str, Any] = {}
        items: list[Item] = []
        parts = path.split("/")
        prefix = scope = ""
        for depth, part in enumerate(parts):
            for node in self.plan.body(scope):
                run = self.runs.get(prefix + node.id)
                if run is not None and run.status.is_over:
                    outputs[node.id] = run.output
            if depth == len(parts) - 1:
                break
            container, _, rest = part.partition("[")
            number = int(rest[:-1])
            around = self.runs[prefix + container].items or []
            if self.plan.nodes[container].type is NodeType.FOR_EACH:
                items.append(Item(around[number], number, len(around), container))
            prefix, scope = f"{prefix}{part}/", container
        return Scope(
            outputs=outputs,
            input=self.before.input,
            items=tuple(items),
            properties=self.plan.definition.properties,
            meta=self.before.meta,
            moment_us=self.before.begun_at_us,
        )


def _is_over(wait: Wait | None, at_us: int) -> TypeGuard[Wait]:
    return wait is not None and wait.until_us is not None and wait.until_us <= at_us


def _event_name(rendered: Any) -> str:
    """Of the event that is waited for. Raises InvalidInput for what no event can be called."""
    name = str(rendered)
    if not 0 < len(name) <= MOST_EVENT_NAME or not name.isprintable():
        most = f"up to {MOST_EVENT_NAME} printable characters"
        raise InvalidInput(f"`event` must come to a name of {most}, and came to {name[:64]!r}.", field="event")
    return name


def _kind(value: Any) -> str:
    names = {dict: "an object", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return "nothing" if value is None else names.get(type(value), "something else")

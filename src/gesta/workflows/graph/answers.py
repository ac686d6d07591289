"""What a person answers has to meet the form that the node asked with."""

from __future__ import annotations

from typing import Any

from gesta.workflows.graph.progress import NodeStatus, Progress, WaitKind
from gesta.workflows.graph.schemas import check_input


def check_answer(progress: Progress, path: str, payload: Any) -> None:
    """Whether an answer fits the form of the `human` node that waits at the path, its templates filled in. Nothing is
    checked where no person is waited for, or was asked without a form.

    Raises InvalidInput as `check_input` does; the node waits on. It is applied in another process: call it in a thread.
    """
    run = progress.runs.get(path)
    if run is None or run.status is not NodeStatus.WAITING or run.wait is None or run.wait.kind is not WaitKind.HUMAN:
        return
    form = run.input.get("form") if isinstance(run.input, dict) else None
    if isinstance(form, dict):
        check_input(form, payload, field="payload", what=f"The answer to `{path}`")

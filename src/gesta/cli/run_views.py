"""How runs are printed: a table of many, one as a tree with timings and rounds, one line of a log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from gesta.cli.tables import epoch_ms, is_wide, listing, short, when

STYLES = {
    "running": "cyan",
    "waiting": "yellow",
    "stopping": "yellow",
    "awaiting_payment": "yellow",
    "succeeded": "green",
    "failed": "red",
    "timed_out": "red",
    "cancelled": "dim",
    "rejected": "dim",
    "ready": "dim",
    "skipped": "yellow",
}
_LEVEL_STYLES = {"error": "red", "warning": "yellow", "debug": "dim"}
# A node that was passed over, and one that nothing came of and the run went on without.
_WORDS = {"rejected": "not taken", "skipped": "failed, passed over", "ready": "not begun", "timed_out": "timed out"}
_LONGEST = 300


def took(milliseconds: int | None) -> str:
    """`12 ms`, `3.4 s`, `2 m 05 s`, `3 h 12 m`."""
    if milliseconds is None:
        return ""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    seconds = milliseconds // 1000
    if seconds < 60:
        return f"{milliseconds / 1000:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} m"


def duration_ms(row: dict[str, Any]) -> int | None:
    """Of a run that is over."""
    if not row.get("finished_at"):
        return None
    return max(0, epoch_ms(row["finished_at"]) - epoch_ms(row["started_at"] or row["created_at"]))


def status(name: str) -> Text:
    return Text(_WORDS.get(name, name.replace("_", " ")), style=STYLES.get(name, ""))


def table_of(rows: Sequence[dict[str, Any]]) -> Table:
    wide = is_wide()
    empty = "" if rows else "No run. `gesta runs start WORKFLOW` starts one."
    table = listing(
        "ID", "Time", "Workflow", "Status", "Took", right=("Took",), fold=("Time", "Workflow", "Status"), empty=empty
    )
    for row in rows:
        workflow = row["detail"]["workflow"] or {}
        table.add_row(
            Text(short(str(row["id"]), wide=wide)),
            Text(when(epoch_ms(row["created_at"]))),
            Text(str(workflow.get("name") or workflow.get("id") or row["name"])),
            status(row["status"]),
            Text(took(duration_ms(row))),
        )
    return table


def sentence(row: dict[str, Any]) -> Text:
    """`Succeeded: Greet, in 1.2 s.`"""
    word = status(row["status"])
    workflow = row["detail"]["workflow"] or {}
    name = workflow.get("name") or workflow.get("id") or row["name"]
    line = Text.assemble((word.plain.capitalize(), word.style), f": {name}")
    ended = duration_ms(row)
    line.append(f", in {took(ended)}." if ended is not None else ".")
    if row["detail"].get("error"):
        line.append(f" {row['detail']['error']}", style="red")
    return line


def tree_of(shown: dict[str, Any], *, payloads: bool = False) -> RenderableType:
    """A run: its nodes in their order, the rounds of containers, what it waits for, what it answered."""
    row = shown["run"]
    tree = Tree(Text(f"Run {row['id']}", style="dim"), guide_style="dim")
    for node in shown["nodes"]:
        _node(tree, node, payloads)
    parts: list[RenderableType] = [sentence(row), tree]
    parts += [_waiting(row["id"], wait) for wait in shown["waits"]]
    response = row["detail"].get("response_payload")
    if response is not None:
        parts.append(Text(f"answer: {_shown(response)}"))
    return Group(*parts)


def _node(tree: Tree, node: dict[str, Any], payloads: bool) -> None:
    line = Text.assemble(node["name"] or node["id"], (f"  {node['type']}  ", "dim"))
    line.append_text(status(node["status"]))
    facts = [took(node["duration_ms"])]
    if node["attempts"] > 1:
        facts.append(f"attempt {node['attempts']} of {node['max_attempts']}")
    if node["branch"]:
        facts.append(f"→ {node['branch']}")
    for fact in filter(None, facts):
        line.append(f"  {fact}", style="dim")
    if node["error"]:
        line.append(f"  {_cut(node['error'])}", style="red")
    branch = tree.add(line)
    if payloads:
        for name in ("input", "output"):
            if node[name] is not None:
                branch.add(Text(f"{name}: {_shown(node[name])}", style="dim"))
    rounds = node["rounds"]
    if rounds is None:
        return
    if node["type"] == "try" and rounds["items"]:
        for inner in rounds["items"][0]["nodes"]:
            _node(branch, inner, payloads)
        return
    for each in rounds["items"]:
        label = Text.assemble(f"[{each['index']}]  ")
        label.append_text(status(each["status"]))
        label.append(f"  {took(each['duration_ms'])}", style="dim")
        one = branch.add(label)
        for inner in each["nodes"]:
            _node(one, inner, payloads)
    left = rounds["total"] - len(rounds["items"])
    if left > 0:
        branch.add(Text(f"and {left} more of {rounds['total']} rounds; --rounds shows them", style="dim"))


def _waiting(run_id: str, wait: dict[str, Any]) -> Text:
    until = f", until {when(epoch_ms(wait['until']))}" if wait["until"] else ""
    what = f"waits at {wait['path']} for {_WAITS.get(wait['kind'], wait['kind'])} {wait['key']}".rstrip()
    step = ""
    if wait["kind"] in ("webhook", "human"):
        step = f"; `gesta runs resume {run_id[:8]} {wait['path']}` lets it go on"
    return Text(f"{what}{until}{step}", style="yellow")


_WAITS = {
    "timer": "a moment",
    "webhook": "a webhook",
    "event": "the event",
    "human": "a person",
    "executor": "executor",
    "run": "run",
}


def _shown(value: Any) -> str:
    return _cut(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… (--json has it whole)"


def line_of(event: dict[str, Any]) -> Text:
    """`09:30:00 info    pay: succeeded`"""
    level = str(event.get("level", ""))
    what = str(event.get("type", ""))
    title, message = str(event.get("title") or ""), str(event.get("message") or "")
    if what.startswith("node."):
        data = event.get("data") or {}
        told = f"{data.get('nodeId') or title}: {what.removeprefix('node.')}" + (f": {message}" if message else "")
    else:
        told = ": ".join(part for part in (title or what, message) if part)
    return Text.assemble(f"{when(epoch_ms(event['at']))} ", (f"{level:<7}", _LEVEL_STYLES.get(level, "")), f" {told}")

"""Finds what a template names: outputs of nodes, what the run was started with, items of loops, words about the run.

Sources of the vendors' spellings: protocols/b3os.md §7 (and the public guide that it cites: a fallback is for what is
missing or null, and a list is also indexed by `.0`), protocols/refold.md §6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gesta.workflows.graph.expressions import ExpressionError, Scope
from gesta.workflows.graph.template_reader import Literal, Path, Template, shortened

#: First words that mean something else than a node; no node can be named by them.
WORDS: Final = frozenset(
    {"input", "item", "index", "parent_item", "parent_index", "nodes", "properties", "meta", "instance_meta_data"}
)
#: First words for what the run was started with, where no node is called so.
STARTS: Final = frozenset({"start", "root"})


class _Missing(Exception):
    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def value_of(template: Template, scope: Scope) -> Any:
    """What it names, with its type. Raises ExpressionError with what is missing, and of what."""
    *fallen, last = template.choices
    for choice in fallen:
        try:
            value = _resolved(choice, scope)
        except _Missing:
            continue
        if value is not None:
            return value
    try:
        return _resolved(last, scope)
    except _Missing as missing:
        raise ExpressionError(f"`{shortened(template.source)}`: {missing.what}", field=_field(last)) from None


def is_there(template: Template, scope: Scope) -> bool:
    """Whether it names something that is there and not null."""
    for choice in template.choices:
        try:
            if _resolved(choice, scope) is not None:
                return True
        except _Missing:
            continue
    return False


def _field(choice: Literal | Path) -> str | None:
    if isinstance(choice, Literal):
        return None
    return shortened(choice.first + "".join(map(_step, choice.keys)))


def _step(key: str | int) -> str:
    return f"[{key}]" if isinstance(key, int) else f".{key}"


def _resolved(choice: Literal | Path, scope: Scope) -> Any:
    if isinstance(choice, Literal):
        return choice.value
    value, keys, shown = _based(choice.first, list(choice.keys), scope)
    for key in keys:
        value = _looked_up(value, key, shown)
        shown += _step(key)
    return value


def _looked_up(value: Any, key: str | int, shown: str) -> Any:
    if isinstance(value, Mapping):
        name = str(key)
        if name in value:
            return value[name]
        raise _Missing(f"`{shortened(shown)}` has no `{shortened(name)}`.")
    if isinstance(value, list | tuple):
        number = key if isinstance(key, int) else int(key) if key.isdecimal() and len(key) <= 9 else None
        if number is None:
            raise _Missing(f"`{shortened(shown)}` is a list, and has no `{shortened(str(key))}`.")
        if number < len(value):
            return value[number]
        raise _Missing(f"`{shortened(shown)}` has {len(value)} entries, and none at {number}.")
    kind = "null" if value is None else "neither an object nor a list"
    raise _Missing(f"`{shortened(shown)}` is {kind}, and has no `{shortened(str(key))}`.")


Found = tuple[Any, list[str | int], str]


def _based(first: str, keys: list[str | int], scope: Scope) -> Found:
    """What the first words mean, the keys that are left, and how to call it."""
    if first.startswith("$"):
        return _dollar(first, keys, scope)
    match first:
        case "input":
            return scope.input, keys, first
        case "item" | "index" | "parent_item" | "parent_index":
            return _of_item(first, scope), keys, first
        case "properties":
            return scope.properties, keys, first
        case "meta":
            return scope.meta, keys, first
        case "instance_meta_data":
            return _instance(scope), keys, first
        case "nodes":
            return _named(keys, scope, first)
    return _node(first, keys, scope, first)


def _dollar(first: str, keys: list[str | int], scope: Scope) -> Found:
    """B3OS's words (protocols/b3os.md §7)."""
    match first:
        case "$trigger":
            return _unwrapped(scope.input, keys, first, "result", ("body", "inputs"))
        case "$props":
            return scope.properties, keys, first
        case "$inputs":
            return _unwrapped(scope.input, keys, first, None, ())
        case "$item" | "$index" | "$parent_item" | "$parent_index":
            return _of_item(first[1:], scope), keys, first
        case "$workflowId" | "$runId":
            return _word("workflow_id" if first == "$workflowId" else "run_id", scope), keys, first
        case "$workflow":
            return {"id": _word("workflow_id", scope)}, keys, first
        case "$nodes":
            return _named(keys, scope, first)
        case "$for":
            return _of_loop(keys, scope)
    raise _Missing(f"there is no word `{shortened(first)}`.")


def _named(keys: list[str | int], scope: Scope, shown: str) -> Found:
    if not keys:
        return scope.outputs, [], shown
    return _node(str(keys[0]), keys[1:], scope, f"{shown}.{keys[0]}")


def _node(id: str, keys: list[str | int], scope: Scope, shown: str) -> Found:
    if id in STARTS:
        return _unwrapped(scope.outputs.get(id, scope.input), keys, shown, "result", ("body", "inputs"))
    if id in scope.outputs:
        return _unwrapped(scope.outputs[id], keys, shown, None, ("result", "body"))
    raise _Missing(f"there is no output of a node `{shortened(id)}` here, and no word of this name.")


def _unwrapped(value: Any, keys: list[str | int], shown: str, outer: str | None, inner: tuple[str, ...]) -> Found:
    """Leave out the keys by which a dialect calls an output itself, unless it is an object that has such a key."""
    if outer is not None and keys and keys[0] == outer and not _has(value, outer):
        keys, shown = keys[1:], f"{shown}.{outer}"
    if keys and keys[0] in inner and not _has(value, keys[0]):
        shown += _step(keys[0])
        keys = keys[1:]
    return value, keys, shown


def _has(value: Any, key: str | int) -> bool:
    return isinstance(value, Mapping) and key in value


def _of_item(word: str, scope: Scope) -> Any:
    depth = 2 if word.startswith("parent_") else 1
    if len(scope.items) < depth:
        raise _Missing(f"`{word}` is only within the body of {'two loops' if depth == 2 else 'a loop'}.")
    item = scope.items[-depth]
    return item.index if word.endswith("index") else item.value


def _of_loop(keys: list[str | int], scope: Scope) -> Found:
    if len(keys) < 2 or keys[1] not in ("item", "index"):
        raise _Missing("`$for` is followed by the id of a loop, and by `item` or `index`.")
    for item in reversed(scope.items):
        if item.node == keys[0]:
            return (item.value if keys[1] == "item" else item.index), keys[2:], f"$for.{keys[0]}.{keys[1]}"
    raise _Missing(f"no loop `{shortened(str(keys[0]))}` is around this node.")


def _word(name: str, scope: Scope) -> str:
    if name not in scope.meta:
        raise _Missing(f"nothing is known of `{name}` here.")
    return scope.meta[name]


def _instance(scope: Scope) -> dict[str, str]:
    """Refold's words about the run (protocols/refold.md §6)."""
    named = {"instance_id": "run_id", "workflow_id": "workflow_id", "linked_account_id": "account"}
    return {**scope.meta, **{theirs: scope.meta[ours] for theirs, ours in named.items() if ours in scope.meta}}

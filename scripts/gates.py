"""The gates of the house that no ready-made linter holds. `make lint` runs them; tests/test_house.py tests them.

size       no file of Python or SQL above 800 lines, no function above 90
ambient    no ambient time or randomness in gesta, outside the clock and the id source that are injected
addresses  no tracked file names a path of one machine or the address of a package registry
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 90

# The two modules that may touch them: everything else is given a Clock and an IdSource.
# The client imports nothing of the server, so it has its own default for the jitter that callers may inject.
AMBIENT_HOMES = frozenset({"src/gesta/kernel/clock.py", "src/gesta/kernel/ids.py", "src/gesta/client/_retry.py"})
AMBIENT_MODULES = frozenset({"random", "secrets"})
AMBIENT_CALLS = frozenset(
    {f"time.{name}{unit}" for name in ("time", "monotonic", "perf_counter", "process_time") for unit in ("", "_ns")}
    | {"time.gmtime", "time.localtime", "os.urandom", "os.getrandom"}
    | {f"uuid.uuid{version}" for version in (1, 4, 6, 7, 8)}
    | {f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")}
    | {"datetime.date.today"}
)

# Written in pieces so that this file passes its own gate.
ADDRESSES = re.compile(
    "|".join(
        [
            r"(?<![\w.])/(?:wo" + r"rk|fa" + r"rm|ro" + r"ot|home/\w+|Users/\w+)/",
            r"py" + r"pi\.org",
            r"python" + r"hosted\.org",
            r"registry\.np" + r"mjs\.org",
            r"--(?:extra-)?index-" + r"url",
            r"file:" + r"///",
        ]
    )
)


def tracked(root: Path = ROOT) -> list[Path]:
    """Every file that git tracks and that is there, sorted."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True).stdout
    paths = (root / name for name in listing.decode().split("\0") if name)
    return sorted(path for path in paths if path.is_file())


def size_findings(name: str, text: str) -> Iterator[str]:
    """`name` is the path shown; the suffix decides whether functions are looked for."""
    count = len(text.splitlines())
    if count > MAX_FILE_LINES:
        yield f"{name}: {count} lines, at most {MAX_FILE_LINES}"
    if not name.endswith(".py"):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{name}:{node.lineno}: `{node.name}` has {length} lines, at most {MAX_FUNCTION_LINES}"


def ambient_findings(name: str, text: str) -> Iterator[str]:
    """Imports and uses of ambient time or randomness in one Python source."""
    tree = ast.parse(text)
    known: dict[str, str] = {}  # the local name → what it stands for, dotted
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                known[alias.asname or top] = alias.name if alias.asname else top
                if top in AMBIENT_MODULES:
                    yield f"{name}:{node.lineno}: imports {alias.name}; take an IdSource"
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                target = f"{node.module}.{alias.name}"
                known[alias.asname or alias.name] = target
                if node.module in AMBIENT_MODULES or target in AMBIENT_CALLS:
                    yield f"{name}:{node.lineno}: imports {target}; take a Clock or an IdSource"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            used = _dotted(node, known)
            if used in AMBIENT_CALLS:
                yield f"{name}:{node.lineno}: uses {used}; take a Clock or an IdSource"


def _dotted(node: ast.expr, known: dict[str, str]) -> str | None:
    """`datetime.now` → `datetime.datetime.now`, by what the module imported."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value, known)
        return None if base is None else f"{base}.{node.attr}"
    return None


def address_findings(name: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        found = ADDRESSES.search(line)
        if found:
            yield f"{name}:{number}: {found[0]!r} has no place in a tracked file"


def findings(root: Path = ROOT) -> Iterator[str]:
    """Everything that the gates find in the tracked files of the repository."""
    for path in tracked(root):
        name = path.relative_to(root).as_posix()
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # a binary file, such as a compressed fixture
        yield from address_findings(name, text)
        if path.suffix in (".py", ".sql"):
            yield from size_findings(name, text)
        if path.suffix == ".py" and name.startswith("src/gesta/") and name not in AMBIENT_HOMES:
            yield from ambient_findings(name, text)


def main() -> int:
    found = list(findings())
    for line in found:
        print(line)
    print(f"gates: {len(found)} finding{'' if len(found) == 1 else 's'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

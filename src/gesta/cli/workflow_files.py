"""Definitions and payloads as files: read, checked on the spot, and what is wrong with them told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import typer
from rich.text import Text

from gesta.cli.common import err
from gesta.cli.connection import CALL_AT_FAULT
from gesta.kernel.errors import InvalidInput
from gesta.workflows.forms.reading import Header, header_of, read_definition
from gesta.workflows.graph.definition import Definition

MOST_BYTES = 16 * 1024 * 1024
_SHOWN_PROBLEMS = 30


def text_of(file: Path) -> str:
    """A file's text; `-` is standard input. Raises InvalidInput."""
    if str(file) == "-":
        return sys.stdin.read(MOST_BYTES)
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InvalidInput(f"{file} has more than {MOST_BYTES} bytes.", where="arguments")
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} is not UTF-8.", where="arguments") from None
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror or error}.", where="arguments") from None


def checked(file: Path, form: str = "auto") -> tuple[str, Definition, Header]:
    """A workflow's file that can be run. Where it cannot, everything that is wrong is told, and the command ends."""
    text = text_of(file)
    try:
        definition = read_definition(text, form)
    except InvalidInput as error:
        tell_problems(str(file), error.message, error.details.get("problems", []))
        raise typer.Exit(CALL_AT_FAULT) from None
    return text, definition, header_of(text)


def tell_problems(name: str, message: str, problems: Any) -> None:
    """One line each, on standard error: node, field, what would be right."""
    found = [each for each in problems if isinstance(each, dict)] if isinstance(problems, list) else []
    if not found:
        err.print(Text(f"gesta: {name}: {message}"))
        return
    err.print(Text(f"gesta: {name}: {len(found)} problem{'s' if len(found) > 1 else ''}; nothing was saved."))
    for each in found[:_SHOWN_PROBLEMS]:
        where = ".".join(str(each[part]) for part in ("node", "field") if each.get(part))
        err.print(Text(f"  {where + ': ' if where else ''}{each.get('message', '')}"))
    if len(found) > _SHOWN_PROBLEMS:
        err.print(Text(f"  and {len(found) - _SHOWN_PROBLEMS} more"))


def payload_of(given: str | None) -> Any:
    """What `--input` says: a file, `-` for standard input, or JSON itself. Raises InvalidInput."""
    if given is None:
        return None
    is_json = given.lstrip()[:1] in ("{", "[", '"')
    text, what = (given, "--input") if is_json else (text_of(Path(given)), given)
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"{what} is not JSON: {error}.", field="input", where="arguments") from None

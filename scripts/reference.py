"""The reference pages that are made from code: every setting, every command.

`PAGES` maps a file under `docs/` to the function that writes it; a test compares the files with what these return.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import typer

from gesta.app.settings import PREFIX, Settings, struct_of
from gesta.cli.main import build_app

DOCS = Path(__file__).resolve().parent.parent / "docs"

_CONFIGURATION_HEAD = """\
# Configuration

<!-- Made from src/gesta/app/settings.py by `make docs`. -->

A setting comes from, the first that has it: a command-line flag, an environment variable, a TOML file, its default.
The file is the one that `--config` or `GESTA_CONFIG` names, else `gesta.toml` in the working directory if it exists.
A name that no setting has is refused, with the nearest one that exists. A password in `database.url` is never printed.

```toml
[server]
host = "0.0.0.0"
port = 9000

[database]
url = "postgresql://gesta:secret@db.internal/gesta"
```

The same by environment: `GESTA_SERVER__HOST=0.0.0.0 GESTA_SERVER__PORT=9000 GESTA_DATABASE__URL=…`.
"""

_CLI_HEAD = """\
# Command line

<!-- Made from src/gesta/cli by `make docs`. -->

Results go to standard output, logs and messages to standard error. Exit codes: 0 done; 1 the server, the database or
the machine is at fault (`gesta verify`: something differs); 2 the call is; 130 interrupted. Every flag has an
environment variable; every setting that has no flag is set as [configuration](configuration.md) says.
"""


def configuration_markdown() -> str:
    """Every setting by section: name, environment variable, type, default, meaning."""
    parts = [_CONFIGURATION_HEAD]
    for section, kind, default in _sections(Settings, "", Settings()):
        parts.append(
            f"\n## `[{section}]`\n\n{_one_line(kind.__doc__)}\n\n| setting | environment | value | default | |\n"
        )
        parts.append("|---|---|---|---|---|\n")
        parts.extend(_rows(section, kind, default))
    return "".join(parts)


def _sections(
    kind: type[msgspec.Struct], above: str, value: msgspec.Struct
) -> Iterator[tuple[str, type[msgspec.Struct], msgspec.Struct]]:
    for field in msgspec.structs.fields(kind):
        if (struct := struct_of(field.type)) is not None:
            name = f"{above}{field.name}"
            yield name, struct, getattr(value, field.name)


def _rows(section: str, kind: type[msgspec.Struct], value: msgspec.Struct) -> Iterator[str]:
    for field in msgspec.structs.fields(kind):
        inner, default, meaning = struct_of(field.type), getattr(value, field.name), _meaning(field.type)
        if inner is None:
            yield _row(f"{section}.{field.name}", _type_name(field.type), default, meaning)
            continue
        for part in msgspec.structs.fields(inner):
            explained = f"{_meaning(part.type)} {meaning}"
            yield _row(
                f"{section}.{field.name}.{part.name}", _type_name(part.type), getattr(default, part.name), explained
            )


def _row(name: str, type_name: str, default: Any, meaning: str) -> str:
    variable = PREFIX + name.replace(".", "__").upper()
    shown = msgspec.json.encode(default).decode()
    return f"| `{name}` | `{variable}` | {type_name} | `{shown}` | {meaning} |\n"


def _meta(annotation: Any) -> list[msgspec.Meta]:
    return [each for each in get_args(annotation)[1:] if isinstance(each, msgspec.Meta)]


def _meaning(annotation: Any) -> str:
    return " ".join(meta.description for meta in _meta(annotation) if meta.description)


def _type_name(annotation: Any) -> str:
    plain = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(plain) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(plain))
    name = {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}[plain.__name__]
    for meta in _meta(annotation):
        low = f"from {meta.ge}" if meta.ge is not None else f"above {meta.gt}" if meta.gt is not None else ""
        high = f"to {meta.le}" if meta.le is not None else ""
        name = " ".join(filter(None, (name, low, high)))
    return name


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def cli_markdown() -> str:
    """Every command with its arguments and flags."""
    root = typer.main.get_command(build_app())
    return _CLI_HEAD + "".join(_command("gesta", root))


def _command(name: str, command: Any) -> Iterator[str]:
    children = getattr(command, "commands", {})
    # A group that does something by itself is a command, too.
    if not children or getattr(command, "invoke_without_command", False):
        yield f"\n## `{name}`\n\n{_one_line(command.help)}\n"
        rows = [_parameter(each) for each in command.params if not getattr(each, "hidden", False)]
        if rows:
            yield "\n| | environment | default | |\n|---|---|---|---|\n" + "".join(rows)
    for child in sorted(children):
        yield from _command(f"{name} {child}", children[child])


def _parameter(parameter: Any) -> str:
    is_argument = parameter.param_type_name == "argument"
    name = parameter.make_metavar_for_docs() if hasattr(parameter, "make_metavar_for_docs") else ""
    name = name or (parameter.name.upper() if is_argument else " / ".join((*parameter.opts, *parameter.secondary_opts)))
    if isinstance(parameter.show_default, str):
        default = parameter.show_default
    elif parameter.required:
        default = "required"
    elif parameter.default is None or callable(parameter.default):
        default = ""
    else:
        default = str(parameter.default)
    variables = parameter.envvar or ""
    variables = variables if isinstance(variables, str) else ", ".join(variables)
    meaning = _one_line(parameter.help).replace("|", "\\|")
    return f"| `{name}` | {f'`{variables}`' if variables else ''} | {default} | {meaning} |\n"


PAGES: dict[str, Callable[[], str]] = {
    "reference/configuration.md": configuration_markdown,
    "reference/cli.md": cli_markdown,
}


def write() -> list[Path]:
    """Write the pages that differ; return them."""
    written = []
    for name, page in PAGES.items():
        path, text = DOCS / name, page()
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            written.append(path)
    return written


if __name__ == "__main__":
    for changed in write():
        print(f"wrote {changed.relative_to(DOCS.parent)}")

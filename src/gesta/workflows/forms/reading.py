"""One door for definitions, whatever form they are written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

import msgspec

from gesta.kernel.errors import InvalidInput
from gesta.workflows.forms import b3os, gesta, refold
from gesta.workflows.forms.documents import load
from gesta.workflows.graph.checking import check
from gesta.workflows.graph.definition import Definition
from gesta.workflows.graph.problems import shown

__all__ = ["FORMS", "Header", "form_of", "header_of", "parse_definition", "read_definition", "write_definition"]

#: In the order in which they are asked whether a document looks like theirs.
_MODULES: Final[dict[str, ModuleType]] = {"b3os": b3os, "refold": refold, "gesta": gesta}
FORMS: Final = tuple(sorted(_MODULES))
Document = bytes | str | Mapping[str, Any]


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """A document's words about the workflow, which are no part of its definition."""

    name: str = ""
    description: str = ""
    alias: str = ""
    slug: str = ""


def read_definition(document: Document, form: str = "auto") -> Definition:
    """A definition of a JSON or YAML text, or of an object, that can be run.

    `form` is `gesta`, `b3os`, `refold`, or `auto`: as it looks. Raises InvalidInput, whose `details["problems"]` has
    every `{node, field, message}` of the form, or, where that is right, of the graph; TooLarge for too long a text.
    """
    definition = parse_definition(document, form)
    check(definition)
    return definition


def parse_definition(document: Document, form: str = "auto") -> Definition:
    """As `read_definition`, without the check of the graph."""
    given = load(document)
    read: Callable[[dict[str, Any]], Definition] = _MODULES[_form(given, form)].read
    return read(given)


def form_of(document: Document) -> str:
    """The form that a document is written in, by its looks. Raises InvalidInput for none of them."""
    return _form(load(document), "auto")


def _form(given: dict[str, Any], form: str) -> str:
    if form == "auto":
        said = given.get("form")
        if isinstance(said, str) and said in _MODULES:
            return said
        found = next((name for name, module in _MODULES.items() if module.looks_so(given)), None)
        if found is None:
            raise InvalidInput("A workflow needs its `nodes`: a list, or an object by their ids.", field="nodes")
        return found
    if form not in _MODULES:
        raise InvalidInput(f"The form must be auto, {', '.join(FORMS)}, and is {shown(form)}.", field="form")
    return form


def header_of(document: Document) -> Header:
    """What a document says of the workflow's name, description, alias and slug; empty where it says nothing."""
    given = load(document)

    def said(*names: str) -> str:
        return next((value for name in names if isinstance(value := given.get(name), str)), "")

    return Header(
        name=said("name"), description=said("description"), alias=said("alias", "workflow_alias"), slug=said("slug")
    )


def write_definition(definition: Definition, form: str, *, name: str = "") -> dict[str, Any]:
    """A checked definition in a form; as it was written, where it was written in that form of a vendor's."""
    match form:
        case "gesta":
            return gesta.write(definition, name=name)
        case "b3os":
            return b3os.write(definition)
        case "refold":
            return refold.write(definition)
    raise InvalidInput(f"The form must be {', '.join(FORMS)}, and is {shown(form)}.", field="form")

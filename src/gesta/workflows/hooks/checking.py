"""What an endpoint may be. Pure; every defect is InvalidInput with the field's name."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from gesta.kernel.errors import InvalidInput
from gesta.workflows.graph.expressions import ExpressionError
from gesta.workflows.graph.rendering import check as check_template
from gesta.workflows.graph.rendering import render
from gesta.workflows.hooks.payloads import EXAMPLE, scope_of
from gesta.workflows.hooks.signing import OURS
from gesta.workflows.hooks_face import METHODS, EndpointIn, HookEvent, HookFormat
from gesta.workflows.nodes.addresses import Network, may_reach, written_address
from gesta.workflows.nodes.face import NodeFailed
from gesta.workflows.nodes.http import url_of
from gesta.workflows.runs.rows import encoder

MAX_URL: Final = 2048
MAX_HEADERS: Final = 20
MAX_HEADER: Final = 4096
MAX_TEMPLATE: Final = 16 * 1024
MAX_WORKFLOWS: Final = 100
MAX_NAME: Final = 256
MAX_DESCRIPTION: Final = 2048
MAX_RETRIES: Final = 10

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)


def checked(endpoint: EndpointIn, allowed: tuple[Network, ...]) -> EndpointIn:
    """The endpoint as it is kept. `allowed`: private networks that the operator allows. A name is looked up when
    something is sent, every time."""
    url = _url(endpoint.url, allowed)
    _check_texts(endpoint)
    if not endpoint.events or HookEvent.ENDPOINT_DISABLED in endpoint.events:
        raise InvalidInput("An endpoint names the events that it is told of.", field="events")
    if endpoint.method not in METHODS:
        raise InvalidInput(f"`method` is one of {', '.join(METHODS)}.", field="method")
    if not 0 <= endpoint.max_retries <= MAX_RETRIES:
        raise InvalidInput(f"`max_retries` is from 0 to {MAX_RETRIES}.", field="max_retries")
    if len(endpoint.workflow_ids) > MAX_WORKFLOWS or not all(_is_text(each, 128) for each in endpoint.workflow_ids):
        raise InvalidInput(f"`workflow_ids` has at most {MAX_WORKFLOWS} ids.", field="workflow_ids")
    _check_headers(endpoint)
    _check_body(endpoint)
    return msgspec.structs.replace(endpoint, url=url, events=tuple(dict.fromkeys(endpoint.events)))


def _url(text: str, allowed: tuple[Network, ...]) -> str:
    if not 0 < len(text) <= MAX_URL or not text.isprintable():
        raise InvalidInput(f"`url` is an address of at most {MAX_URL} printable characters.", field="url")
    try:
        url = url_of(text)
    except NodeFailed as error:
        raise InvalidInput(str(error), field="url") from None
    address = written_address(url.host.rstrip("."))
    if address is not None and not may_reach(address, allowed):
        raise InvalidInput(
            f"`url`: {url.host[:64]} is not on the public network; the operator may allow its network by the setting "
            "`workflows.allow_networks`.",
            field="url",
        )
    return str(url)


def _check_texts(endpoint: EndpointIn) -> None:
    bounds = {"name": MAX_NAME, "application": MAX_NAME, "group": MAX_NAME, "description": MAX_DESCRIPTION}
    for field, most in bounds.items():
        if not _is_text(getattr(endpoint, field), most):
            raise InvalidInput(f"`{field}` has at most {most} characters, none of them NUL.", field=field)


def _is_text(text: str, most: int) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return len(text) <= most and "\0" not in text


def _check_headers(endpoint: EndpointIn) -> None:
    if len(endpoint.headers) > MAX_HEADERS:
        raise InvalidInput(f"`headers` has at most {MAX_HEADERS} entries.", field="headers")
    for name, value in endpoint.headers.items():
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"`headers`: {name[:64]!r} is no header's name.", field="headers")
        if name.lower() in OURS:
            raise InvalidInput(f"`headers`: `{name[:64]}` is set by Gesta; leave it out.", field="headers")
        # Its value is not repeated: it may be a credential.
        if len(value) > MAX_HEADER or value != value.strip() or not all(" " <= each <= "~" for each in value):
            raise InvalidInput(
                f"`headers.{name[:64]}` is one line of printable ASCII, of at most {MAX_HEADER} characters.",
                field="headers",
            )
    if len({name.lower() for name in endpoint.headers}) < len(endpoint.headers):
        raise InvalidInput("`headers` names one header twice.", field="headers")


def _check_body(endpoint: EndpointIn) -> None:
    if endpoint.body is None:
        return
    if len(encoder.encode(endpoint.body)) > MAX_TEMPLATE:
        raise InvalidInput(f"`body` has at most {MAX_TEMPLATE} bytes as JSON.", field="body")
    if endpoint.format is HookFormat.CUSTOM:
        try:
            check_template(endpoint.body)
            render(endpoint.body, scope_of(EXAMPLE))
        except ExpressionError as error:
            words = ", ".join(f"`{word}`" for word in EXAMPLE)
            raise InvalidInput(f"`body`: {error} A template names one of {words}.", field="body") from None

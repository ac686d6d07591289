"""The node `http`: one request, its redirects and its answer, each within bounds."""

from __future__ import annotations

import asyncio
import email.utils
import re
from collections.abc import Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

import httpcore
import httpx

from gesta.kernel.errors import InvalidInput
from gesta.workflows.graph.configs import METHODS, seconds
from gesta.workflows.graph.problems import shown
from gesta.workflows.nodes.bodies import TooLong, body_of
from gesta.workflows.nodes.face import NodeFailed, Performance, Performed
from gesta.workflows.nodes.network import AddressRefused
from gesta.workflows.nodes.values import choice_of, config_of, flag_of, json_bytes, key_of, object_of, refused, text_of

MOST_REDIRECTS: Final = 5
MOST_BYTES: Final = 2 * 1024 * 1024
DEFAULT_TIMEOUT_S: Final = 30.0
MOST_URL: Final = 16_384
MOST_HEADERS: Final = 100
USER_AGENT: Final = "gesta-workflow"
#: Statuses that may be otherwise at another attempt.
PASSING: Final = frozenset({408, 425, 429})
#: What belongs to the connection and to the message's own frame.
_OURS: Final = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "upgrade", "keep-alive", "te", "trailer"),
        *("expect", "proxy-authorization", "proxy-connection"),
    }
)
#: What goes along to another host; everything else may be a credential.
_GOES_ALONG: Final = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "content-type", "user-agent"),
        *("idempotency-key", "x-gesta-run"),
    }
)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)
_HOST = re.compile(r"[0-9A-Za-z_]([0-9A-Za-z._-]{0,252})", re.ASCII)
_US: Final = 1_000_000


class HttpNode:
    """Performs `http` through one shared transport, which checks every address that it connects to."""

    def __init__(self, transport: httpx.AsyncBaseTransport, *, most_bytes: int = MOST_BYTES) -> None:
        self._transport = transport
        self._most_bytes = most_bytes

    async def __call__(self, performance: Performance) -> Performed:
        config = config_of(performance)
        timeout_s = DEFAULT_TIMEOUT_S
        try:
            if config.get("timeout_s") is not None:
                timeout_s = seconds(config["timeout_s"], "timeout_s")
            request = request_of(performance, config, timeout_s)
        except InvalidInput as error:
            refused(error.message)
        follows = flag_of(config, "follow_redirects", default=False)
        accepted = _accepted(config.get("accepts_status"))
        name = _named(request)
        try:
            async with asyncio.timeout(timeout_s):
                output = await self._exchange(request, follows)
        except TimeoutError:
            raise NodeFailed(f"{name}: no whole answer within {timeout_s:g} s.") from None
        except AddressRefused as error:
            refused(
                f"{name}: {error.host} is not on the public network; the operator may allow its network by the setting "
                "`workflows.allow_networks`."
            )
        except TooLong as error:
            refused(f"{name}: {error}")
        except httpcore.TimeoutException:
            raise NodeFailed(f"{name}: no whole answer within {timeout_s:g} s.") from None
        except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol) as error:
            refused(f"{name}: the request cannot be sent: {error}")
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise NodeFailed(f"{name}: {_words(error)}") from None
        return _judged(name, output, accepted, performance.at_us)

    async def _exchange(self, request: httpx.Request, follows: bool) -> dict[str, Any]:
        """The last answer of the chain of redirects, read as far as it may be."""
        hops = 0
        while True:
            response = await self._transport.handle_async_request(request)
            try:
                target = response.headers.get("location") if follows and response.has_redirect_location else None
                if target is None:
                    return {
                        "status_code": response.status_code,
                        "headers": dict(response.headers),
                        "body": await body_of(response, self._most_bytes),
                    }
            finally:
                await response.aclose()
            hops += 1
            if hops > MOST_REDIRECTS:
                refused(f"{_named(request)}: more than {MOST_REDIRECTS} redirects.")
            request = redirected(request, response.status_code, target)


def request_of(performance: Performance, config: dict[str, Any], timeout_s: float) -> httpx.Request:
    """The request that a configuration says. Raises NodeFailed for one that cannot be."""
    method = choice_of(config, "method", tuple(each.lower() for each in METHODS), "GET").upper()
    headers = _headers(config)
    content, content_type = _content(config.get("body"), headers.get("content-type"))
    if content_type:
        headers.setdefault("Content-Type", content_type)
    headers.setdefault("Accept", "*/*")
    headers.setdefault("Accept-Encoding", "gzip")
    headers.setdefault("User-Agent", USER_AGENT)
    headers.setdefault("Idempotency-Key", key_of(performance, 255))
    headers["X-Gesta-Run"] = performance.run_id if _is_line(performance.run_id) else key_of(performance, 0)
    url = url_of(text_of(config, "url"))
    pairs = _pairs(object_of(config, "query"), "query")
    if pairs:
        url = url.copy_merge_params(httpx.QueryParams([*url.params.multi_items(), *pairs]))
    limits = dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)
    return httpx.Request(method, url, headers=headers, content=content, extensions={"timeout": limits})


def url_of(text: str) -> httpx.URL:
    """Raises NodeFailed unless it is an http or https address with a host, and no password in it."""
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, ValueError, UnicodeError):
        refused(f"`url` came to {_shown_url(text)}, which is no address.")
    if url.userinfo:
        refused("`url` holds a user or password; send them as the header `Authorization`.")
    if not _is_address(url):
        refused(f"`url` must come to an http:// or https:// address with a host, and came to {_shown_url(text)}.")
    if len(str(url)) > MOST_URL:
        refused(f"`url` came to more than {MOST_URL} characters.")
    return url.copy_with(fragment=None)


def _is_address(url: httpx.URL) -> bool:
    """Whether it is an http or https address of a host that can be one."""
    host = url.raw_host.decode("ascii", "replace")
    return (
        url.scheme in ("http", "https")
        and bool(_HOST.fullmatch(host) or ":" in host)
        and (url.port is None or 0 < url.port < 65_536)
    )


def _shown_url(text: str) -> str:
    """Without what may be a credential."""
    return shown(text.partition("?")[0]) if "@" not in text else "one with a user or password"


def redirected(request: httpx.Request, status: int, location: str) -> httpx.Request:
    """The next request (RFC 9110 §15.4). What may be a credential does not go to another origin."""
    name = _named(request)
    try:
        url = request.url.join(location)
    except (httpx.InvalidURL, ValueError, UnicodeError):
        refused(f"{name}: redirects to {_shown_url(location)}, which is no address.")
    if url.userinfo or not _is_address(url):
        refused(f"{name}: redirects to what is no http:// or https:// address.")
    if len(str(url)) > MOST_URL:
        refused(f"{name}: redirects to an address of more than {MOST_URL} characters.")
    url = url.copy_with(fragment=None)
    headers = [(key, value) for key, value in request.headers.items() if key not in _OURS]
    if (url.scheme, url.host, url.port) != (request.url.scheme, request.url.host, request.url.port):
        headers = [(key, value) for key, value in headers if key in _GOES_ALONG]
    method, content = request.method, request.content
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, content = "GET", b""
        headers = [(key, value) for key, value in headers if not key.startswith("content-")]
    return httpx.Request(method, url, headers=headers, content=content or None, extensions=dict(request.extensions))


def _headers(config: dict[str, Any]) -> httpx.Headers:
    headers = httpx.Headers()
    given = object_of(config, "headers")
    if len(given) > MOST_HEADERS:
        refused(f"`headers` has {len(given)} entries; {MOST_HEADERS} is the most.")
    for name, value in given.items():
        if not _NAME.fullmatch(name):
            refused(f"{shown(name)} is no header's name.")
        if name.lower() in _OURS:
            refused(f"The header `{name}` is set by the connection itself; leave it out.")
        if value is None:
            continue
        text = _scalar(value)
        # Its value is not repeated: it may be a credential.
        if text is None or not _is_line(text.strip()):
            refused(f"The header `{name}` must come to one line of printable ASCII text.")
        headers[name] = text.strip()
    return headers


def _is_line(text: str) -> bool:
    return len(text) <= 8192 and all(" " <= each <= "~" or each == "\t" for each in text)


def _scalar(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float | Decimal) else None


def _pairs(given: dict[str, Any], field: str) -> list[tuple[str, str]]:
    """Names and texts, of a query or a form; a list repeats its name, nothing leaves it out."""
    pairs = []
    for name, value in given.items():
        for each in value if isinstance(value, list) else [value]:
            text = _scalar(each)
            if text is None and each is not None:
                refused(f"`{field}.{name[:60]}` must come to a text, a number or a list of them.")
            if text is not None:
                pairs.append((name, text))
    return pairs


def _content(body: Any, content_type: str | None) -> tuple[bytes | None, str]:
    """The bytes of the body, and its type where the node says none."""
    if body is None:
        return None, ""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if isinstance(body, str):
        return body.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    if kind == "application/x-www-form-urlencoded" and isinstance(body, dict):
        return urlencode(_pairs(body, "body")).encode(), kind
    if kind == "multipart/form-data":
        refused("A body cannot be sent as multipart/form-data; use a form (application/x-www-form-urlencoded) or JSON.")
    return json_bytes(body), "application/json"


def _accepted(given: Any) -> Sequence[str]:
    several = given if isinstance(given, list) else ["2xx"] if given is None else [given]
    words = [str(each).lower() for each in several]
    if not words or not all(re.fullmatch(r"[1-5]([0-9]{2}|xx)", word) for word in words):
        refused(f"`accepts_status` must come to statuses or classes as `2xx`, and came to {shown(given)}.")
    return words


def _judged(name: str, output: dict[str, Any], accepted: Sequence[str], at_us: int) -> Performed:
    status = output["status_code"]
    if any(word in (str(status), f"{status // 100}xx") for word in accepted):
        return Performed(output=output)
    may_pass = status in PASSING or status >= 500
    after_s = _retry_after_s(output["headers"].get("retry-after", ""), at_us) if may_pass else 0.0
    raise NodeFailed(
        f"{name}: answered {status}{_excerpt(output['body'])}",
        is_final=not may_pass,
        output=output,
        retry_after_s=after_s,
    )


def _retry_after_s(text: str, at_us: int) -> float:
    """Seconds, or a moment (RFC 9110 §10.2.3); 0 for anything else."""
    if re.fullmatch(r"[0-9]{1,9}", text.strip(), re.ASCII):
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, moment.timestamp() - at_us / _US)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0


def _excerpt(body: Any) -> str:
    """The message of an error's body, if it has one in a usual place."""
    if isinstance(body, dict):
        for word in ("message", "detail", "error"):
            value = body.get(word)
            value = value.get("message") if isinstance(value, dict) else value
            if isinstance(value, str) and value:
                return f": {value[:200]}"
    return "."


def _named(request: httpx.Request) -> str:
    """Without its query, which may hold a credential."""
    url = request.url
    return f"{request.method} {url.scheme}://{url.netloc.decode('ascii', 'replace')}{url.path}"[:300]


def _words(error: Exception) -> str:
    if isinstance(error, httpcore.ConnectError):
        return f"cannot connect: {error}"
    if isinstance(error, httpcore.RemoteProtocolError):
        return f"the answer is no HTTP: {error}"
    return f"the connection broke: {error}" if str(error) else "the connection broke."

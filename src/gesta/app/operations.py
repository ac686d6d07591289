"""What operators ask of the server: health, readiness, metrics, the OpenAPI documents, and an index of it all."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gesta import __version__
from gesta.apis.common.errors import MethodNotAllowed, retry_after
from gesta.app.metrics import HttpMetrics
from gesta.kernel.errors import GestaError, NotFound, Unavailable
from gesta.kernel.json import encode_json

log = structlog.get_logger("gesta.http")


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A dialect as the index shows it. `openapi` gives its document, made at the first call."""

    name: str
    title: str
    prefixes: Sequence[str]
    openapi: Callable[[], Mapping[str, object]]


class Operations:
    """`ready` raises Unavailable, or says nothing."""

    def __init__(
        self,
        documents: Sequence[Document],
        *,
        ready: Callable[[], Awaitable[None]],
        metrics: HttpMetrics | None,
    ) -> None:
        self._documents = {document.name: document for document in documents}
        self._ready = ready
        self._metrics = metrics
        self._encoded: dict[str, bytes] = {}
        self.prefixes = [prefix for document in documents for prefix in document.prefixes]

    def app(self) -> Starlette:
        app = Starlette(
            routes=[
                Route("/", self.index),
                Route("/healthz", self.health),
                Route("/readyz", self.readiness),
                Route("/metrics", self.metrics),
                Route("/openapi/{dialect}.json", self.openapi),
            ],
            exception_handlers={GestaError: self._on_gesta, HTTPException: self._on_http},
        )
        app.router.redirect_slashes = False
        return app

    def render(self, _request: Request, error: GestaError) -> Response:
        """Problem details (RFC 9457); an unknown path is told the paths there are."""
        problem: dict[str, object] = {
            "type": "about:blank",
            "title": error.code.replace("_", " ").capitalize(),
            "status": error.status,
            "detail": error.message,
        }
        if isinstance(error, NotFound) and error.what == "route":
            problem["prefixes"] = self.prefixes
            problem["index"] = "/"
        headers = retry_after(error) if isinstance(error, Unavailable) else {}
        return Response(encode_json(problem), error.status, headers, "application/problem+json")

    async def _on_gesta(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, GestaError)
        return self.render(request, error)

    async def _on_http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            allow = ", ".join(sorted((error.headers or {}).get("Allow", "GET, HEAD").split(", ")))
            response = self.render(request, MethodNotAllowed(f"This path allows {allow}."))
            response.headers["Allow"] = allow
            return response
        return self.render(request, NotFound(f"No API owns the path {request.url.path[:256]}.", what="route"))

    async def health(self, _request: Request) -> Response:
        """The process answers."""
        return Response(encode_json({"status": "ok", "version": __version__}), media_type="application/json")

    async def readiness(self, request: Request) -> Response:
        """The database answers too, and the server is not stopping."""
        try:
            await self._ready()
        except Unavailable as error:
            return self.render(request, error)
        return Response(encode_json({"status": "ready", "version": __version__}), media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        if self._metrics is None:
            return self.render(request, NotFound("Metrics are switched off (metrics.enabled).", what="metrics"))
        return Response(self._metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(self, request: Request) -> Response:
        name = request.path_params["dialect"]
        document = self._documents.get(name)
        if document is None:
            names = ", ".join(self._documents)
            return self.render(
                request, NotFound(f"There is no dialect {name[:64]!r}; there are {names}.", what="dialect")
            )
        if name not in self._encoded:
            self._encoded[name] = encode_json(document.openapi())
        return Response(self._encoded[name], media_type="application/json")

    async def index(self, request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(self._page())
        listing = [
            {
                "name": document.name,
                "title": document.title,
                "paths": list(document.prefixes),
                "openapi": f"/openapi/{document.name}.json",
            }
            for document in self._documents.values()
        ]
        body = {"name": "gesta", "version": __version__, "dialects": listing, "operations": _OPERATIONS}
        return Response(encode_json(body), media_type="application/json")

    def _page(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(each.title)}</td><td><code>{'</code> <code>'.join(each.prefixes)}</code></td>"
            f'<td><a href="/openapi/{each.name}.json">OpenAPI</a></td></tr>'
            for each in self._documents.values()
        )
        links = " · ".join(f'<a href="{path}">{path}</a>' for path in _OPERATIONS)
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Gesta</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1"><style>'
            "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem}"
            "td{padding:.3rem 1rem .3rem 0;vertical-align:top}</style></head><body>"
            f"<h1>Gesta {__version__}</h1><p>One ledger of executions, in five dialects.</p><table>{rows}</table>"
            f"<p>{links}</p></body></html>"
        )


_OPERATIONS = ["/healthz", "/readyz", "/metrics"]

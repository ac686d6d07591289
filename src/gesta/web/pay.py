"""`/pay`: where payers go and providers call back. Without credentials: a checkout's id is known to who was given it,
and a callback is believed for its signature.

GET  /pay/test/{checkout}        the test provider's page
POST /pay/test/{checkout}        one of its buttons
GET  /pay/checkouts/{checkout}   how a checkout of any provider stands
POST /pay/callbacks/{provider}   a provider's callback
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gesta.kernel.errors import CallerError, Forbidden, GestaError, InvalidInput, NotFound, TooLarge
from gesta.web.pay_page import checkout_html, error_html, headers
from gesta.workflows.payments.face import CheckoutPage, CheckoutStatus, PayDoor

PREFIX = "/pay"
MOST_CALLBACK_BYTES = 256 * 1024
MOST_FORM_BYTES = 4096

log = structlog.get_logger("gesta.http")

_TITLES = {400: "That cannot be read", 403: "Not from this page", 404: "Not found", 409: "Too late", 413: "Too large"}


class MethodNotAllowed(CallerError):
    status = 405
    code = "method_not_allowed"


class InternalError(GestaError):
    """Something unforeseen; the log has it."""


def build_pay(door: PayDoor) -> Starlette:
    """The application under `PREFIX`. `render` answers what is refused before it."""
    pages = _Pages(door)
    app = Starlette(
        routes=[
            Route("/pay/test/{checkout}", pages.shown, methods=["GET"]),
            Route("/pay/test/{checkout}", pages.pressed, methods=["POST"]),
            Route("/pay/checkouts/{checkout}", pages.standing, methods=["GET"]),
            Route("/pay/callbacks/{provider}", pages.called_back, methods=["POST"]),
        ]
    )
    app.router.redirect_slashes = False

    async def on_gesta(request: Request, error: Exception) -> Response:
        assert isinstance(error, GestaError)
        if not isinstance(error, CallerError):
            log.error("request.failed", path=_place(request), error=error.code, message=error.message)
        return render(request, error)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if isinstance(error.__cause__, GestaError):
            return await on_gesta(request, error.__cause__)
        if error.status_code == 404:
            return render(request, NotFound("There is no such page.", what="route"))
        response = render(request, MethodNotAllowed("This page allows other methods."))
        response.headers.update(error.headers or {})
        return response

    async def on_anything(request: Request, error: Exception) -> Response:
        log.error("request.crashed", path=_place(request), exc_info=error)
        request.scope["gesta.logged"] = True
        return render(request, InternalError("Something went wrong here; the log has it."))

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        GestaError: on_gesta,
        HTTPException: on_http,
        Exception: on_anything,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    return app


def render(request: Request, error: GestaError) -> Response:
    """JSON to a provider, a page to a person."""
    request_id = str(request.scope.get("gesta.request_id", ""))
    more = {}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        more["Retry-After"] = str(max(1, round(retry_after_s)))
    if request.url.path.startswith("/pay/callbacks/"):
        said = {"code": error.code, "message": error.message, "requestId": request_id}
        return JSONResponse({"error": said}, error.status, {**more, "Cache-Control": "no-store"})
    title = _TITLES.get(error.status, "That did not work")
    return HTMLResponse(error_html(title, error.message, request_id), error.status, {**more, **headers()})


def _place(request: Request) -> str:
    """The kind of page: a checkout's id is what lets its payer in, and stays out of the log."""
    return "/".join(request.url.path.split("/")[:3])


class _Pages:
    def __init__(self, door: PayDoor) -> None:
        self._door = door

    async def shown(self, request: Request) -> Response:
        return _shown(await self._door.page(request.path_params["checkout"], of_test=True))

    async def standing(self, request: Request) -> Response:
        page = await self._door.page(request.path_params["checkout"])
        if page.token:
            return RedirectResponse(f"/pay/test/{page.id}", 303, headers())
        return _shown(page)

    async def pressed(self, request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Forbidden("This form was sent from another site; open the page again.")
        form = _form(await _body(request, MOST_FORM_BYTES))
        page = await self._door.press(request.path_params["checkout"], form.get("action", ""), form.get("token", ""))
        target = page.success_url if page.status is CheckoutStatus.COMPLETE else page.cancel_url
        return RedirectResponse(target or f"/pay/test/{page.id}", 303, headers(page.success_url, page.cancel_url))

    async def called_back(self, request: Request) -> Response:
        body = await _body(request, MOST_CALLBACK_BYTES)
        given = dict(request.headers.items())
        taken = await self._door.callback(request.path_params["provider"], body, given)
        return JSONResponse({"received": True, "taken": taken.value}, headers={"Cache-Control": "no-store"})


def _shown(page: CheckoutPage) -> Response:
    return HTMLResponse(checkout_html(page), headers=headers(page.success_url, page.cancel_url))


async def _body(request: Request, most: int) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise TooLarge(f"The body may have {most} bytes.")
    except ClientDisconnect as error:
        raise InvalidInput("The request ended early.") from error
    return bytes(body)


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form, each at most once."""
    try:
        fields = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=8)
    except ValueError as error:
        raise InvalidInput("The form cannot be read.") from error
    if any(len(values) != 1 for values in fields.values()):
        raise InvalidInput("A field of the form is given twice.")
    return {name: value for name, (value,) in fields.items()}


__all__ = ["PREFIX", "build_pay", "render"]

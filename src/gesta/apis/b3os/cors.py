"""Pages of other origins may read what is public: the calls that a client token, and no API key, is for."""

from __future__ import annotations

from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

PUBLIC_PATHS: Final = "/v1/public/"
EXPOSED_HEADERS: Final = ("Retry-After", "X-Request-Id")


class PublicCors(CORSMiddleware):
    """CORS for the public paths only. An API key does not belong into a page, so that other paths have none."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PUBLIC_PATHS):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)

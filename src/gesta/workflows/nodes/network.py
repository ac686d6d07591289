"""Connections of a workflow's requests: a name is resolved here, every address of it is checked, and the connection
goes to an address that was checked. A name that is resolved otherwise a moment later changes nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

import httpcore
import httpx

from gesta.workflows.nodes.addresses import Network, address_of, may_reach

#: The addresses of a host, in the order in which they are to be tried. Raises OSError.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class AddressRefused(Exception):
    """The host has an address that must not be reached."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host


async def resolve(host: str, port: int) -> list[str]:
    """As the system does it, which also reads `127.1` and `2130706433` as addresses."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, allowed: Sequence[Network], resolve: Resolve) -> None:
        self._allowed = tuple(allowed)
        self._resolve = resolve
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                texts = await self._resolve(host.strip("[]"), port)
        except TimeoutError:
            raise httpcore.ConnectTimeout("the name was not resolved in time") from None
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("the name cannot be resolved") from None
        for text in texts:
            address = address_of(text)
            if address is None or not may_reach(address, self._allowed):
                raise AddressRefused(host)
        failure: Exception = httpcore.ConnectError("the name has no address")
        for text in texts:
            try:
                return await self._backend.connect_tcp(text, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused(path)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class GuardedTransport(httpx.AsyncBaseTransport):
    """Raises AddressRefused, and what httpcore raises. Knows no proxies and no environment. Certificates are checked
    for the host's name, whatever address was connected to."""

    def __init__(
        self,
        *,
        allowed: Sequence[Network] = (),
        resolve: Resolve = resolve,
        ssl_context: ssl.SSLContext | None = None,
        most_connections: int = 200,
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context or ssl.create_default_context(),
            max_connections=most_connections,
            max_keepalive_connections=20,
            # Below what servers keep a silent connection for, so that it is not closed while a request is sent.
            keepalive_expiry=2.0,
            network_backend=GuardedBackend(allowed, resolve),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        assert isinstance(request.stream, httpx.AsyncByteStream)
        given = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(given.status, headers=given.headers, stream=_Stream(given), extensions=given.extensions)

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, given: httpcore.Response) -> None:
        self._given = given

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._given.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._given.aclose()

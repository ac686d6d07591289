"""Structured logs on standard error, one JSON object per line (or lines for people). Local variables of a traceback are
never written, because they may hold credentials."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gesta.app.settings import LogSettings

_encoder = msgspec.json.Encoder(enc_hook=str)


def configure(settings: LogSettings) -> None:
    """Set up structlog, and send the standard library's loggers (uvicorn, asyncio) the same way."""
    level = _level(settings)
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if _is_json(settings):
        exceptions = structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
        )
        processors: list[Processor] = [*shared, exceptions, _to_json]
    else:
        plain = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        processors = [*shared, plain, _to_bytes]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Sink,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_ToStructlog()]
    root.setLevel(max(level, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "websockets"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = name != "uvicorn.access"
        logger.setLevel(logging.WARNING)
        logger.filters = [_is_news]


class RequestLine(msgspec.Struct, kw_only=True):
    """The line about one request."""

    event: str = "request"
    level: str = "info"
    timestamp: str
    request_id: str
    client_request_id: str | None
    dialect: str
    method: str
    path: str
    route: str
    status: int
    ms: float
    client: str | None


def request_log(settings: LogSettings) -> Callable[[RequestLine], None] | None:
    """How a request's line is written; None when it is not. JSON goes its own short way: there is one for each request,
    and structlog's would cost several times as much."""
    if not settings.requests or _level(settings) > logging.INFO:
        return None
    if not _is_json(settings):
        return _through_structlog

    def write(line: RequestLine) -> None:
        _write(_encoder.encode(line))

    return write


def _write(line: bytes) -> None:
    """Write to standard error as it is now. What cannot be written there (its reader has gone, it is closed, the disk
    is full) is lost: a log must not stop what it tells of."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        stream = sys.stderr.buffer
        stream.write(line + b"\n")
        stream.flush()


class _Sink:
    """The end of structlog's chain."""

    def __init__(self, *_args: object) -> None:
        """Structlog passes the logger's name on; there is one sink for all."""

    def msg(self, line: bytes) -> None:
        _write(line)

    log = debug = info = warning = warn = error = err = critical = fatal = failure = exception = msg


def _through_structlog(line: RequestLine) -> None:
    fields = msgspec.structs.asdict(line)
    for known in ("event", "level", "timestamp"):
        del fields[known]
    structlog.get_logger().info("request", **fields)


def _level(settings: LogSettings) -> int:
    return logging.getLevelNamesMapping()[settings.level.upper()]


def _is_json(settings: LogSettings) -> bool:
    return settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())


def _to_json(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    return _encoder.encode(event)


def _to_bytes(_logger: WrappedLogger, _method: str, event: Any) -> bytes:
    return str(event).encode("utf-8", "backslashreplace")


def _is_news(record: logging.LogRecord) -> bool:
    """uvicorn says so of a WebSocket that was refused in words, and of an answer whose crash is logged already."""
    return not str(record.msg).startswith("ASGI callable returned without completing")


class _ToStructlog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        extra: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        structlog.get_logger().log(record.levelno, record.getMessage(), logger=record.name, **extra)

"""Structured logs on standard error, one JSON object per line (or lines for people). Local variables of a traceback are
never written, because they may hold credentials."""

from __future__ import annotations

import logging
import sys
from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gesta.app.settings import LogSettings

_encoder = msgspec.json.Encoder(enc_hook=str)


def configure(settings: LogSettings) -> None:
    """Set up structlog, and send the standard library's loggers (uvicorn, asyncio) the same way."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty()):
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
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
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

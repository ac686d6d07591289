"""DBOS says nothing on its own: what an operator has to know of it is in Gesta's log."""

from __future__ import annotations

import logging

import structlog

log = structlog.get_logger("gesta.workflows.engine")

# The only warnings that tell something which is not told elsewhere.
_LOST = "Database connection"


class _Forward(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.levelno >= logging.ERROR:
            log.error("workflow_engine", message=message, exc_info=record.exc_info)
        elif message.startswith(_LOST):
            log.warning("workflow_engine", message=message)


_forward = _Forward()


def hush() -> None:
    """Before DBOS is made: it adds a handler that prints only where there is none."""
    logger = logging.getLogger("dbos")
    logger.propagate = False
    if _forward not in logger.handlers:
        logger.addHandler(_forward)

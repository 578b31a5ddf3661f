"""Logs: console on a terminal, one JSON object a line elsewhere; camera, frame, engine where a line has them."""

import logging
import os
import sys

import structlog

from inspector.passwords import mask_event


def configure(process: str) -> None:
    """Set up structlog for this process; INSPECTOR_LOG_LEVEL (debug, info, warning, error) sets the level."""
    level = getattr(logging, os.environ.get("INSPECTOR_LOG_LEVEL", "info").upper(), logging.INFO)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=False),
        structlog.processors.StackInfoRenderer(),
    ]
    if sys.stderr.isatty():
        final: list[structlog.typing.Processor] = [structlog.dev.ConsoleRenderer()]
    else:
        final = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *final[:-1], mask_event, final[-1]],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Whatever stderr is when a line is written: a program that calls a command may have replaced it.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(process=process)

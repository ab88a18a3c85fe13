"""Logging: lines for people in a terminal, JSON for machines elsewhere; no secrets, and no line a thousand times."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from freshline.log_repeats import SummarisingHandler
from freshline.log_secrets import Masker
from stream.trail import add_trail

Form = Literal["auto", "json", "console"]


def configure(form: Form, level: str, secrets: Iterable[str] = ()) -> Masker:
    """Send structlog's and the standard library's records to stderr in one form.

    Args:
        form: `auto` is `console` in a terminal.
        level: of the least that is shown.
        secrets: values that are masked wherever they are.

    Returns:
        What masks them, for what is said beside the log.
    """
    shared, mask = _shared(), Masker(secrets)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    handler = SummarisingHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(allow=["more", "cause"])],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_final(console, mask)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in ("faust", "mode", "aiokafka", "httpx"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    logging.getLogger("librdkafka").setLevel(logging.ERROR)  # it warns of what it mends by itself
    sys.excepthook = _log_crash
    return mask


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        add_trail,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _final(console: bool, mask: Processor) -> list[Processor]:
    """Exceptions become text or fields first, so that nothing in them escapes the mask; never with local variables."""
    if console:
        renderer = structlog.dev.ConsoleRenderer(
            exception_formatter=structlog.dev.plain_traceback, colors=sys.stderr.isatty()
        )
        return [structlog.processors.format_exc_info, mask, renderer]
    structure = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
    return [
        structlog.processors.ExceptionRenderer(structure),
        mask,
        _in_order,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]


def _in_order(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    return {name: line[name] for name in ("timestamp", "level", "logger", "event") if name in line} | {**line}


def _log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody caught is a line like any other."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("freshline").critical("ended by an error", exc_info=(kind, error, trace))

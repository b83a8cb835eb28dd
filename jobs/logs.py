"""How every process of the house logs: one entry a line, as JSON or as text, without a secret.

What an entry belongs to (a request, a job, an attempt) is bound to the thread or coroutine that is
at work on it, so that nobody has to pass it on. The standard library does the rest: what Celery,
uvicorn and Alembic say goes through it as well.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, TextIO
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from jobs.settings import Settings

HIDDEN: Final = "[hidden]"
_FEWEST: Final = 6
"""Characters of a secret that is looked for; a shorter one would be found in every word."""
_OF_MLFLOW: Final = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD")
_SIGNING: Final = re.compile(r"whsec_[A-Za-z0-9+/=_-]+")
"""What webhooks' messages are signed with; a database tells the row that it refuses."""
_BOUND: ContextVar[MappingProxyType[str, Any]] = ContextVar("bound", default=MappingProxyType({}))


def bind(**fields: str | int | None) -> None:
    """Have every later entry of this thread or coroutine bear these fields; None takes one away."""
    both = {**_BOUND.get(), **fields}
    kept = {name: value for name, value in both.items() if value is not None}
    _BOUND.set(MappingProxyType(kept))


def bound(name: str) -> str | int | None:
    """Return a field that entries bear here."""
    return _BOUND.get().get(name)


def set_up_logging(settings: Settings, process: str, stream: TextIO | None = None) -> None:
    """Have everything that this process logs written to standard error in the settings' form."""
    secrets = secrets_of(settings)
    form = Json(process, secrets) if settings.log_format == "json" else Lines(secrets)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(form)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


def secrets_of(settings: Settings) -> list[str]:
    """Return what must never be written anywhere: passwords in URLs, and secrets of the store."""
    values = (getattr(settings, name) for name in type(settings).model_fields)
    found = {value.get_secret_value() for value in values if isinstance(value, SecretStr)}
    found |= {os.environ.get(name, "") for name in _OF_MLFLOW}
    for url in (settings.database_url, settings.mlflow_url, *settings.broker_url.split(";")):
        # As drivers read it: a password may hold an @ that nobody has quoted.
        written = urlsplit(url).netloc.rpartition("@")[0].partition(":")[2]
        found |= {written, unquote(written)}
    # The longest first: one may be a part of another.
    return sorted((secret for secret in found if len(secret) >= _FEWEST), key=len, reverse=True)


class Json(logging.Formatter):
    """One JSON object a line; whatever is in a message, it stays one line of ASCII."""

    def __init__(self, process: str, secrets: Iterable[str] = ()) -> None:
        """Name the process in every entry, and hide the secrets."""
        super().__init__()
        self._process = process
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry."""
        entry: dict[str, Any] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": hide(record.getMessage(), self._secrets),
            "process": self._process,
            "pid": record.process,
            **_BOUND.get(),
            **getattr(record, "fields", {}),
        }
        if trace := _trace(self, record):
            entry["exception"] = hide(trace, self._secrets)
        return json.dumps(entry, default=str)


class Lines(logging.Formatter):
    """Lines for people; nothing in a message can begin a line or move a terminal's cursor."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Hide the secrets."""
        super().__init__()
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry's line, and below it, indented, where an exception came from."""
        told = {**_BOUND.get(), **getattr(record, "fields", {})}
        message = plain(hide(record.getMessage(), self._secrets))
        fields = "".join(f" {name}={plain(str(value))}" for name, value in told.items())
        line = f"{_moment(record)} {record.levelname} {record.name}: {message}{fields}"
        trace = hide(_trace(self, record), self._secrets)
        return "\n  | ".join([line, *map(plain, trace.split("\n"))]) if trace else line


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return the text without the secrets, and without any that signs messages."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return _SIGNING.sub(HIDDEN, text) if "whsec_" in text else text


def plain(text: str) -> str:
    """Return text that stays one line and harms no terminal: what cannot be printed is spelt."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _moment(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts: list[str] = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)

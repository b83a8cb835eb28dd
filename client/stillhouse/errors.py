"""What can go wrong, for callers to act on.

StillhouseError
├── ApiError            the server answered, and said no
├── Unreachable         no answer in time
├── DigestMismatch      a file came that is not the file the server promised
├── WaitTimedOut        the job had not ended when the caller's patience had
├── SpecError           a spec file or a --set that cannot be read
└── UpError             `stillhouse up` cannot start or go on
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import httpx


class StillhouseError(Exception):
    """Any failure this package reports; its text is a sentence for people."""


@dataclass(frozen=True)
class FieldError:
    """One wrong place in what was sent: where (RFC 6901 pointer), what, and the way out."""

    pointer: str
    code: str
    message: str
    hint: str | None = None
    parameter: str | None = None
    """The query parameter or header that is wrong, where it is not the body."""

    def __str__(self) -> str:
        """One line: pointer, message and hint."""
        tail = f" ({self.hint})" if self.hint else ""
        return f"{self.parameter or self.pointer or '/'}: {self.message}{tail}"


@dataclass
class ApiError(StillhouseError):
    """The server refused, with an RFC 9457 problem: `code` is stable, `detail` is for people."""

    status: int
    code: str
    title: str
    detail: str
    hint: str | None = None
    errors: tuple[FieldError, ...] = ()
    request_id: str | None = None
    body: dict[str, object] = field(default_factory=dict[str, object])

    def __str__(self) -> str:
        """The detail and its hint, or one line for each wrong field."""
        if self.errors:
            return "\n".join([f"{self.title}:", *(f"  {error}" for error in self.errors)])
        return (self.detail or self.title) + (f" ({self.hint})" if self.hint else "")


class Unreachable(StillhouseError):  # noqa: N818 - says what happened
    """No usable answer from the server within the client's patience."""

    def __init__(self, url: str, cause: str) -> None:
        """Keep the URL that was tried and what happened last."""
        super().__init__(
            f"no answer from {url}: {cause}. Start a server with `stillhouse up`, "
            "or name another one with --url or STILLHOUSE_URL"
        )
        self.url = url
        self.cause = cause


class DigestMismatch(StillhouseError):  # noqa: N818 - says what happened
    """A downloaded file does not have the sha256 that the server lists for it."""

    def __init__(self, name: str, expected: str, found: str) -> None:
        """Keep both digests, as lower-case hex."""
        super().__init__(
            f"{name}: the bytes received have sha256 {found}, the server lists {expected}; "
            "nothing was kept. Download again; if it repeats, the server's copy is damaged"
        )
        self.name = name
        self.expected = expected
        self.found = found


class WaitTimedOut(StillhouseError):  # noqa: N818 - says what happened
    """The job was still going when the given time was over; it goes on."""

    def __init__(self, job_id: str, status: str, timeout_seconds: float) -> None:
        """Keep the job and the status it was last seen in."""
        super().__init__(
            f"{job_id} is still {status} after {timeout_seconds:g} s; it goes on. "
            f"Come back with `stillhouse watch {job_id}`"
        )
        self.job_id = job_id
        self.status = status


class SpecError(StillhouseError):
    """A spec file, or a `--set path=value`, that cannot be read."""


class UpError(StillhouseError):
    """`stillhouse up` cannot start, or had to stop."""


def api_error(response: httpx.Response) -> ApiError:
    """The error that a refusing response stands for, whatever its body is."""
    try:
        parsed: object = response.json()
    except ValueError:
        parsed = None
    body = cast("dict[str, object]", parsed) if isinstance(parsed, dict) else {}
    title = str(body.get("title") or response.reason_phrase or f"HTTP {response.status_code}")
    detail = body.get("detail")
    if not isinstance(detail, str):
        detail = f"{title}: {response.text[:200]}" if not body and response.text else title
    listed = body.get("errors")
    entries = cast("list[object]", listed) if isinstance(listed, list) else []
    hint, request_id = (
        body.get("hint"),
        body.get("request_id") or response.headers.get("x-request-id"),
    )
    return ApiError(
        status=response.status_code,
        code=str(body.get("code") or f"http_{response.status_code}"),
        title=title,
        detail=detail,
        hint=None if hint is None else str(hint),
        errors=tuple(_field_error(entry) for entry in entries),
        request_id=None if request_id is None else str(request_id),
        body=body,
    )


def _field_error(entry: object) -> FieldError:
    values = cast("dict[str, object]", entry) if isinstance(entry, dict) else {"message": entry}
    hint, parameter = values.get("hint"), values.get("parameter")
    return FieldError(
        pointer=str(values.get("pointer") or ""),
        code=str(values.get("code") or "invalid"),
        message=str(values.get("message") or ""),
        hint=None if hint is None else str(hint),
        parameter=None if parameter is None else str(parameter),
    )

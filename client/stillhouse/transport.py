"""HTTP with patience: a request is repeated while that is safe and may help."""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from stillhouse.errors import StillhouseError, Unreachable, api_error

RETRIED_STATUS = frozenset({429, 502, 503, 504})
"""Answers that say: not now. Everything else is an answer."""
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_FIRST_DELAY_SECONDS = 0.2
_LONGEST_DELAY_SECONDS = 10.0


class Patience:
    """One budget of seconds for one thing; refilled by `progress`."""

    def __init__(self, seconds: float) -> None:
        """Start the clock."""
        self._seconds = seconds
        self.progress()

    def progress(self) -> None:
        """Something came through: full patience again, short delays again."""
        self._until = time.monotonic() + self._seconds
        self._delay = _FIRST_DELAY_SECONDS

    def sleep(self, at_least: float = 0.0) -> bool:
        """Sleep with back-off and jitter, or return False when no time is left for it.

        Args:
            at_least: what the server asked for in `Retry-After`, in seconds.
        """
        left = self._until - time.monotonic()
        # Jitter: clients that lost one server together must not come back together.
        delay = max(self._delay * random.uniform(0.7, 1.3), at_least)  # noqa: S311
        if delay > left:
            return False
        time.sleep(delay)
        self._delay = min(self._delay * 2, _LONGEST_DELAY_SECONDS)
        return True


class Transport:
    """The connection to one server.

    Repeated are: GET and HEAD, a POST that carries an `Idempotency-Key`, what its caller says may
    be `repeatable`, and any request that certainly never left (the connection was refused).
    """

    def __init__(self, http: httpx.Client, patience_seconds: float) -> None:
        """Speak over `http`, whose base URL names the server."""
        self._http = http
        self.patience_seconds = patience_seconds

    @property
    def url(self) -> str:
        """The server's base URL."""
        return str(self._http.base_url).rstrip("/")

    def patience(self) -> Patience:
        """A fresh budget of this client's patience."""
        return Patience(self.patience_seconds)

    def open(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> httpx.Response:
        """One try, the body still unread: the caller closes the response."""
        request = self._http.build_request(method, path, headers=dict(headers or {}))
        if timeout is not None:
            request.extensions["timeout"] = timeout.as_dict()
        return self._http.send(request, stream=True)

    @contextmanager
    def open_elsewhere(
        self, answer: httpx.Response, *, headers: Mapping[str, str]
    ) -> Generator[httpx.Response]:
        """Give what lies where an answer's `Location` points, asked for with `headers` alone.

        Our own headers, a key among them, and cookies are for our server and stay here. There is no
        second redirect.

        Raises:
            StillhouseError: the answer leads to no address, or out of HTTPS.
        """
        target = answer.url.join(answer.headers.get("location", ""))
        if target.scheme not in {"http", "https"} or not target.host:
            raise StillhouseError(f"{self.url} sends the download to no address of the web")
        if answer.url.scheme == "https" and target.scheme == "http":
            raise StillhouseError(
                f"{self.url} sends the download to http://{target.host}, where anybody on the way "
                "could read it; ask for it with redirect=False (--no-redirect)"
            )
        with (
            httpx.Client(timeout=self._http.timeout, follow_redirects=False) as stranger,
            stranger.stream("GET", target, headers=dict(headers)) as response,
        ):
            yield response

    def request(  # noqa: PLR0913 - the parts of a request, by keyword
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        read_timeout_seconds: float | None = None,
        repeatable: bool = False,
    ) -> httpx.Response:
        """The server's answer, 304 included.

        Raises:
            ApiError: the server refused.
            Unreachable: no usable answer within the patience.
        """
        request = self._http.build_request(
            method, path, params=params, headers=dict(headers or {}), content=content
        )
        if read_timeout_seconds is not None:
            seconds = httpx.Timeout(self._http.timeout.connect, read=read_timeout_seconds)
            request.extensions["timeout"] = seconds.as_dict()
        repeatable |= method in _SAFE_METHODS or "idempotency-key" in request.headers
        patience = self.patience()
        while True:
            wait = 0.0
            try:
                response = self._http.send(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                problem = Unreachable(self.url, said(error))
            except httpx.TransportError as error:
                problem = Unreachable(self.url, said(error))
                if not repeatable:
                    raise problem from error
            else:
                if response.is_success or response.status_code == HTTPStatus.NOT_MODIFIED:
                    return response
                problem = api_error(response)
                if not repeatable or response.status_code not in RETRIED_STATUS:
                    raise problem
                wait = retry_after_seconds(response)
            if not patience.sleep(wait):
                raise problem


def said(error: Exception) -> str:
    """What an exception says, or at least its name."""
    return str(error).rstrip(".") or type(error).__name__


def retry_after_seconds(response: httpx.Response) -> float:
    """The `Retry-After` of a response in seconds from now, 0 without one."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    with suppress(ValueError):
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    return 0.0

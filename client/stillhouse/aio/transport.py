"""HTTP with patience: a request is repeated while that is safe and may help."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import httpx

from stillhouse.errors import SpecError, StillhouseError, Unreachable, api_error
from stillhouse.patience import RETRIED_STATUS, Patience, may_repeat, retry_after_seconds, said

JSON = "application/json"


class AsyncTransport:
    """The connection to one server.

    Repeated are: GET and HEAD, a POST that carries an `Idempotency-Key`, what its caller says may
    be `repeatable`, and any request that certainly never left (the connection was refused).
    """

    def __init__(self, http: httpx.AsyncClient, patience_seconds: float) -> None:
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

    async def open(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        within: httpx.Timeout | None = None,
    ) -> httpx.Response:
        """One try, the body still unread: the caller closes the response."""
        request = self._http.build_request(method, path, headers=dict(headers or {}))
        if within is not None:
            request.extensions["timeout"] = within.as_dict()
        return await self._http.send(request, stream=True)

    @asynccontextmanager
    async def open_elsewhere(
        self, answer: httpx.Response, *, headers: Mapping[str, str]
    ) -> AsyncGenerator[httpx.Response]:
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
        async with (
            httpx.AsyncClient(timeout=self._http.timeout, follow_redirects=False) as stranger,
            stranger.stream("GET", target, headers=dict(headers)) as response,
        ):
            yield response

    async def get(self, path: str, params: Mapping[str, str | int | None] | None = None) -> Any:
        """The JSON at a path; parameters that are None are left out.

        Raises:
            ApiError: the server refused.
            Unreachable: no usable answer within the patience.
        """
        given = {key: value for key, value in (params or {}).items() if value is not None}
        response = await self.request("GET", path, params=given or None)
        return response.json()

    async def text(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """The text at a path; raises what `get` raises."""
        response = await self.request("GET", path, params=params, headers=headers)
        return response.text

    async def send(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None = None,
        *,
        kind: str = JSON,
        again: bool = False,
    ) -> Any:
        """The JSON of the server's answer to a body, or to none; `again` if it may be repeated.

        Raises:
            SpecError: the body has what JSON cannot say.
            ApiError: the server refused.
            Unreachable: no usable answer within the patience.
        """
        try:
            content = json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError) as error:
            raise SpecError(f"this cannot be sent as JSON: {error}") from error
        sent = {"Content-Type": kind} if body is not None else {}
        response = await self.request(
            method,
            path,
            headers={**sent, **(headers or {})},
            content=content if body is not None else None,
            repeatable=again or method == "PATCH",
        )
        return response.json()

    async def request(  # noqa: PLR0913 - the parts of a request, by keyword
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
        repeatable |= may_repeat(request)
        patience = self.patience()
        while True:
            wait = 0.0
            try:
                response = await self._http.send(request)
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
            delay = patience.delay(wait)
            if delay is None:
                raise problem
            await asyncio.sleep(delay)

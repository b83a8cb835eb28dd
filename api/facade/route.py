"""How the facade's routes differ from others: what is gone is not there, as at OpenAI."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.problems import HANDLED, problem_of


class FacadeRoute(APIRoute):
    """Says 404 where others say 410: the openai clients have no name for that."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def answer_in_their_words(request: Request) -> Response:
            try:
                return await answer(request)
            except HANDLED as error:
                problem = problem_of(error)
                if problem.status != HTTPStatus.GONE:
                    raise
                problem.status = HTTPStatus.NOT_FOUND.value
                raise problem from error

        return answer_in_their_words

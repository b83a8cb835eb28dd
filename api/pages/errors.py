"""A refusal as a page, for people who came with a browser to one of our pages."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from api.answers import NO_STORE
from api.pages.paths import is_page
from api.pages.rendering import TEMPLATES
from api.problems import Problem, request_id_of


def page_of(request: Request, problem: Problem) -> Response | None:
    """Return the page that tells a problem; None where the client is a program."""
    if not is_page(request.url.path, request.headers):
        return None
    text = TEMPLATES.get_template("problem.html").render(
        caller=request.scope["state"].get("caller"),
        problem=problem,
        title=HTTPStatus(problem.status).phrase,
        request_id=request_id_of(request),
    )
    return HTMLResponse(text, problem.status, {**problem.headers, **NO_STORE})

"""A refusal as a page, for people who came with a browser to one of our pages."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from api.answers import NO_STORE
from api.pages.site import TEMPLATES
from api.problems import Problem, request_id_of


def page_of(request: Request, problem: Problem) -> Response | None:
    """Return the page that tells a problem; None where the client is a program."""
    path = request.url.path
    is_page = path == "/" or path.startswith("/jobs/")
    if not is_page or "text/html" not in request.headers.get("accept", ""):
        return None
    text = TEMPLATES.get_template("problem.html").render(
        caller=request.scope["state"].get("caller"),
        problem=problem,
        title=HTTPStatus(problem.status).phrase,
        request_id=request_id_of(request),
    )
    return HTMLResponse(text, problem.status, {**problem.headers, **NO_STORE})

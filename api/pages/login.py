"""Coming in with a browser: a key is shown once, and a cookie holds a key of its own from then on.

The cookie's key is good for a day and as far as the one that was shown; leaving revokes it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.answers import NO_STORE
from api.bodies import read_body
from api.callers import COOKIE, author_of
from api.dependencies import House, OpenHouse
from api.doorman import LONGEST_NEXT
from api.locks import Fitting
from api.pages.fields import fields_of
from api.pages.rendering import TEMPLATES
from jobs.audit import Author
from jobs.repository import Repository

router = APIRouter(include_in_schema=False)

SESSION_DAYS: Final = 1
_PATH: Final = re.compile(r"/(?:[a-z]{1,20}(?:/[A-Za-z0-9_]{1,64}){0,2})?(?:\?[!-~]*)?")
"""Of our pages, with what they are asked; a second slash at its beginning would be another site."""
Next = Annotated[str, Query(max_length=LONGEST_NEXT)]


@router.get("/login")
def show(next: Next = "/") -> Response:  # noqa: A002 - the word of every login page
    """Ask for a key."""
    return _page(next)


@router.post("/login")
async def enter(request: Request, house: OpenHouse) -> Response:
    """Take a key, and give the browser one of its own."""
    body = await read_body(request)
    form = fields_of(body)
    shown, target = form.get("key", [""])[0].strip(), form.get("next", ["/"])[0]
    author = author_of(request.scope)
    found = await house.locks.tried(shown, author.address)
    if found is None:
        return _page(target, "This key opens nothing here.", 401)
    session = await run_in_threadpool(_session_of, house, found, author)
    answer = RedirectResponse(_inside(target), 303, NO_STORE)
    is_secure = request.url.scheme == "https"
    age = SESSION_DAYS * 86_400
    answer.set_cookie(COOKIE, session, age, secure=is_secure, httponly=True, samesite="lax")
    return answer


@router.post("/logout")
async def leave(request: Request, house: OpenHouse) -> Response:
    """Take the browser's key back."""
    found = await house.locks.fitting(request.cookies.get(COOKIE, ""))
    if found is not None:
        await run_in_threadpool(_end, house, found, author_of(request.scope))
        house.locks.forget(found.id)
    answer = RedirectResponse("/login", 303, NO_STORE)
    answer.delete_cookie(COOKIE, httponly=True, samesite="lax")
    return answer


def _page(target: str, refused: str | None = None, status: int = 200) -> Response:
    text = TEMPLATES.get_template("login.html").render(
        caller=None, target=_inside(target), refused=refused
    )
    return HTMLResponse(text, status, NO_STORE)


def _inside(target: str) -> str:
    """Return a path of ours; nobody is sent elsewhere, whatever a link says."""
    is_ours = len(target) <= LONGEST_NEXT and _PATH.fullmatch(target)
    return target if is_ours else "/"


def _session_of(house: House, shown: Fitting, author: Author) -> str:
    with house.database.write() as session:
        repository = Repository(session)
        row, made = repository.begin_session(shown.id, SESSION_DAYS)
        author = replace(author, key_id=shown.id)
        repository.note(author, "session.begin", row.id, project=shown.project)
    return made.text


def _end(house: House, session_key: Fitting, author: Author) -> None:
    with house.database.write() as session:
        repository = Repository(session)
        repository.revoke(session_key.id)
        author = replace(author, key_id=session_key.id)
        repository.note(author, "session.end", session_key.id, project=session_key.project)

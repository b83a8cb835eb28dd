"""Coming in with a browser, and leaving."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from doors import Doors
from serving import SPEC
from sqlalchemy import update
from waiting import wait_until

from api.callers import COOKIE
from jobs.database import Database
from jobs.keys import Scope
from jobs.repository import Repository
from jobs.tables import ApiKey


def test_a_browser_signs_in_and_out(doors: Doors) -> None:
    client = doors.client
    page = {"Accept": "text/html"}
    job_id = doors.ask("writer", "post", "/v1/jobs", json=SPEC).json()["id"]
    sent = client.get(f"/jobs/{job_id}", headers=page, follow_redirects=False)
    assert (sent.status_code, sent.headers["location"]) == (303, f"/login?next=/jobs/{job_id}")
    assert "API key" in client.get(sent.headers["location"], headers=page).text
    wrong = client.post("/login", data={"key": "shk_wrong", "next": "/"})
    assert wrong.status_code == 401
    assert "opens nothing" in wrong.text
    assert not client.cookies

    form = {"key": doors.keys["writer"], "next": f"/jobs/{job_id}"}
    entered = client.post("/login", data=form, follow_redirects=False)
    assert (entered.status_code, entered.headers["location"]) == (303, f"/jobs/{job_id}")
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert doors.keys["writer"] not in cookie
    shown = client.get(f"/jobs/{job_id}", headers=page)
    assert job_id in shown.text
    assert "Sign out" in shown.text
    assert client.get("/v1/me").json()["scope"] == "write"
    # A page of another site cannot use the browser's cookie.
    foreign = client.post(f"/jobs/{job_id}/cancel", headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.status_code == 403

    session = dict(client.cookies)
    left = client.post("/logout", follow_redirects=False)
    assert left.headers["location"] == "/login"
    client.cookies.update(session)  # as if somebody had kept it
    assert client.get("/v1/me").status_code == 401
    assert client.get("/", headers=page, follow_redirects=False).status_code == 303


@pytest.mark.parametrize(
    "path", ["/?method=dkd&q=a%26b", "/methods/methods/dkd", "/compare?id=job_1&id=job_2"]
)
def test_signing_in_leads_to_the_very_page_that_was_asked_for(doors: Doors, path: str) -> None:
    page = {"Accept": "text/html"}
    sent = doors.client.get(path, headers=page, follow_redirects=False)
    shown = doors.client.get(sent.headers["location"], headers=page).text
    (target,) = re.findall(r'name="next" value="([^"]*)"', shown)
    form = {"key": doors.keys["reader"], "next": unescape(target)}
    entered = doors.client.post("/login", data=form, follow_redirects=False)
    assert entered.headers["location"] == path


def test_a_button_that_was_pressed_after_the_session_leads_back_to_its_page(doors: Doors) -> None:
    page = {"Accept": "text/html"}
    for path, here in (("/jobs/job_1/pause", "/jobs/job_1"), ("/new", "/new"), ("/", "/")):
        sent = doors.client.post(path, headers=page, follow_redirects=False)
        assert sent.headers["location"] == f"/login?next={here}"
    long = doors.client.get(f"/?q={'x' * 3000}", headers=page, follow_redirects=False)
    assert long.headers["location"] == "/login?next=/"


@pytest.mark.parametrize(
    "target",
    [
        *(
            "https://evil.example",
            "//evil.example",
            "/\\evil",
            "/v1/x",
            "/\t/evil.example",
            "/@evil",
        ),
        *("/?a=\r\nSet-Cookie: a=b", "/jobs//evil.example", "/./evil", "/a/b/c/d", "/ /evil"),
        *("javascript:alert(1)", "/%2f/evil", "?//evil", f"/?{'x' * 3000}", "/login#//evil"),
    ],
)
def test_signing_in_leads_to_our_own_pages_alone(doors: Doors, target: str) -> None:
    form = {"key": doors.keys["reader"], "next": target}
    entered = doors.client.post("/login", data=form, follow_redirects=False)
    assert entered.headers["location"] == "/"


def test_a_session_ends_with_the_key_that_was_shown(doors: Doors, database: Database) -> None:
    with database.write() as session:
        _, short = Repository(session).add_key("guest", Scope.READ, project="default", days=0)
        # As good as over: the session must not outlast it.
        moment = Repository(session).key(short.id).created_at + timedelta(seconds=60)
        session.execute(update(ApiKey).where(ApiKey.id == short.id).values(expires_at=moment))
    sessions = {}
    for who, key in (("guest", short.text), ("writer", doors.keys["writer"])):
        doors.client.cookies.clear()
        entered = doors.client.post("/login", data={"key": key}, follow_redirects=False)
        sessions[who] = entered.cookies[COOKIE]
    with database.read() as session:
        guest = Repository(session).key(sessions["guest"][4:16])
        assert guest.expires_at == moment
        assert guest.session_of == short.id
    doors.client.cookies.clear()
    doors.client.cookies.set(COOKIE, sessions["writer"])
    assert doors.client.get("/v1/me").is_success
    key_id = doors.keys["writer"][4:16]
    assert doors.ask("admin", "delete", f"/v1/keys/{key_id}").is_success
    wait_until(lambda: doors.client.get("/v1/me").status_code == 401, seconds=10)

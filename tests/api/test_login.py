"""Coming in with a browser, and leaving."""

from __future__ import annotations

import pytest
from doors import Doors
from serving import SPEC


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


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil", "/v1/x"])
def test_signing_in_leads_to_our_own_pages_alone(doors: Doors, target: str) -> None:
    form = {"key": doors.keys["reader"], "next": target}
    entered = doors.client.post("/login", data=form, follow_redirects=False)
    assert entered.headers["location"] == "/"

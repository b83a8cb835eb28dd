"""Keys, projects and the audit from the command line, against a server that asks for keys."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from stand import ROOT, SPEC, Cli, Said, Server, environment, run_cli
from stillhouse import Client
from stillhouse.errors import ApiError, SpecError


@pytest.fixture
def house_key(own_server: Server) -> str:
    """Give the first key of a fresh server; every command is asked for one from then on."""
    made = subprocess.run(
        [sys.executable, "-m", "jobs.make_key", "--house", "--name", "operator"],
        env=environment(STILLHOUSE_DATA=str(own_server.data)),
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return made.stdout.strip()


def test_a_team_gets_a_project_and_a_key_and_works_with_it(
    own_server: Server, house_key: str
) -> None:
    def run(*arguments: str, key: str = house_key, **more: str) -> Said:
        return run_cli(*arguments, STILLHOUSE_URL=own_server.url, STILLHOUSE_API_KEY=key, **more)

    assert "every project is open" in run("whoami").out
    assert run("projects", "create", "vision", "--max-waiting", "1").code == 0
    made = run("keys", "create", "ci", "--project", "vision", "--days", "30")
    key = made.out.strip()
    assert key.startswith("shk_")
    assert "shown once" in made.err
    assert run("whoami", "--json", key=key).json["project"] == "vision"

    job = run("submit", "-", "--json", key=key, stdin=json.dumps(SPEC)).json
    assert job["project"] == "vision"
    assert run("list", "--json").json["data"] == []
    assert run("list", "--json", STILLHOUSE_PROJECT="vision").json["data"][0]["id"] == job["id"]
    assert run("cancel", job["id"], key=key).code == 0
    assert "job.cancel" in run("audit", job["id"], STILLHOUSE_PROJECT="vision").out

    limited = run("projects", "limit", "vision", "--max-running", "3", "--json").json
    assert (limited["max_running"], limited["max_waiting"]) == (3, 1)
    lifted = run("projects", "limit", "vision", "--max-waiting", "none", "--json").json
    assert (lifted["max_running"], lifted["max_waiting"]) == (3, None)
    assert "vision" in run("projects", "list").out

    listed = run("keys", "list", "--json").json
    (ci,) = [one for one in listed if one["name"] == "ci"]
    assert "key" not in ci
    assert run("keys", "revoke", ci["id"]).out.strip() == f"{ci['id']} revoked"
    refused = run("list", key=key)
    assert refused.code == 2
    assert "STILLHOUSE_API_KEY" in refused.err
    assert "revoked" in run("keys", "list").out


def test_what_a_key_is_not_good_for_is_said(own_server: Server, house_key: str) -> None:
    with Client(own_server.url, api_key=house_key) as house:
        made = house.access.create_key("look", scope="read")
    with Client(own_server.url, api_key=made["key"]) as client:
        assert client.access.me()["scope"] == "read"
        with pytest.raises(ApiError) as refused:
            client.submit(SPEC)
        assert (refused.value.status, refused.value.code) == (403, "scope_missing")
        with pytest.raises(ApiError) as hidden:
            client.access.create_project("x")
        assert hidden.value.status == 403
    with Client(own_server.url, api_key=house_key, project="nope") as lost:
        with pytest.raises(ApiError) as missing:
            lost.list()
        assert missing.value.code == "project_not_found"
    with pytest.raises(SpecError, match="no header"):
        Client(own_server.url, api_key="ключ")


def test_a_limit_that_is_no_number_is_refused(cli: Cli) -> None:
    said = cli("projects", "limit", "default", "--max-running", "many")
    assert said.code == 2
    assert "none" in said.err

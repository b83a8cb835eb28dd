"""The commands of a job's page: taken off the page as it is, and run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from serving import SPEC, Server, running
from stage_worker import StageWorker

from jobs.database import Database
from jobs.settings import Settings
from jobs.stores import open_store

FILES = {"student.safetensors": b"s" * 70_000, "student.onnx": b"1234", "report.md": b"#"}
PLACEHOLDER = "http://127.0.0.1:8000"
"""What stands for the server until a script has told its name."""


class Commands(HTMLParser):
    """Collects what stands in `pre`, by the id of the details around it."""

    def __init__(self, text: str) -> None:
        """Read a page."""
        super().__init__()
        self._within: list[str] = []
        self._is_open = False
        self.found: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Go into a details, or begin a command."""
        if tag == "details":
            self._within.append(dict(attrs).get("id") or "")
        elif tag == "pre" and self._within:
            self._is_open = True
            self.found.setdefault(self._within[-1], []).append("")

    def handle_data(self, data: str) -> None:
        """Go on with a command."""
        if self._is_open:
            self.found[self._within[-1]][-1] += data

    def handle_endtag(self, tag: str) -> None:
        """Leave what has been entered."""
        if tag == "pre":
            self._is_open = False
        elif tag == "details":
            self._within.pop()


def run(command: str, folder: Path, url: str, key: str | None = None) -> None:
    """Run a command as it stands on a page of the server at `url`."""
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if "STILLHOUSE" not in name}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    if key:
        environment["STILLHOUSE_API_KEY"] = key
    text = command.replace(PLACEHOLDER, url)
    shell = ["bash", "-euo", "pipefail", "-c"]
    interpreter = [sys.executable, "-c"] if text.startswith("from ") else shell
    done = subprocess.run(
        [*interpreter, text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (text, done.stdout, done.stderr)


@pytest.fixture(params=["open", "keyed"])
def played(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Server, dict[str, list[str]], str | None]]:
    """Give a server, the commands of the page of a job there, and the key that is needed."""
    settings = Settings(data=tmp_path / "data")
    with (
        running(settings) as server,
        Database(settings.database_url) as database,
        httpx.Client(base_url=server.url) as remote,
    ):
        key = None
        if request.param == "keyed":
            key = remote.post("/v1/keys", json={"name": "owner", "scope": "admin"}).json()["key"]
            remote.headers["Authorization"] = f"Bearer {key}"
        job_id = remote.post("/v1/jobs", json=SPEC).json()["id"]
        StageWorker(database, open_store(settings), tmp_path / "files").play(FILES)
        yield server, Commands(remote.get(f"/jobs/{job_id}").text).found, key


def test_the_commands_of_a_page_fetch_the_files_that_they_stand_beside(
    played: tuple[Server, dict[str, list[str]], str | None], tmp_path: Path
) -> None:
    server, found, key = played
    assert {f"as-{name}" for name in FILES} < set(found)
    for name in ("student.safetensors", "report.md"):
        commands = found[f"as-{name}"]
        assert [command.split()[0] for command in commands] == ["curl", "stillhouse", "from"]
        assert ("$STILLHOUSE_API_KEY" in commands[0]) is bool(key)
        for place, command in enumerate(commands):
            folder = tmp_path / f"{name}-{place}"
            run(command, folder, server.url, key)
            assert {one.name for one in folder.iterdir()} == {name}
            assert (folder / name).read_bytes() == FILES[name]
    for place, command in enumerate(found["elsewhere"]):
        folder = tmp_path / f"all-{place}"
        run(command, folder, server.url, key)
        for name, content in FILES.items():
            assert (folder / "student" / name).read_bytes() == content


def test_a_curl_that_was_cut_goes_on_where_it_stopped(
    played: tuple[Server, dict[str, list[str]], str | None], tmp_path: Path
) -> None:
    server, found, key = played
    folder, content = tmp_path / "cut", FILES["student.safetensors"]
    curl = found["as-student.safetensors"][0]
    run(f"printf sss > student.safetensors; {curl}", folder, server.url, key)
    assert (folder / "student.safetensors").read_bytes() == content

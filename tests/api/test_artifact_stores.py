"""Downloads from each store: whole, in parts, verified, redirected, and while the store is away."""

from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from backstage import Backstage, FolderBackstage, S3Backstage
from fastapi.testclient import TestClient
from s3_server import S3Server, settings_of
from serving import SPEC, running
from stage_worker import StageWorker

from api.app import create_app
from jobs.database import Database, open_database
from jobs.folder_store import FolderStore
from jobs.s3_store import S3Store
from jobs.settings import Settings
from jobs.stores import open_store

CONTENT = random.Random(1).randbytes(700_000)
FILES = {
    "student.onnx": CONTENT,
    "report.md": b"# digits: beats\n",
    "empty.bin": b"",
    "page.html": b"<script>alert(1)</script>",
}


class House:
    """An app over a store, one job with files in it, and the store's other side."""

    def __init__(self, settings: Settings, client: TestClient, path: str, back: Backstage) -> None:
        """Hold on to all of it."""
        self.settings = settings
        self.client = client
        self.path = path
        self.back = back
        self.at = {name: f"{path}/artifacts/{name}" for name in FILES}

    def location(self, name: str) -> str:
        """Return where a file lies."""
        return f"{self.path.removeprefix('/v1/jobs/')}/1/{name}"


@pytest.fixture(params=["folder", "s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    plain = Settings(data=tmp_path / "data")
    if request.param == "folder":
        return plain
    server: S3Server = request.getfixturevalue("s3_server")
    return plain.model_copy(update=settings_of(server, server.make_bucket()))


@pytest.fixture
def house(settings: Settings, request: pytest.FixtureRequest, tmp_path: Path) -> Generator[House]:
    store = open_store(settings)
    if isinstance(store, S3Store):
        back: Backstage = S3Backstage(store, request.getfixturevalue("s3_server").client())
    else:
        assert isinstance(store, FolderStore)
        back = FolderBackstage(store)
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        path = client.post("/v1/jobs", json=SPEC).headers["location"]
        with open_database(settings) as database:
            StageWorker(database, store, tmp_path / "files").play(FILES)
        yield House(settings, client, path, back)


def flipped(content: bytes) -> bytes:
    """Return the same with one bit of its last byte turned."""
    return content[:-1] + bytes([content[-1] ^ 1])


def test_files_come_whole_in_parts_and_as_one_zip(house: House) -> None:
    listed = house.client.get(f"{house.path}/artifacts").json()["data"]
    assert {file["name"]: file["sha256"] for file in listed} == {
        name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()
    }
    for name, content in FILES.items():
        whole = house.client.get(house.at[name])
        assert whole.content == content
        head = house.client.head(house.at[name])
        assert (head.status_code, head.content) == (200, b"")
        for header in ("etag", "repr-digest", "content-length", "content-disposition"):
            assert head.headers[header] == whole.headers[header]
    tag = whole.headers["etag"] and house.client.head(house.at["student.onnx"]).headers["etag"]
    for asked, part in (("bytes=5-9", CONTENT[5:10]), ("bytes=-7", CONTENT[-7:])):
        for more in ({}, {"If-Range": tag}):
            found = house.client.get(house.at["student.onnx"], headers={"Range": asked} | more)
            assert (found.status_code, found.content) == (206, part)
    other = {"Range": "bytes=5-9", "If-Range": '"other"'}
    assert house.client.get(house.at["student.onnx"], headers=other).content == CONTENT
    beyond = house.client.get(house.at["student.onnx"], headers={"Range": "bytes=700000-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "range_not_satisfiable")
    with zipfile.ZipFile(
        io.BytesIO(house.client.get(f"{house.path}/artifacts.zip").content)
    ) as zipped:
        assert zipped.testzip() is None
        assert {name: zipped.read(name) for name in FILES} == FILES
        sums = house.client.get(f"{house.path}/SHA256SUMS").text
        assert zipped.read("SHA256SUMS").decode() == sums
    assert house.client.get(f"{house.path}/report.md").content == FILES["report.md"]


def test_a_small_file_that_was_damaged_in_the_store_is_told_before_it_is_sent(
    house: House,
) -> None:
    house.back.overwrite(house.location("report.md"), flipped(FILES["report.md"]))
    for path in (house.at["report.md"], f"{house.path}/report.md"):
        damaged = house.client.get(path)
        assert (damaged.status_code, damaged.json()["code"]) == (410, "artifact_damaged")
        assert damaged.json()["hint"]
    with pytest.raises(RuntimeError, match="response already started"):
        house.client.get(f"{house.path}/artifacts.zip")


def test_a_large_file_that_was_damaged_never_ends_well(house: House) -> None:
    house.back.overwrite(house.location("student.onnx"), flipped(CONTENT))
    with running(house.settings, **_variables(house.settings)) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{server.url}{house.at['student.onnx']}")
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{server.url}{house.path}/artifacts.zip")


def test_content_that_is_gone_or_of_another_length_is_410(house: House) -> None:
    house.back.overwrite(house.location("page.html"), b"<p>")
    house.back.store.delete(house.location("student.onnx"))
    for name in ("page.html", "student.onnx"):
        for asked in ({}, {"Range": "bytes=2-"}):
            gone = house.client.get(house.at[name], headers=asked)
            assert (gone.status_code, gone.json()["code"]) == (410, "artifact_gone"), name
        assert house.client.head(house.at[name]).status_code == 410
        assert house.client.get(f"{house.at[name]}?redirect=true").status_code == 410
    assert house.client.get(f"{house.path}/artifacts.zip").status_code == 410
    assert house.client.get(house.at["report.md"]).status_code == 200


def test_a_client_is_redirected_where_there_is_where_to(house: House) -> None:
    asked = house.client.get(f"{house.at['page.html']}?redirect=true", follow_redirects=False)
    if isinstance(house.settings.artifacts, Path):
        assert (asked.status_code, asked.content) == (200, FILES["page.html"])
        return
    assert asked.status_code == 307
    assert asked.headers["cache-control"] == "no-store"
    sent = httpx.get(asked.headers["location"])
    assert sent.content == FILES["page.html"]
    assert sent.headers["content-disposition"] == 'attachment; filename="page.html"'
    assert sent.headers["content-type"] == "application/octet-stream"
    assert house.client.get(house.at["page.html"], follow_redirects=False).status_code == 200
    always = house.settings.model_copy(update={"s3_presign": True})
    with TestClient(create_app(always), base_url="http://localhost") as client:
        for path, status in (("", 307), ("?redirect=true", 307), ("?redirect=false", 200)):
            found = client.get(house.at["page.html"] + path, follow_redirects=False)
            assert found.status_code == status, path
        assert client.head(house.at["page.html"], follow_redirects=False).status_code == 200
    refused = house.client.get(f"{house.at['page.html']}?redirect=perhaps")
    assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "redirect")


def test_readiness_tells_of_the_store(house: House) -> None:
    checks = house.client.get("/readyz").json()["checks"]
    assert ("store", True) in [(check["name"], check["ok"]) for check in checks]


@pytest.mark.parametrize("settings", ["folder"], indirect=True)
def test_a_bucket_that_is_away_is_503_and_jobs_are_taken_all_the_same(
    house: House, mortal_s3: S3Server, tmp_path: Path
) -> None:
    named = settings_of(mortal_s3, mortal_s3.make_bucket())
    settings = house.settings.model_copy(update=named)
    with open_database(settings) as database:
        path = _played(settings, database, tmp_path)
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        assert client.get(f"{path}/artifacts/student.onnx").content == CONTENT
        mortal_s3.kill()
        asked = [f"{path}/artifacts/student.onnx", f"{path}/artifacts.zip", f"{path}/report.md"]
        for where in (*asked, f"{asked[0]}?redirect=true"):
            away = client.get(where)
            assert (away.status_code, away.json()["code"]) == (503, "store_unavailable"), where
            assert away.headers["retry-after"]
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert [error["parameter"] for error in ready.json()["errors"]] == ["store"]
        assert client.post("/v1/jobs", json=SPEC).status_code == 201
        assert client.get(f"{path}/SHA256SUMS").status_code == 200
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        assert client.get("/livez").status_code == 200, "it starts without its store"


def test_a_server_says_at_start_what_is_wrong_with_its_bucket(
    s3_server: S3Server, tmp_path: Path
) -> None:
    variables = {
        "STILLHOUSE_DATA": str(tmp_path),
        "STILLHOUSE_ARTIFACTS": "s3://nobody-made-it",
        "STILLHOUSE_S3_ENDPOINT": s3_server.url,
    }
    done = subprocess.run(
        [sys.executable, "-m", "api", "--port", "0"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "NoSuchBucket" in done.stderr
    assert "STILLHOUSE_ARTIFACTS" in done.stderr
    assert "Traceback" not in done.stderr


def _played(settings: Settings, database: Database, folder: Path) -> str:
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        path = client.post("/v1/jobs", json=SPEC).headers["location"]
    StageWorker(database, open_store(settings), folder / "more").play(FILES)
    return path


def _variables(settings: Settings) -> dict[str, str]:
    if isinstance(settings.artifacts, Path):
        return {}
    return {
        "STILLHOUSE_ARTIFACTS": settings.artifacts,
        "STILLHOUSE_S3_ENDPOINT": settings.s3_endpoint,
    }

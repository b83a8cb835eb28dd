"""Files on their way out: whole, in parts, as a zip, with digests that fit."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from stage_worker import StageWorker, reported

from jobs.settings import Settings

SPEC = {"teacher": "plain_cnn", "student": "mlp", "data": "digits"}
CONTENT = os.urandom(300_000)
FILES = {
    "student.onnx": CONTENT,
    "config.json": b'{"a": 1}',
    "report.md": b"# digits: beats\n",
    "report.html": b"<!doctype html><title>digits</title>",
    "empty.bin": b"",
    "page.html": b"<script>alert(1)</script>",
}
Submit = Callable[..., str]


@pytest.fixture
def job(submit: Submit, worker: StageWorker) -> str:
    """Give the path of a job that delivered files."""
    path = f"/v1/jobs/{submit()}"
    worker.play(FILES)
    return path


def test_files_are_listed_with_digests_that_fit(client: TestClient, job: str) -> None:
    listed = client.get(f"{job}/artifacts").json()
    assert [file["name"] for file in listed["data"]] == sorted(FILES)
    for file in listed["data"]:
        content = client.get(file["url"]).content
        assert content == FILES[file["name"]]
        assert file["size_bytes"] == len(content)
        assert file["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_download_says_all_that_is_needed_to_check_it(client: TestClient, job: str) -> None:
    response = client.get(f"{job}/artifacts/student.onnx")
    digest = hashlib.sha256(CONTENT).digest()
    assert response.headers["etag"] == f'"{digest.hex()}"'
    assert response.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
    assert response.headers["content-disposition"] == 'attachment; filename="student.onnx"'
    assert response.headers["content-length"] == str(len(CONTENT))
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in client.get(f"{job}/artifacts/page.html").headers["content-security-policy"]
    head = client.head(f"{job}/artifacts/student.onnx")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "repr-digest", "content-length", "accept-ranges", "content-type"):
        assert head.headers[name] == response.headers[name]


SIZE = len(CONTENT)
RANGES = [
    ("bytes=0-0", (0, 1)),
    ("bytes=100-199", (100, 200)),
    ("bytes=299999-", (SIZE - 1, SIZE)),
    ("bytes=299000-999999", (299_000, SIZE)),
    ("bytes=-500", (SIZE - 500, SIZE)),
    ("bytes=-999999", (0, SIZE)),
    ("BYTES=5-9", (5, 10)),
]


@pytest.mark.parametrize(("asked", "part"), RANGES)
def test_a_range_is_that_part(
    client: TestClient, job: str, asked: str, part: tuple[int, int]
) -> None:
    response = client.get(f"{job}/artifacts/student.onnx", headers={"Range": asked})
    assert response.status_code == 206
    assert response.content == CONTENT[part[0] : part[1]]
    assert response.headers["content-range"] == f"bytes {part[0]}-{part[1] - 1}/{SIZE}"


def test_what_is_no_range_is_answered_whole(client: TestClient, job: str) -> None:
    for asked in ("bytes=", "bytes=-", "bytes=a-b", "bytes=9-5", "lines=1-2", "bytes=0-1,5-9", "x"):
        response = client.get(f"{job}/artifacts/student.onnx", headers={"Range": asked})
        assert (response.status_code, len(response.content)) == (200, SIZE), asked
    huge = {"Range": "bytes=" + "9" * 5000 + "-"}
    assert client.get(f"{job}/artifacts/student.onnx", headers=huge).status_code == 200


def test_a_range_outside_of_the_file_is_416(client: TestClient, job: str) -> None:
    for name, asked in (
        ("student.onnx", "bytes=300000-"),
        ("student.onnx", "bytes=-0"),
        ("empty.bin", "bytes=0-"),
    ):
        response = client.get(f"{job}/artifacts/{name}", headers={"Range": asked})
        assert (response.status_code, response.json()["code"]) == (416, "range_not_satisfiable")
        assert response.headers["content-range"] == f"bytes */{len(FILES[name])}"


def test_if_range_keeps_parts_of_two_files_apart(client: TestClient, job: str) -> None:
    path = f"{job}/artifacts/student.onnx"
    tag = client.head(path).headers["etag"]
    same = client.get(path, headers={"Range": "bytes=10-", "If-Range": tag})
    other = client.get(path, headers={"Range": "bytes=10-", "If-Range": '"other"'})
    assert (same.status_code, other.status_code) == (206, 200)
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304


def test_a_download_that_was_cut_and_resumed_equals_its_digest(
    remote: httpx.Client, remote_worker: StageWorker
) -> None:
    job = remote.post("/v1/jobs", json=SPEC).headers["location"]
    content = os.urandom(5_000_000)
    remote_worker.play({"student.onnx": content})
    listed = remote.get(f"{job}/artifacts").json()["data"][0]
    got = bytearray()
    tag = ""
    while len(got) < listed["size_bytes"]:
        headers = {"Range": f"bytes={len(got)}-", "If-Range": tag} if got else {}
        with remote.stream("GET", listed["url"], headers=headers) as response:
            assert response.status_code == (206 if got else 200)
            tag = response.headers["etag"]
            cut = len(got) + 1_300_000
            for chunk in response.iter_raw(100_000):
                got += chunk
                if len(got) >= cut:
                    break
    assert hashlib.sha256(got).hexdigest() == listed["sha256"]


def test_the_zip_holds_everything_and_is_the_same_each_time(client: TestClient, job: str) -> None:
    response = client.get(f"{job}/artifacts.zip")
    assert response.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as zipped:
        assert zipped.testzip() is None
        assert {entry.compress_type for entry in zipped.infolist()} == {zipfile.ZIP_STORED}
        sums = zipped.read("SHA256SUMS").decode()
        assert {name: zipped.read(name) for name in FILES} == FILES
    assert sums == client.get(f"{job}/SHA256SUMS").text
    for line in sums.splitlines():
        digest, name = line.split("  ")
        assert digest == hashlib.sha256(FILES[name]).hexdigest()
    again = client.get(f"{job}/artifacts.zip")
    assert again.content == response.content
    tag = {"If-None-Match": response.headers["etag"]}
    assert client.get(f"{job}/artifacts.zip", headers=tag).status_code == 304


def test_a_job_without_files_has_an_empty_zip(client: TestClient, submit: Submit) -> None:
    path = f"/v1/jobs/{submit()}"
    assert client.get(f"{path}/SHA256SUMS").text == ""
    with zipfile.ZipFile(io.BytesIO(client.get(f"{path}/artifacts.zip").content)) as zipped:
        assert zipped.namelist() == ["SHA256SUMS"]


def test_a_zip_is_written_in_pieces_of_bounded_size(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from api.downloads import archive
    from api.stored_file import CHUNK_BYTES, StoredFile
    from jobs.folder_store import FolderStore

    content = os.urandom(3 * CHUNK_BYTES)
    (tmp_path / "job_a" / "1").mkdir(parents=True)
    (tmp_path / "job_a" / "1" / "big.bin").write_bytes(content)
    files = [
        StoredFile(
            name=f"big-{place}.bin",
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            media_type="application/octet-stream",
            created_at=datetime(2026, 11, 22, tzinfo=UTC),
            store=FolderStore(tmp_path),
            location="job_a/1/big.bin",
        )
        for place in range(4)
    ]
    assert max(len(piece) for piece in archive(files)) < CHUNK_BYTES + 1000


def test_content_that_is_gone_or_damaged_is_410(
    client: TestClient, job: str, settings: Settings
) -> None:
    stored = next(settings.artifacts.rglob("student.onnx"))
    stored.write_bytes(CONTENT[:-1])
    damaged = client.get(f"{job}/artifacts/student.onnx")
    assert (damaged.status_code, damaged.json()["code"]) == (410, "artifact_gone")
    stored.unlink()
    for path in ("artifacts/student.onnx", "artifacts.zip"):
        gone = client.get(f"{job}/{path}")
        assert (gone.status_code, gone.json()["code"]) == (410, "artifact_gone")
    assert client.get(f"{job}/artifacts/config.json").status_code == 200


NAMES = [
    "%2e%2e", "%2e%2e%2fledger.sqlite3", "..%5cx", "%252e%252e", "/etc/passwd", "%2fproc%2fself",
    "student.onnx%00", ".hidden", "student.onnx%20", "x" * 200, "nope.bin", "CON", "student%23",
]  # fmt: skip


def test_a_name_that_was_never_delivered_is_404(client: TestClient, job: str) -> None:
    for name in NAMES:
        response = client.get(f"{job}/artifacts/{name}")
        assert response.status_code == 404, name
        assert response.headers["content-type"] == "application/problem+json"


def test_a_link_in_the_store_is_not_followed(
    client: TestClient, job: str, settings: Settings, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    stored = next(settings.artifacts.rglob("student.onnx"))
    stored.unlink()
    stored.symlink_to(secret)
    response = client.get(f"{job}/artifacts/student.onnx")
    assert response.status_code in {404, 410}
    assert response.headers["content-type"] == "application/problem+json"


def test_a_report_is_json_or_markdown(client: TestClient, job: str) -> None:
    report = client.get(f"{job}/report").json()
    assert report["verdict"]["outcome"] == "beats"
    assert report["gates_passed"] is False
    assert len(report["artifacts"]) == len(FILES)
    for response in (
        client.get(f"{job}/report", headers={"Accept": "text/markdown"}),
        client.get(f"{job}/report.md"),
    ):
        assert response.headers["content-type"] == "text/markdown; charset=utf-8"
        assert response.content == FILES["report.md"]
    for response in (
        client.get(f"{job}/report", headers={"Accept": "text/html,*/*;q=0.8"}),
        client.get(f"{job}/report.html"),
    ):
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.content == FILES["report.html"]
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "sandbox" in policy
        assert "script" not in policy


def test_a_report_tells_what_the_trainer_has_told(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    plain = client.get(f"/v1/jobs/{submit()}")
    path = f"/v1/jobs/{plain.json()['id']}/report"
    told = reported()
    worker.play({"report.json": told.model_dump_json().encode()})
    report = client.get(path).json()
    assert told.forms
    assert told.timings
    assert told.pareto
    apart = {"format", "version", "recipe", "verdict", "name"}
    document = told.model_dump(mode="json", exclude=apart)
    assert document == {key: report[key] for key in document}, "nothing that it tells is left out"
    assert report["quality"] == told.quality.model_dump(mode="json")
    assert report["stages"] == [one.model_dump(mode="json") for one in told.stages]
    assert (report["versions"], report["digests"]) == (told.versions, told.digests)
    assert client.get(f"{path}.html").status_code == 404


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": "stillhouse-report"}', b"\xff"])
def test_a_report_without_readable_details_is_the_verdict(
    client: TestClient, submit: Submit, worker: StageWorker, content: bytes
) -> None:
    path = f"/v1/jobs/{submit()}/report"
    worker.play({"report.json": content})
    report = client.get(path).json()
    assert report["verdict"]["outcome"] == "beats"
    assert (report["quality"], report["stages"], report["forms"]) == (None, [], [])
    assert (report["teacher"], report["data"]) == ("plain_cnn", None)


def test_a_job_that_has_not_succeeded_has_no_report(client: TestClient, submit: Submit) -> None:
    path = f"/v1/jobs/{submit()}"
    for response in (client.get(f"{path}/report"), client.get(f"{path}/report.md")):
        assert (response.status_code, response.json()["code"]) == (404, "report_not_found")
        assert "queued" in response.json()["detail"]

"""Files that come from the server's bucket directly: our key stays here, the digest is checked."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from bad_network import BadNetwork
from s3_server import S3Server, settings_of
from serving import running
from stand import SPEC, Worker
from stillhouse import Client, DigestMismatch, StillhouseError

from jobs.database import open_database
from jobs.settings import Settings
from jobs.stores import open_store

BIG = random.Random(7).randbytes(400_000)


@pytest.fixture
def bucket(s3_server: S3Server) -> Generator[BadNetwork]:
    """A bad network before the bucket; good until told otherwise."""
    network = BadNetwork(s3_server.port)
    network.open()
    yield network
    network.close()


@pytest.fixture
def job(s3_server: S3Server, bucket: BadNetwork, tmp_path: Path) -> Generator[tuple[Client, str]]:
    """A client with secrets of its own, and a job whose files are in the bucket."""
    named = settings_of(s3_server, s3_server.make_bucket())
    settings = Settings(data=tmp_path / "data", **named)
    variables = {
        "STILLHOUSE_ARTIFACTS": named["artifacts"],
        "STILLHOUSE_S3_ENDPOINT": named["s3_endpoint"],
        "STILLHOUSE_S3_PUBLIC_ENDPOINT": bucket.url,
    }
    with running(settings, **variables) as server, Client(server.url, patience_seconds=10) as made:
        made._http.headers["Authorization"] = "Bearer hunter2"
        made._http.cookies.set("session", "hunter2")
        job_id = made.submit(SPEC)["id"]
        with open_database(settings) as database:
            worker = Worker(database, open_store(settings))
            claim = worker.take(job_id)
            worker.deliver(claim, tmp_path, "student.onnx", BIG)
            worker.succeed(claim)
        yield made, job_id


def test_a_file_comes_from_the_bucket_and_our_key_does_not_go_there(
    job: tuple[Client, str], bucket: BadNetwork, tmp_path: Path
) -> None:
    client, job_id = job
    (path,) = client.download(job_id, tmp_path / "out", redirect=True)
    assert path.read_bytes() == BIG
    assert bucket.asked.startswith(b"GET /")
    for secret in (b"hunter2", b"authorization", b"cookie", b"if-range"):
        assert secret not in bytes(bucket.asked).lower()
    before = bucket.connections
    client.download(job_id, tmp_path / "again", redirect=False)
    client.download(job_id, tmp_path / "once more")
    assert bucket.connections == before, "the server itself sends unless it was asked or told"


def test_a_bucket_that_breaks_off_is_asked_for_the_rest(
    job: tuple[Client, str], bucket: BadNetwork, tmp_path: Path
) -> None:
    client, job_id = job
    bucket.cut_after = 90_000
    heights = list[int]()
    (path,) = client.download(
        job_id, tmp_path / "out", redirect=True, received=lambda here, _: heights.append(here)
    )
    assert path.read_bytes() == BIG
    assert bucket.connections >= 5
    assert heights == sorted(heights)


def test_flipped_bits_from_the_bucket_are_noticed(
    job: tuple[Client, str], bucket: BadNetwork, tmp_path: Path
) -> None:
    client, job_id = job
    bucket.flip_at = 200_000
    with pytest.raises(DigestMismatch) as caught:
        client.download(job_id, tmp_path / "out", redirect=True)
    assert caught.value.expected == hashlib.sha256(BIG).hexdigest()
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://bucket.example/x", "anybody on the way could read it"),
        ("file:///etc/passwd", "no address of the web"),
        ("ftp://bucket.example/x", "no address of the web"),
    ],
)
def test_a_redirect_to_anywhere_else_is_not_followed(location: str, words: str) -> None:
    answer = httpx.Response(
        307, headers={"location": location}, request=httpx.Request("GET", "https://house.example/")
    )
    with Client("https://house.example") as client:
        elsewhere = client._transport.open_elsewhere(answer, headers={})
        with pytest.raises(StillhouseError, match=words), elsewhere:
            pass

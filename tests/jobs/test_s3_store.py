"""What only a bucket can meet: keys that are refused, a network, uploads that broke off."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from backstage import CONTENT, S3Backstage, announced
from s3_server import S3Server, settings_of
from waiting import wait_until

from jobs.errors import ArtifactNotFound, StoreMisconfigured, StoreUnavailable
from jobs.s3_bucket import Bucket
from jobs.s3_store import S3Store
from jobs.settings import Settings
from jobs.stores import open_store, prepare_store

LARGE = random.Random(8).randbytes(12_000_000)
ROOT = Path(__file__).parents[2]
PUT_AND_STOP = """
import os, signal, sys
from pathlib import Path
from backstage import announced
from jobs import s3_upload
from jobs.settings import Settings
from jobs.stores import open_store

source = Path(sys.argv[1])
s3_upload.PART_BYTES = 5 << 20
sent = s3_upload.Upload._send

def send(self, *arguments, **named):
    answer = sent(self, *arguments, **named)
    if named.get("PartNumber") == 2:
        os.kill(os.getpid(), signal.SIGSTOP)
    return answer

s3_upload.Upload._send = send
open_store(Settings()).put("job_a", 1, announced(content=source.read_bytes()), source)
"""


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.s3_upload.PART_BYTES", 5 << 20)


def store_on(server: S3Server, bucket: str, **changed: Any) -> S3Store:
    return S3Store(Bucket.of(Settings(**{**settings_of(server, bucket), **changed})))


@pytest.fixture
def store(s3_server: S3Server) -> S3Store:
    return store_on(s3_server, s3_server.make_bucket())


@pytest.fixture
def backstage(s3_server: S3Server, store: S3Store) -> S3Backstage:
    return S3Backstage(store, s3_server.client())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "student.bin"
    file.write_bytes(CONTENT)
    return file


def listen(store: S3Store, event: str, hear: Any) -> None:
    """Have something happen to the requests that a store sends."""
    store._patient.meta.events.register_last(event, hear)


def forget_checksums(request: Any, **_: Any) -> None:
    """Send what a server without checksums understands: nothing of them."""
    for name in [name for name in request.headers if "checksum" in name.lower()]:
        del request.headers[name]


@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["one", "many"])
def test_what_a_server_without_checksums_keeps_is_read_back(
    store: S3Store, source: Path, content: bytes
) -> None:
    source.write_bytes(content)
    read: list[str] = []
    store._prompt.meta.events.register("before-call.s3.GetObject", lambda **_: read.append("it"))
    store.put("job_a", 1, announced(content=content), source)
    assert read == [], "the server has said which sha256 it found"
    listen(store, "before-sign.s3", forget_checksums)
    store.put("job_a", 2, announced(content=content), source)
    assert read == ["it"]


@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["one", "many"])
def test_bytes_that_change_on_their_way_are_found_and_taken_away_again(
    store: S3Store, backstage: S3Backstage, source: Path, content: bytes
) -> None:
    source.write_bytes(content)
    listen(store, "before-sign.s3", forget_checksums)

    def flip(params: Any, **_: Any) -> None:
        block = params["body"].read()
        params["body"] = block[:-1] + bytes([block[-1] ^ 1])

    for operation in ("PutObject", "UploadPart"):
        listen(store, f"before-call.s3.{operation}", flip)
    with pytest.raises(StoreUnavailable, match="keeps other bytes than were sent"):
        store.put("job_a", 1, announced(content=content), source)
    assert backstage.names() == []


def test_a_server_that_tells_of_other_bytes_is_not_believed_to_have_ours(
    store: S3Store, source: Path
) -> None:
    def lie(parsed: Any, **_: Any) -> None:
        parsed["ChecksumSHA256"] = "AAAA"

    listen(store, "after-call.s3.PutObject", lie)
    with pytest.raises(StoreUnavailable, match="found other bytes than were sent"):
        store.put("job_a", 1, announced(), source)


def test_an_upload_that_is_killed_half_way_shows_nothing_and_leaves_what_can_be_discarded(
    s3_server: S3Server, store: S3Store, backstage: S3Backstage, source: Path
) -> None:
    source.write_bytes(LARGE)
    variables = {
        "STILLHOUSE_ARTIFACTS": f"s3://{store.bucket.name}/some/prefix",
        "STILLHOUSE_S3_ENDPOINT": s3_server.url,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'jobs'}",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", PUT_AND_STOP, str(source)], env=os.environ | variables
    )
    try:
        wait_until(lambda: "State:\tT" in Path(f"/proc/{process.pid}/status").read_text())
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert backstage.names() == ["unfinished job_a/1/student.bin"]
    assert list(store.list()) == []
    with pytest.raises(ArtifactNotFound):
        store.open("job_a/1/student.bin")
    (unfinished,) = store.unfinished()
    assert unfinished.attempt == ("job_a", 1)
    store.put("job_a", 1, announced(content=LARGE), source)
    store.discard(unfinished)
    store.discard(unfinished)
    assert backstage.names() == ["job_a/1/student.bin"]
    with store.open("job_a/1/student.bin") as content:
        assert content.read() == LARGE


def test_a_bucket_that_is_not_there_is_told_at_start(s3_server: S3Server) -> None:
    with pytest.raises(StoreMisconfigured, match="NoSuchBucket") as refused:
        prepare_store(store_on(s3_server, "nobody-made-it"))
    assert "make the bucket" in str(refused.value.hint)
    with pytest.raises(StoreMisconfigured):
        store_on(s3_server, "nobody-made-it").ping()


def test_wrong_keys_are_told_at_start_and_not_repeated(mortal_s3: S3Server) -> None:
    bucket = mortal_s3.make_bucket()
    mortal_s3.check_keys()
    keys = {"s3_access_key_id": "AKIAnobody", "s3_secret_access_key": "hunter2"}
    store = store_on(mortal_s3, bucket, **keys)
    with pytest.raises(StoreMisconfigured, match="403 InvalidAccessKeyId") as refused:
        prepare_store(store)
    assert "STILLHOUSE_S3_ACCESS_KEY_ID" in str(refused.value.hint)
    for said in (str(refused.value), str(refused.value.hint), repr(store.bucket), str(vars(store))):
        assert "hunter2" not in said
        assert "AKIAnobody" not in said


def test_no_keys_at_all_are_told_at_start(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(StoreMisconfigured, match="found no credentials"):
        prepare_store(store_on(s3_server, "any-bucket"))


ODD: list[dict[str, Any]] = [
    {"artifacts": "s3://"},
    {"artifacts": "s3://Bucket"},
    {"artifacts": "s3://key:hunter2@bucket"},
    {"artifacts": "s3://bucket/a//b"},
    {"artifacts": "s3://bucket/../b"},
    {"artifacts": "s3://bucket/a?b"},
    {"s3_endpoint": "minio:9000"},
    {"s3_endpoint": "http://me:hunter2@minio:9000"},
    {"s3_endpoint": "http://minio:9000/bucket"},
    {"s3_access_key_id": "only"},
    {"s3_secret_access_key": "hunter2"},
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_settings_that_make_no_sense_are_told_without_their_secrets(odd: dict[str, Any]) -> None:
    with pytest.raises(StoreMisconfigured, match="STILLHOUSE_") as refused:
        open_store(Settings(**{"artifacts": "s3://bucket", **odd}))
    assert refused.value.hint
    assert "hunter2" not in f"{refused.value} {refused.value.hint}"


def test_without_boto3_the_extra_is_named(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in {"boto3", "botocore"}]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(StoreMisconfigured, match="boto3 is not installed") as refused:
        prepare_store(store_on(s3_server, "any-bucket"))
    assert refused.value.hint == "pip install 'stillhouse-server[s3]'"


def test_boto3_is_loaded_for_a_bucket_alone(tmp_path: Path) -> None:
    program = "from api.app import create_app; from jobs.settings import Settings; import sys\n"
    program += "create_app(Settings()); print({'boto3', 'botocore'} & set(sys.modules))"
    env = {"PYTHONPATH": str(ROOT), "STILLHOUSE_DATA": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_a_server_that_is_away_or_hangs_is_said_to_be_away(
    mortal_s3: S3Server, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.s3_client.PROMPT_SECONDS", 0.5)
    monkeypatch.setattr("jobs.s3_client.PATIENT_SECONDS", 0.5)
    store = store_on(mortal_s3, mortal_s3.make_bucket())
    store.prepare()
    # More than the buffers between here and there hold.
    source.write_bytes(LARGE)
    location = store.put("job_a", 1, announced(content=LARGE), source)
    with store.open(location) as content:
        content.read(1000)
        mortal_s3.freeze()
        for ask in (store.ping, lambda: store.open(location), lambda: next(store.list())):
            with pytest.raises(StoreUnavailable, match="does not answer"):
                ask()
        with pytest.raises(StoreUnavailable, match="does not answer"):
            content.read()
    mortal_s3.thaw()
    store.ping()
    mortal_s3.kill()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        store.put("job_a", 1, announced(content=LARGE), source)
    prepare_store(store)  # it may come back, so the process starts


def test_a_link_gives_the_file_to_whoever_has_it_and_never_as_a_page(
    s3_server: S3Server, store: S3Store, source: Path
) -> None:
    import httpx

    location = store.put("job_a", 1, announced("page.html"), source)
    link = store.link(location, "page.html", 60)
    assert link is not None
    assert "X-Amz-Expires=60" in link
    assert "hunter2" not in link
    response = httpx.get(link)
    assert response.content == CONTENT
    assert response.headers["content-disposition"] == 'attachment; filename="page.html"'
    assert response.headers["content-type"] == "application/octet-stream"
    outside = store_on(s3_server, store.bucket.name, s3_public_endpoint="https://files.example")
    assert str(outside.link(location, "page.html", 60)).startswith("https://files.example/")

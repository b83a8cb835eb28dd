"""What every artifact store keeps to: whole or absent, and nothing else than what was announced."""

import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from backstage import CONTENT, Backstage, FolderBackstage, S3Backstage, announced
from s3_server import S3Server, settings_of

from jobs.artifacts import ArtifactStore
from jobs.errors import ArtifactNotFound, ArtifactRefused
from jobs.folder_store import FolderStore
from jobs.s3_bucket import Bucket
from jobs.s3_store import S3Store
from jobs.settings import Settings

LARGE = random.Random(8).randbytes(12_000_000)
"""Three parts of an upload, where parts are as small as servers take them."""


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.s3_upload.PART_BYTES", 5 << 20)


@pytest.fixture(params=["folder", "s3"])
def backstage(request: pytest.FixtureRequest, tmp_path: Path) -> Backstage:
    if request.param == "folder":
        return FolderBackstage(FolderStore(tmp_path / "store"))
    server: S3Server = request.getfixturevalue("s3_server")
    settings = Settings(data=tmp_path, **settings_of(server, server.make_bucket()))
    return S3Backstage(S3Store(Bucket.of(settings)), server.client())


@pytest.fixture
def store(backstage: Backstage) -> ArtifactStore:
    backstage.store.prepare()
    return backstage.store


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "student.bin"
    file.write_bytes(CONTENT)
    return file


Put = Callable[..., str]


@pytest.fixture
def put(store: ArtifactStore, tmp_path: Path) -> Put:
    """Give a way to put bytes."""

    def now(
        content: bytes, job_id: str = "job_a", attempt: int = 1, name: str = "student.bin"
    ) -> str:
        file = tmp_path / "to-put"
        file.write_bytes(content)
        return store.put(job_id, attempt, announced(name, content), file)

    return now


def test_content_comes_back_as_it_went_in(
    store: ArtifactStore, backstage: Backstage, put: Put
) -> None:
    for content in (b"", b"x", CONTENT, LARGE):
        location = put(content)
        assert put(content) == location
        assert store.size(location) == len(content)
        with store.open(location) as whole:
            assert whole.size_bytes == len(content)
            assert whole.read() == content
            assert whole.read(5) == b""
        assert backstage.names() == ["job_a/1/student.bin"]


PARTS = [(0, 1), (0, 3_000_000), (1_000_000, None), (2_999_999, None), (5, 2_000_000)]


def test_a_part_is_that_part(store: ArtifactStore, put: Put) -> None:
    location = put(CONTENT)
    for first, end in PARTS:
        with store.open(location, first, end) as part:
            assert part.size_bytes == len(CONTENT)
            assert part.read(7) + part.read() == CONTENT[first:end]


def test_a_store_answers_once_it_is_prepared_and_keeps_no_trace_of_being_asked(
    store: ArtifactStore, backstage: Backstage
) -> None:
    store.prepare()
    store.ping()
    assert backstage.names() == []


def test_attempts_do_not_touch_each_other(store: ArtifactStore, put: Put) -> None:
    first, second = put(CONTENT), put(b"other", attempt=2)
    with store.open(first) as one, store.open(second) as two:
        assert (one.read(), two.read()) == (CONTENT, b"other")


NAMES = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a\\b",
    ".hidden",
    "-x",
    "a\0b",
    "a b",
    "ä",
    "a" * 129,
    "x\n",
]


def test_a_name_that_is_not_plain_is_refused(
    store: ArtifactStore, backstage: Backstage, source: Path
) -> None:
    for name in NAMES:
        with pytest.raises(ArtifactRefused, match="expected"):
            store.put("job_a", 1, announced(name), source)
    assert backstage.names() == []


@pytest.mark.parametrize("found", [CONTENT, LARGE], ids=["one", "many"])
def test_content_that_is_not_what_was_announced_leaves_nothing(
    store: ArtifactStore, backstage: Backstage, source: Path, found: bytes
) -> None:
    source.write_bytes(found)
    for said in (b"other", b"x" * len(found), found + b"x", found[:-1]):
        with pytest.raises(ArtifactRefused, match=rf"found .* bytes .* expected {len(said)} bytes"):
            store.put("job_a", 1, announced(content=said), source)
    assert backstage.names() == []


def test_only_a_plain_file_is_put(store: ArtifactStore, source: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(source)
    with pytest.raises(OSError, match="symbolic link"):
        store.put("job_a", 1, announced(), link)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no plain file"):
        store.put("job_a", 1, announced(), tmp_path / "pipe")
    with pytest.raises(FileNotFoundError):
        store.put("job_a", 1, announced(), tmp_path / "nothing")


ODD = [
    "../student.bin", "/etc/passwd", "job_a/1/gone", "job_a/1/../1/student.bin", "", "..",
    "job_a//student.bin", "job_a/1/student.bin/x", "job_a/1/.hidden", "job_a/1/student.bin\n",
    "job_a/x/student.bin",
    "job_a/1/%2e%2e", "job_a/1/student.bin?versionId=1", "some/prefix/job_a/1/student.bin",
]  # fmt: skip


def test_a_location_outside_or_gone_is_not_found(store: ArtifactStore, put: Put) -> None:
    put(CONTENT)
    for location in ODD:
        for ask in (store.open, store.size):
            with pytest.raises(ArtifactNotFound):
                ask(location)


def test_a_part_beyond_the_end_of_what_is_there_is_never_made_up(
    store: ArtifactStore, backstage: Backstage, put: Put
) -> None:
    location = put(CONTENT)
    backstage.overwrite(location, b"short")
    try:
        with store.open(location, 1000) as part:
            assert (part.size_bytes, part.read()) == (5, b"")
    except ArtifactNotFound as error:
        assert error.gone  # noqa: PT017  # S3 refuses the range


def test_what_is_deleted_is_gone_and_may_be_deleted_again(
    store: ArtifactStore, backstage: Backstage, put: Put
) -> None:
    first, second = put(CONTENT), put(CONTENT, name="other.bin")
    store.delete(first)
    store.delete(first)
    with pytest.raises(ArtifactNotFound) as gone:
        store.open(first)
    assert gone.value.gone
    assert backstage.names() == [second]
    store.delete(second)
    assert backstage.names() == []
    for outside in ("../student.bin", "/etc/passwd"):
        with pytest.raises(ArtifactNotFound):
            store.delete(outside)


def test_what_is_kept_is_listed_in_order_from_anywhere(
    store: ArtifactStore, backstage: Backstage, put: Put
) -> None:
    began = datetime.now(UTC) - timedelta(seconds=2)
    made = sorted(
        put(b"x", job_id=job_id, attempt=attempt, name=name)
        for job_id in ("job_a", "job_b")
        for attempt in (1, 2, 10)
        for name in ("a.bin", "b.bin")
    )
    for foreign in ("readme", "job_a/notes", "job_a/1/.secret", "a/b/c", "job_a/1/x/y"):
        backstage.plant(foreign, b"not ours")
    listed = list(store.list())
    assert [one.location for one in listed] == made
    assert all(began < one.since < datetime.now(UTC) + timedelta(seconds=2) for one in listed)
    assert listed[0].attempt == ("job_a", 1)
    for place, location in enumerate(made):
        assert [one.location for one in store.list(after=location)] == made[place + 1 :]
    assert [one.location for one in store.list("job_b")] == made[6:]
    assert [one.location for one in store.list("job_b/2")] == made[10:]
    assert list(store.list("job_c")) == list(store.unfinished()) == []


def test_more_is_listed_than_an_answer_holds(
    store: ArtifactStore, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.s3_store.PAGE_KEYS", 3)
    for number in range(10):
        backstage.plant(f"job_a/{number}/x.bin", b"")
    assert len(list(store.list())) == 10

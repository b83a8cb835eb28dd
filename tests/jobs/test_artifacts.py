"""The artifact store: whole or absent, and nothing else than what was announced."""

import errno
import hashlib
import os
import resource
import signal
from pathlib import Path

import pytest

from jobs.artifacts import ArtifactStore, Delivery
from jobs.errors import ArtifactNotFound, ArtifactRefused, StoreFull

CONTENT = os.urandom(3_000_000)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "student.bin"
    file.write_bytes(CONTENT)
    return file


def announced(name: str = "student.bin", content: bytes = CONTENT) -> Delivery:
    digest = hashlib.sha256(content).hexdigest()
    return Delivery(name, "student", len(content), digest, "application/octet-stream")


def files_in(store: ArtifactStore) -> list[str]:
    return [path.name for path in store.root.rglob("*") if path.is_file()]


def test_content_comes_back_as_it_went_in(store: ArtifactStore, source: Path) -> None:
    location = store.put("job_a", 1, announced(), source)
    assert store.put("job_a", 1, announced(), source) == location
    with store.open(location) as content:
        content.seek(1_000_000)
        assert content.read() == CONTENT[1_000_000:]
    assert files_in(store) == ["student.bin"]


def test_a_store_answers_once_it_is_prepared_and_keeps_no_trace_of_being_asked(
    store: ArtifactStore,
) -> None:
    with pytest.raises(OSError, match="No such file"):
        store.ping()
    store.prepare()
    store.prepare()
    store.ping()
    assert list(store.root.iterdir()) == []


def test_attempts_do_not_touch_each_other(store: ArtifactStore, source: Path) -> None:
    first = store.put("job_a", 1, announced(), source)
    source.write_bytes(b"other")
    second = store.put("job_a", 2, announced(content=b"other"), source)
    with store.open(first) as one, store.open(second) as two:
        assert (one.read(), two.read()) == (CONTENT, b"other")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "-x", "a\0b", "a b", "ä", "a" * 129, "x\n"],
)
def test_a_name_that_is_not_plain_is_refused(store: ArtifactStore, source: Path, name: str) -> None:
    with pytest.raises(ArtifactRefused, match="expected"):
        store.put("job_a", 1, announced(name), source)
    assert not store.root.exists()


def test_content_that_is_not_what_was_announced_leaves_nothing(
    store: ArtifactStore, source: Path
) -> None:
    with pytest.raises(ArtifactRefused, match=r"found 3000000 bytes .* expected 5 bytes"):
        store.put("job_a", 1, announced(content=b"other"), source)
    assert files_in(store) == []


def test_a_link_is_not_followed(store: ArtifactStore, source: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(source)
    with pytest.raises(OSError, match="symbolic link"):
        store.put("job_a", 1, announced(), link)
    location = store.put("job_a", 1, announced(), source)
    (store.root / location).unlink()
    (store.root / location).symlink_to("/etc/passwd")
    with pytest.raises(ArtifactNotFound):
        store.open(location)


@pytest.mark.parametrize("location", ["../student.bin", "/etc/passwd", "job_a/1/gone"])
def test_a_location_outside_or_gone_is_not_found(
    store: ArtifactStore, source: Path, location: str
) -> None:
    store.put("job_a", 1, announced(), source)
    with pytest.raises(ArtifactNotFound):
        store.open(location)


def test_a_full_disk_is_named_and_leaves_nothing_half_written(
    store: ArtifactStore, source: Path
) -> None:
    # A limit on the size of files is how a process without privileges meets a full disk.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, limits[1]))
    try:
        with pytest.raises(StoreFull, match=r"student\.bin \(3000000 bytes\)"):
            store.put("job_a", 1, announced(), source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert files_in(store) == []
    store.put("job_a", 1, announced(), source)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fails_at_the_last_moment_leaves_nothing_either(
    store: ArtifactStore, source: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError if code == errno.EIO else StoreFull):
        store.put("job_a", 1, announced(), source)
    assert files_in(store) == []

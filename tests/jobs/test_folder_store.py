"""What only a folder can meet: links, full disks, files that never got their name."""

import errno
import os
import resource
import signal
import threading
from pathlib import Path

import pytest
from backstage import CONTENT, announced

from jobs.errors import ArtifactNotFound, StoreFull, StoreMisconfigured, StoreUnavailable
from jobs.folder_store import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "student.bin"
    file.write_bytes(CONTENT)
    return file


def files_in(store: FolderStore) -> list[str]:
    return [path.name for path in store.root.rglob("*") if path.is_file()]


def test_a_folder_that_is_gone_is_away_and_one_that_cannot_be_made_is_told_at_start(
    store: FolderStore, tmp_path: Path
) -> None:
    with pytest.raises(StoreUnavailable):
        store.ping()
    store.prepare()
    store.ping()
    (tmp_path / "file").touch()
    with pytest.raises(StoreMisconfigured, match="cannot be written") as refused:
        FolderStore(tmp_path / "file" / "store").prepare()
    assert "STILLHOUSE_ARTIFACTS" in str(refused.value.hint)


def test_a_link_in_the_store_is_not_followed(store: FolderStore, source: Path) -> None:
    location = store.put("job_a", 1, announced(), source)
    (store.root / location).unlink()
    (store.root / location).symlink_to("/etc/passwd")
    with pytest.raises(ArtifactNotFound):
        store.open(location)
    (store.root / location).unlink()
    (store.root / "job_a" / "1").rmdir()
    outside = store.root.parent / "outside"
    outside.mkdir()
    (outside / "student.bin").write_bytes(CONTENT)
    (store.root / "job_a" / "1").symlink_to(outside)
    with pytest.raises(ArtifactNotFound):
        store.open(location)


def test_a_disk_that_does_not_answer_is_not_taken_for_a_file_that_is_gone(
    store: FolderStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = store.put("job_a", 1, announced(), source)

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(StoreUnavailable):
        store.open(location)


def test_a_full_disk_is_named_and_leaves_nothing_half_written(
    store: FolderStore, source: Path
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
    store: FolderStore, source: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreFull, match=r"student\.bin"):
        store.put("job_a", 1, announced(), source)
    assert files_in(store) == []


def test_what_a_killed_writer_left_is_listed_and_discarded(
    store: FolderStore, source: Path
) -> None:
    location = store.put("job_a", 1, announced(), source)
    left = store.root / "job_a" / "1" / f".{'0f' * 16}.tmp"
    left.write_bytes(b"half")
    (unfinished,) = store.unfinished()
    assert (unfinished.attempt, bool(unfinished.upload)) == (("job_a", 1), True)
    assert [one.location for one in store.list()] == [location]
    store.discard(unfinished)
    store.discard(unfinished)
    assert files_in(store) == ["student.bin"]


def test_files_are_put_while_the_last_one_of_a_folder_is_deleted(
    store: FolderStore, source: Path
) -> None:
    source.write_bytes(b"small")
    delivery, stop = announced(content=b"small"), threading.Event()

    def delete() -> None:
        while not stop.is_set():
            store.delete("job_a/1/gone.bin")  # again, and the empty folder with it

    deleter = threading.Thread(target=delete)
    deleter.start()
    try:
        for _ in range(50):
            store.delete(store.put("job_a", 1, delivery, source))
    finally:
        stop.set()
        deleter.join()

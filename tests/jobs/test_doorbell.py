"""The bell without a broker: heard by every worker of the machine, and harmless in every way."""

import os
import threading
from pathlib import Path

import pytest

from jobs.doorbell import Doorbell, ring_all
from jobs.queue import Bell
from jobs.settings import Settings


def listen(bell: Doorbell, heard: threading.Semaphore) -> threading.Thread:
    def run() -> None:
        with bell:
            while bell.wait():
                heard.release()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_every_worker_that_listens_hears_it(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    bells = [Doorbell(settings.bells, name) for name in ("one", "other")]
    heard = [threading.Semaphore(0), threading.Semaphore(0)]
    threads = [listen(*pair) for pair in zip(bells, heard, strict=True)]
    assert Bell(settings).ring("job_x")
    assert all(semaphore.acquire(timeout=10) for semaphore in heard)
    for bell, thread in zip(bells, threads, strict=True):
        bell.stop()
        bell.stop()
        thread.join(10)
        assert not thread.is_alive()
    assert list(settings.bells.iterdir()) == [], "nothing is left behind"
    assert not Bell(settings).ring("job_x")


def test_a_ring_before_anybody_waits_is_not_lost(tmp_path: Path) -> None:
    with Doorbell(tmp_path, "worker") as bell:
        assert ring_all(tmp_path)
        assert bell.wait()


def test_a_worker_that_does_not_listen_makes_nobody_wait(tmp_path: Path) -> None:
    with Doorbell(tmp_path, "deaf") as bell:
        for _ in range(70_000):  # more than a pipe holds
            assert ring_all(tmp_path)
        assert bell.wait()


def test_the_pipe_of_a_worker_that_was_killed_is_taken_down(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dead.bell")
    assert not ring_all(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_pipe_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file.bell").write_text("mine")
    (tmp_path / "link.bell").symlink_to(tmp_path / "file.bell")
    (tmp_path / "folder.bell").mkdir()
    assert not ring_all(tmp_path)
    assert (tmp_path / "file.bell").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_that_is_not_there_is_silence(tmp_path: Path) -> None:
    assert not ring_all(tmp_path / "none")


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Doorbell(tmp_path / "file" / "bells", "worker")

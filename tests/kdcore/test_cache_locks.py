"""Locks of the teacher caches: files come and go, and one holds what another waits for."""

import fcntl
import threading
import time

from test_cache_shelf import cache
from test_teacher_cache import given, images, run

from kdcore.teacher_cache.locks import locked
from kdcore.teacher_cache.shelf import Shelf

__all__ = ["given"]  # a fixture that both files use


def test_what_the_dead_have_left_is_cleared_by_the_next_who_comes(tmp_path):
    ours = cache(tmp_path)
    (tmp_path / "locks").mkdir()
    dead = tmp_path / f"locks/{ours.key}.x.room"
    dead.write_text('{"view0": 100}')
    with Shelf(tmp_path).room(ours, {"view0": 100}) as room:
        assert room == {"view0"}
        assert not dead.exists()


def test_a_lock_is_held_by_one_however_its_file_comes_and_goes(tmp_path):
    inside, most, done = [0], [0], [0]

    def take() -> None:
        for _ in range(150):
            with locked(tmp_path, "one", fcntl.LOCK_EX) as lock:
                assert lock is not None
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)
                inside[0] -= 1
                done[0] += 1

    takers = [threading.Thread(target=take, daemon=True) for _ in range(6)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    assert (most[0], done[0]) == (1, 900)
    assert list((tmp_path / "locks").iterdir()) == []


def test_who_waited_for_a_file_that_is_gone_holds_the_one_that_is_there(tmp_path):
    path, held = tmp_path / "locks/one", threading.Event()

    def wait() -> None:
        with locked(tmp_path, "one", fcntl.LOCK_SH):
            held.set()
            release.wait()

    release = threading.Event()
    waiter = threading.Thread(target=wait, daemon=True)
    with locked(tmp_path, "one", fcntl.LOCK_EX):
        waiter.start()
        time.sleep(0.05)
        assert not held.is_set()
    assert held.wait(10)
    with locked(tmp_path, "one", fcntl.LOCK_EX | fcntl.LOCK_NB) as mine:
        assert mine is None
    assert path.exists()
    release.set()
    waiter.join()
    assert not path.exists()


def test_no_lock_file_is_left_when_a_run_is_over(given, tmp_path):
    shelf = Shelf(tmp_path / "shelf")
    run(images(), tmp_path / "run", given, shelf)
    (made,) = shelf.caches()
    assert made.listed() is not None
    assert list((shelf.root / "locks").iterdir()) == []

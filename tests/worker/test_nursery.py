"""Trainers that are forked: born as those that are started, none the worse for the nursery."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from bench import NURSERY, Bench
from house import House, loads_torch, terminate
from waiting import wait_until

from worker import keeper
from worker.child import TRAINER, Child
from worker.nursery import UNFIT
from worker.trainer import STOPPED

pytestmark = pytest.mark.slow
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
warm = pytest.mark.parametrize("bench", ["warm"], indirect=True)
ENDLESS = {"recipe": {"name": json.dumps({"steps": 100_000, "pause": 0.01})}}


def order(workdir: Path) -> dict[str, object]:
    return {**ENDLESS, "workdir": str(workdir), "inputs": str(workdir)}


def were_warm(bench: Bench, job_id: str) -> list[bool]:
    events = bench.ask(lambda ledger: ledger.events(job_id))
    return [event.data["warm"] for event in events if event.type == "attempt.first_step"]


def nursery_of(bench: Bench) -> psutil.Process:
    assert bench.keeper is not None
    return psutil.Process(bench.keeper.pid)


def replaced(bench: Bench, old: psutil.Process) -> bool:
    assert bench.keeper is not None
    return bench.keeper.ready.is_set() and bench.keeper.pid != old.pid


@on_sqlite
@warm
def test_a_forked_trainer_stands_where_a_started_one_would_stand(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit(no_end=True)
    claim = bench.run()
    workdir = bench.workdir(claim)
    seen = json.loads((workdir / "seen.json").read_text())
    assert were_warm(bench, job_id) == [True]
    assert seen["group"] == seen["pid"]
    assert seen["session"] not in {os.getsid(0), os.getsid(nursery_of(bench).pid)}
    assert seen["folder"] == str(workdir)
    assert all("pipe" in seen["descriptors"][stream] for stream in ("0", "1", "2"))
    assert seen["descriptors"]["1"] == seen["descriptors"]["2"] != seen["descriptors"]["0"]


@on_sqlite
@warm
def test_the_time_from_the_claim_to_the_first_step_is_told(bench: Bench) -> None:
    job_id = bench.submit(steps=3)
    before = time.monotonic()
    bench.run()
    events = bench.ask(lambda ledger: ledger.events(job_id))
    (told,) = [event.data for event in events if event.type == "attempt.first_step"]
    assert told["warm"] is True
    assert 0 < told["seconds"] < time.monotonic() - before


@on_sqlite
@warm
def test_the_nursery_and_its_trainers_have_no_secret_in_their_memory_of_the_start(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = nursery_of(bench)
    monkeypatch.setenv("STILLHOUSE_DATABASE_URL", "hunter2")
    first.kill()  # the one that takes its place is started with the secret around
    wait_until(lambda: replaced(bench, first))
    assert "hunter2" not in Path(f"/proc/{nursery_of(bench).pid}/environ").read_text()
    bench.submit(no_end=True)
    claim = bench.run()
    assert "hunter2" not in (bench.workdir(claim) / "seen.json").read_text()


@on_sqlite
@warm
def test_a_nursery_that_dies_takes_no_trainer_with_it_and_another_one_comes(bench: Bench) -> None:
    job_id = bench.submit(steps=100, pause=0.02)
    claim = bench.claim()
    attempt = bench.start(claim)
    wait_until(lambda: bench.job(job_id).saved_steps)
    old = nursery_of(bench)
    old.kill()
    attempt.result(30)
    assert bench.reasons(job_id) == [("succeeded", "finished")]
    assert were_warm(bench, job_id) == [True]
    wait_until(lambda: replaced(bench, old))
    second = bench.submit()
    bench.run()
    assert were_warm(bench, second) == [True]


@on_sqlite
@warm
def test_whoever_stands_in_line_goes_with_the_nursery_and_is_replaced_when_killed(
    bench: Bench,
) -> None:
    def in_line(but: list[psutil.Process] | None = None) -> list[psutil.Process]:
        line = nursery_of(bench).children(recursive=True)
        return line if len(line) == 2 and not set(line) & set(but or []) else []

    first = wait_until(in_line)
    first[-1].kill()
    wait_until(lambda: in_line(but=first))
    job_id = bench.submit()
    bench.run()
    assert were_warm(bench, job_id) == [True]
    last = wait_until(in_line)
    nursery_of(bench).kill()
    wait_until(lambda: not any(_lives(process) for process in last))


@on_sqlite
@warm
def test_without_a_nursery_an_attempt_starts_cold(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "PAUSE_SECONDS", 600.0)
    assert bench.keeper is not None
    nursery_of(bench).kill()
    job_id = bench.submit()
    bench.run()
    assert bench.reasons(job_id) == [("succeeded", "finished")]
    assert were_warm(bench, job_id) == [False]


@on_sqlite
@warm
def test_a_nursery_that_does_not_answer_costs_a_moment_and_is_replaced(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "ANSWER_SECONDS", 0.3)
    first = nursery_of(bench)
    first.kill()  # the next one is given less time
    wait_until(lambda: replaced(bench, first))
    second = nursery_of(bench)
    second.suspend()
    job_id = bench.submit()
    bench.run()
    assert bench.reasons(job_id) == [("succeeded", "finished")]
    assert were_warm(bench, job_id) == [False]
    wait_until(lambda: replaced(bench, second))


@on_sqlite
@warm
@pytest.mark.parametrize(
    ("act", "code"), [(Child.ask_to_stop, STOPPED), (Child.kill, -signal.SIGKILL)]
)
def test_a_trainer_that_was_only_just_forked_hears_every_signal(
    bench: Bench, tmp_path: Path, act: Callable[[Child], None], code: int
) -> None:
    for _ in range(20):
        with Child(TRAINER, order(tmp_path), tmp_path, bench.keeper) as child:
            assert child.is_warm
            act(child)
            while child.lines(0.1) is not None:
                pass
            assert child.wait(10) == code


@on_sqlite
@warm
def test_trainers_of_one_nursery_are_apart_from_each_other(bench: Bench, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    with (
        Child(TRAINER, order(folders[0]), folders[0], bench.keeper) as one,
        Child(TRAINER, order(folders[1]), folders[1], bench.keeper) as other,
    ):
        assert one.lines(10)
        one.kill()
        assert one.wait(10) == -signal.SIGKILL
        assert other.lines(10)
        assert psutil.Process(other.pid).is_running()
        assert nursery_of(bench).is_running()
        # Nobody else holds an end of the pipe: its reader is told that no more can come.
        while one.lines(0.1) is not None:
            pass


@on_sqlite
@warm
def test_what_outlives_a_forked_trainer_is_not_left_to_the_worker_to_bury(bench: Bench) -> None:
    bench.submit(steps=2, child=True, kill_at=2)
    claim = bench.run()
    helper = int((bench.workdir(claim) / "helper.pid").read_text())
    wait_until(lambda: not psutil.pid_exists(helper) or psutil.Process(helper).ppid() == 1)


def test_a_process_with_several_threads_is_no_nursery() -> None:
    program = (
        "import sys, threading; from worker.nursery import main\n"
        "def rehearse(): threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "sys.exit(main(rehearse=rehearse, probe=lambda: None))"
    )
    ended = _run_nursery([sys.executable, "-c", program])
    assert ended.returncode == UNFIT
    assert "2 threads" in ended.stderr


def _run_nursery(command: list[str]) -> subprocess.CompletedProcess[str]:
    ours, theirs = keeper.socket.socketpair(keeper.socket.AF_UNIX, keeper.socket.SOCK_SEQPACKET)
    with ours, theirs:
        words = ["--channel-fd", str(theirs.fileno()), "--parent", str(os.getpid())]
        return subprocess.run(
            [*command, *words],
            pass_fds=(theirs.fileno(),),
            cwd=NURSERY.parents[2],
            check=False,
            timeout=30,
            capture_output=True,
            text=True,
        )


@on_sqlite
def test_a_warm_trainer_and_a_cold_one_make_the_same_student(house: House) -> None:
    worker = house.start_warm()
    forked = house.submit(300, name="forked", data="digits")
    house.wait_for(forked, "succeeded")
    assert terminate(worker) == 0
    house.start(warm=False)
    started = house.submit(300, name="started", data="digits")
    house.wait_for(started, "succeeded")
    assert (house.were_warm(forked), house.were_warm(started)) == ([True], [False])
    assert house.digest(forked) == house.digest(started)
    assert house.curves(forked) == house.curves(started)


@on_sqlite
def test_a_killed_worker_takes_its_nursery_and_its_trainers_along(house: House) -> None:
    worker = house.start_warm()
    job_id = house.submit(1_000_000)
    house.wait_for_step(job_id, 1, "teacher")
    assert house.were_warm(job_id) == [True]
    trainer = house.the_trainer()
    assert loads_torch(trainer.pid)
    # The trainer, the nursery, who stands in line there, and who stands between.
    relatives = psutil.Process(worker.pid)
    wait_until(lambda: len(relatives.children(recursive=True)) == 4)
    family = relatives.children(recursive=True)
    assert trainer in family
    assert not loads_torch(worker.pid)
    trainer.suspend()  # or it would end by itself, at the next event that nobody reads
    worker.kill()
    worker.wait()
    for process in family:
        wait_until(lambda process=process: not _lives(process), seconds=5)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

"""The trainer's own duties: whole lines whatever signals come, and words for an end of memory."""

import fcntl
import io
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import torch
from specs import document
from waiting import wait_until

import kdcore
from worker.trainer import REFUSED, STOPPED, run

ROOT = Path(__file__).resolve().parents[2]
LONG_STORY = """
import sys
import kdcore
from kdcore.events import Warned
from worker.trainer import main

def distill(*_, **__):
    while True:
        yield Warned(code="long", message="x" * 300_000)

kdcore.distill = distill
sys.exit(main())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the size of a pipe is Linux's to set")
def test_a_signal_does_not_tear_a_line_that_waits_for_room_in_the_pipe(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    capacity = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            LONG_STORY,
            "--events-fd",
            f"{writing}",
            "--parent",
            f"{os.getpid()}",
        ],
        cwd=ROOT,
        pass_fds=(writing,),
        stdin=subprocess.PIPE,
    ) as trainer:
        os.close(writing)
        assert trainer.stdin is not None
        order = {
            "recipe": document(),
            "workdir": str(tmp_path),
            "inputs": str(tmp_path),
            "max_threads": 1,
        }
        trainer.stdin.write(json.dumps(order).encode())
        trainer.stdin.close()
        wait_until(lambda: _unread(reading) == capacity)
        trainer.send_signal(signal.SIGTERM)
        with os.fdopen(reading, "rb") as pipe:
            story = [json.loads(line) for line in pipe]
    assert trainer.returncode == STOPPED
    assert [event["type"] for event in story] == ["warning", "run.stopped"]


def _unread(pipe: int) -> int:
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return count


def more_than_the_card_has() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


@pytest.mark.slow
@pytest.mark.parametrize(
    "exhaust",
    [lambda: bytes(1 << 62), lambda: torch.empty(1 << 60), more_than_the_card_has],
    ids=["python", "cpu", "cuda"],
)
def test_an_end_of_memory_is_told_with_the_way_out(
    exhaust: Callable[[], object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, told = _run(exhaust, monkeypatch, tmp_path)
    assert code == REFUSED
    assert (told["type"], told["code"]) == ("run.failed", "out_of_memory")
    assert "per_device_train_batch_size" in told["hint"]


def test_any_other_error_is_a_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        _run(fail, monkeypatch, tmp_path)


def _run(
    act: Callable[[], object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[int, dict[str, str]]:
    def distill(*_: object, **__: object) -> Generator[None]:
        act()
        yield

    # Not by setattr, which would load the engine to keep the real one.
    monkeypatch.setitem(vars(kdcore), "distill", distill)
    pipe = io.BytesIO()
    order = {
        "recipe": document(),
        "workdir": str(tmp_path),
        "inputs": str(tmp_path),
        "max_threads": 1,
    }
    code = run(order, pipe, threading.Event())
    return code, json.loads(pipe.getvalue())

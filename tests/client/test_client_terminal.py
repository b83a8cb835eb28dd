"""A watch on a real terminal: bars, curves below them, and none where nobody would see them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import pytest
from stand import SPEC, Server, Worker, environment
from stillhouse import Client

CURVE = "┤".encode()


def seen_on_a_terminal(
    server: Server, job_id: str, how: str, *, shown: Sequence[bytes], then: Callable[[], None]
) -> str:
    """Watch a job on a terminal until all of `shown` came, then on to its end."""
    seen = b""
    near, far = pty.openpty()
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "stillhouse",
            "watch",
            job_id,
            *([how] if how.startswith("--") else []),
        ],
        env=environment(STILLHOUSE_URL=server.url, TERM="xterm", COLUMNS="120", LINES="40"),
        stdin=far,
        stdout=subprocess.DEVNULL if how == "piped" else far,
        stderr=far,
        start_new_session=True,
    ) as watching:
        os.close(far)
        until = time.monotonic() + 30
        while not all(words in seen for words in shown):
            assert time.monotonic() < until, seen
            seen += os.read(near, 65536)
        then()
        while True:
            try:
                seen += os.read(near, 65536)
            except OSError:  # the other side is closed
                break
    os.close(near)
    assert watching.returncode == 0
    return seen.decode()


@pytest.mark.parametrize("how", ["", "--no-curves", "piped"])
def test_a_terminal_gets_bars_and_curves(
    server: Server, client: Client, worker: Worker, how: str
) -> None:
    curves = not how
    job_id = client.submit(SPEC)["id"]
    claim = worker.take(job_id)
    for step in (500, 1000):
        told = {"stage": "student-0", "seed": 0, "step": step, "split": "validation"}
        scores = {"accuracy": step / 1250}
        worker.tell(claim, {"type": "stage.evaluated", **told, "scores": scores})
    worker.tell(
        claim,
        {
            "type": "stage.progress",
            "stage": "student-0",
            "role": "student",
            "seed": 0,
            "step": 1234,
            "total_steps": 5000,
            "epoch": 2.0,
            "samples_per_second": 10.0,
            "eta_seconds": 60.0,
            "percent": 42.0,
            "run_eta_seconds": 65.0,
            "metrics": {"loss": 0.25},
        },
    )
    seen = seen_on_a_terminal(
        server,
        job_id,
        how,
        shown=[b"loss 0.25", *([CURVE] if curves else [])],
        then=lambda: worker.succeed(claim),
    )
    for words in ("42 %", "1:05 left", "student, seed 0", "step 1,234/5,000", "epoch 2", "BEATS"):
        assert words in seen, words
    assert ("validation accuracy" in seen) == curves
    assert ("┤" in seen) == curves

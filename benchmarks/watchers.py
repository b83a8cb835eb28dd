"""What many open dashboards cost the API, beyond a bare server of server-sent events.

    python benchmarks/watchers.py [--watchers 200] [--seconds 15] [--repeats 5] [--json FILE]

One job trains, as far as the ledger can tell: points, a measurement and progress come twice a
second. In turns, the API serves nobody and then so many open pages of the job; and a server that
does nothing else sends as many bytes as often to as many listeners. Cores are CPU seconds of the
server's process in a second. Then a real training is run with and without the open pages
beside it, also in turns.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
from stand.serving import ROOT, Server, free_port, running
from stand.telling import Table, asked, ratio, spread, write

from jobs.database import Database, migrate
from jobs.repository import Repository
from jobs.spec import JobSpec

_SENT = {"teacher": "plain_cnn", "student": "mlp", "data": "digits"}
_PLANNED = {"seed": 0, "role": "student", "total_steps": 1_000_000}
_STARTED: dict[str, Any] = {
    "type": "run.started",
    "stages": [{**_PLANNED, "name": "student-0", "teachers": []}],
    "device": "cpu",
    "threads": 1,
    "versions": {},
}
_DRAW_SECONDS = 1.0
"""As api/screens.py has it; the name `api` is another benchmark's here."""
_REPORT_SECONDS = 0.5
_REPORT_STEPS = 25
_TRAINING = """
teacher: {model: {name: mlp, hidden: [256]}}
student: {model: {name: mlp, hidden: [64]}}
data: digits
seeds: [0]
baseline: false
training: {max_steps: STEPS}
"""


def begun(database: Database) -> str:
    """Store a job that runs; return its id."""
    with database.write() as session:
        job_id = Repository(session).add(JobSpec.model_validate(_SENT), _SENT).id
    with database.write() as session:
        Repository(session).claim("bench", 86_400.0)
    with database.write() as session:
        Repository(session).record(job_id, 1, [_STARTED], batch=1)
    return job_id


@contextlib.contextmanager
def trained(database: Database, job_id: str) -> Generator[None]:
    """Report points and progress twice a second, as a worker does."""
    over = threading.Event()

    def report() -> None:
        batch = 1
        while not over.wait(_REPORT_SECONDS):
            batch += 1
            steps = [*range((batch - 2) * _REPORT_STEPS + 1, (batch - 1) * _REPORT_STEPS + 1)]
            keys = ("loss", "learning_rate", "loss/cross_entropy", "loss/kd")
            columns = {"step": steps, **{key: [1 / step for step in steps] for key in keys}}
            told = {"type": "metrics", "stage": "student-0", "seed": 0, "columns": columns}
            measured = {
                "type": "stage.evaluated",
                "stage": "student-0",
                "seed": 0,
                "step": steps[-1],
                "split": "validation",
                "metric": "accuracy",
                "scores": {"accuracy": 0.9, "loss": 0.1},
            }
            progress = {
                **_PLANNED,
                "type": "stage.progress",
                "stage": "student-0",
                "step": steps[-1],
                "epoch": 1.0,
                "metrics": {"loss": 1 / steps[-1]},
                "eta_seconds": 1000.0,
                "percent": steps[-1] / 10_000,
                "run_eta_seconds": 1000.0,
                "samples_per_second": 50_000.0,
            }
            with database.write() as session:
                repository = Repository(session)
                repository.heartbeat(job_id, 1, 60.0)
                repository.record(job_id, 1, [told, measured, progress], batch=batch)

    thread = threading.Thread(target=report)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Crowd:
    """Listeners that read whatever comes."""

    def __init__(self, port: int, path: str, count: int) -> None:
        """Connect them all, and wait until each has heard something."""
        self.bytes = 0
        self._over = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._sockets = [self._opened(port, path) for _ in range(count)]
        self._quiet = set(self._sockets)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        while self._quiet:
            time.sleep(0.05)

    def _opened(self, port: int, path: str) -> socket.socket:
        one = socket.create_connection(("127.0.0.1", port))
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        one.sendall(request.encode())
        self._selector.register(one, selectors.EVENT_READ, one)
        return one

    def _read(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(0.2):
                one: socket.socket = key.data
                content = one.recv(1 << 20)
                if not content:
                    sys.exit("a stream has ended; expected it to go on")
                self.bytes += len(content)
                self._quiet.discard(one)

    def close(self) -> None:
        """Leave."""
        self._over.set()
        self._thread.join()
        self._selector.close()
        for one in self._sockets:
            one.close()


@contextlib.contextmanager
def crowd(port: int, path: str, count: int) -> Generator[Crowd]:
    """Let so many listen."""
    one = Crowd(port, path, count)
    try:
        yield one
    finally:
        one.close()


def cores(server: Server, seconds: float) -> float:
    """Return how many cores a server uses."""
    process = psutil.Process(server.pid)
    before, began = process.cpu_times(), time.perf_counter()
    time.sleep(seconds)
    after, took = process.cpu_times(), time.perf_counter() - began
    return (after.user + after.system - before.user - before.system) / took


def training_seconds(folder: Path, steps: int) -> float:
    """Return how long a real training takes."""
    spec = folder / "spec.yaml"
    spec.write_text(_TRAINING.replace("STEPS", str(steps)))
    out = tempfile.mkdtemp(dir=folder)
    began = time.perf_counter()
    subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "kdcore", str(spec), out],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


def main() -> None:
    """Measure, and print the table."""
    parser = asked(__doc__, 5)
    parser.add_argument("--watchers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--steps", type=int, default=2000, help="of the training")
    options = parser.parse_args()
    seconds, watchers = options.seconds, options.watchers
    found: dict[str, list[float]] = {"alone": [], "watched": [], "bare": [], "extra": []}
    times: dict[str, list[float]] = {"alone": [], "watched": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'ledger.sqlite3'}"
        variables = {"STILLHOUSE_DATA": name, "STILLHOUSE_DATABASE_URL": url}
        variables["STILLHOUSE_LOG_LEVEL"] = "warning"
        port = free_port()
        api = [sys.executable, "-m", "api", "--port", str(port)]
        with Database(url) as database:
            migrate(database)
            job_id = begun(database)
            path = f"/jobs/{job_id}/live"
            table = Table("turn", "nobody", "watched", "bare", "beyond", "bytes each second")
            with running(api, port, **variables) as server, trained(database, job_id):
                with crowd(port, path, watchers):  # the first ones fill caches
                    cores(server, seconds)
                for turn in range(options.repeats):
                    alone = cores(server, seconds)
                    with crowd(port, path, watchers) as listening:
                        heard = listening.bytes
                        watched = cores(server, seconds)
                        size = (listening.bytes - heard) / seconds / watchers
                    bare = bare_cores(int(size * _DRAW_SECONDS), watchers, seconds)
                    extra = watched - alone - bare
                    for key, value in zip(found, (alone, watched, bare, extra), strict=True):
                        found[key].append(value)
                    cells = (f"{value:.3f}" for value in (alone, watched, bare, extra))
                    table.add(turn + 1, *cells, f"{size:,.0f}")
                for _ in range(options.repeats):
                    times["alone"].append(training_seconds(folder, options.steps))
                    with crowd(port, path, watchers):
                        times["watched"].append(training_seconds(folder, options.steps))
    print(f"\ncores for {watchers} open pages, beyond a bare server: {spread(found['extra'], 3)}")
    print(f"a training beside them / alone: {ratio(times['watched'], times['alone'])}")
    print(f"a training alone: {statistics.median(times['alone']):.1f} s")
    write(options.json, {"cores": found, "training_seconds": times})


def bare_cores(size: int, watchers: int, seconds: float) -> float:
    """Return what a server that only sends takes for as many bytes and listeners."""
    port = free_port()
    module = "benchmarks.stand.bare_stream"
    command = [sys.executable, "-m", module, str(port), str(size), str(_DRAW_SECONDS)]
    with running(command, port) as server, crowd(port, "/", watchers):
        return cores(server, seconds)


if __name__ == "__main__":
    main()

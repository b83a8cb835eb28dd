"""What may be wrong with a house, looked for from where its client is, with the way out of it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal

from stillhouse.address import data_folder
from stillhouse.client import Client
from stillhouse.errors import StillhouseError
from stillhouse.operation_bodies import Check, Pulse, Worker
from stillhouse.words import size

FLOORS: Final = {"torch": "2.10", "onnx": "1.21"}
"""Older ones run code that is hidden in files."""
CLOCK_SECONDS: Final = 5.0
ROOM_BYTES: Final = 1 << 30
_TRAIN: Final = "pip install --upgrade torch onnx"
_WAYS: Final = {
    "database": "is it running, and does STILLHOUSE_DATABASE_URL name it? its own log says more",
    "store": "can the server write to its artifacts (STILLHOUSE_ARTIFACTS), and is there room?",
    "data": "free some space in the server's data folder (STILLHOUSE_DATA), or make it writable",
    "broker": "is it running, and does STILLHOUSE_BROKER_URL name it? until then workers poll",
    "sweeper": "restart the server, or run `python -m worker sweeper`; the log says what fails",
}

Level = Literal["ok", "warning", "red"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    level: Level
    found: str
    way_out: str | None = None


def examine(client: Client) -> Iterator[Finding]:
    """Yield what is found, first here, then at the server, then at its workers."""
    yield from _here()
    try:
        pulse = client.operations.pulse()
    except StillhouseError as error:
        yield Finding("server", "red", str(error))
        return
    yield Finding("server", "ok", f"{client.url} answers (version {pulse.version})")
    yield from _same_version(pulse)
    yield from _same_time(pulse)
    try:
        yield from map(_of_check, client.operations.ready())
        workers = client.operations.workers()
    except StillhouseError as error:
        yield Finding("server", "red", str(error), "the server's log says more")
        return
    yield from _of_workers(workers, pulse.version)


def _here() -> Iterator[Finding]:
    yield Finding("client", "ok", f"version {_version('stillhouse')}, {platform.python_version()}")
    if (server := _version("stillhouse-server")) is not None:
        packages = {name: _version(name) for name in FLOORS}
        yield from _of_packages("packages here", packages, f"server {server} is installed here")
    folder = data_folder()
    if folder.is_dir():
        yield _of_folder(folder)


def _of_folder(folder: Path) -> Finding:
    if not os.access(folder, os.W_OK | os.X_OK):
        way = "give this user the right to write there, or name another folder: STILLHOUSE_DATA"
        return Finding("data folder here", "red", f"{folder} cannot be written to", way)
    return _of_room("data folder here", str(folder), shutil.disk_usage(folder).free)


def _of_room(check: str, where: str, free: int) -> Finding:
    found = f"{where}: {size(free)} are free"
    if free < ROOM_BYTES:
        return Finding(
            check, "warning", found, "checkpoints and teacher caches need more: free some"
        )
    return Finding(check, "ok", found)


def _of_packages(check: str, packages: dict[str, str | None], otherwise: str) -> Iterator[Finding]:
    for name, floor in FLOORS.items():
        here = packages.get(name)
        if here is None:
            found = f"{otherwise}, without {name}: no trainer can run"
            yield Finding(check, "warning", found, _TRAIN)
        elif _numbers(here) < _numbers(floor):
            found = f"{name} {here}, expected {floor} or newer: older ones are unsafe"
            yield Finding(check, "red", found, _TRAIN)
    told = ", ".join(f"{name} {here}" for name, here in packages.items() if here)
    yield Finding(check, "ok", f"{otherwise}, {told or 'nothing to train with'}")


def _same_version(pulse: Pulse) -> Iterator[Finding]:
    ours = _version("stillhouse")
    if ours != pulse.version:
        found = f"the client is {ours}, the server {pulse.version}"
        way = f"in a checkout of version {pulse.version}: pip install ./client"
        yield Finding("versions", "warning", found, way)
    else:
        yield Finding("versions", "ok", "client and server are the same")


def _same_time(pulse: Pulse) -> Iterator[Finding]:
    ahead = pulse.clock_ahead_seconds
    if ahead is None:
        return
    if abs(ahead) > CLOCK_SECONDS:
        found = f"the server's clock is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"
        way = "set both by NTP: times in lists and logs cannot be compared"
        yield Finding("clocks", "warning", found, way)
    else:
        yield Finding("clocks", "ok", "here and at the server alike, to a few seconds")


def _of_check(check: Check) -> Finding:
    name = check["name"]
    if check["ok"]:
        return Finding(name, "ok", check["detail"])
    return Finding(name, "red", check["detail"], _WAYS.get(name, "the server's log says more"))


def _of_workers(workers: list[Worker], server: str) -> Iterator[Finding]:
    alive = [worker for worker in workers if worker["alive"]]
    if not alive:
        gone = f"; {len(workers)} were there lately" if workers else ""
        way = "start one: `stillhouse up` has one, `python -m worker` is one"
        yield Finding("workers", "red", f"no worker is there, jobs wait{gone}", way)
        return
    at_work = [worker for worker in alive if not worker.get("draining")]
    if at_work:
        slots = sum(worker["slots"] for worker in at_work)
        yield Finding("workers", "ok", f"{len(at_work)} there, {slots} slots")
    else:
        found = f"all {len(alive)} that are there drain, jobs wait"
        yield Finding("workers", "red", found, "start another one: `python -m worker` is one")
    for worker in alive:
        yield from _of_worker(worker, server)


def _of_worker(worker: Worker, server: str) -> Iterator[Finding]:
    name, about = worker["id"], worker.get("about")
    if since := worker.get("draining_since"):
        found = f"{name} drains since {since} ({worker.get('draining')})"
        way = f"it ends once it runs no job; not to wait: workers drain {name} --mode save"
        yield Finding("worker", "warning", found, way)
    if not about:
        yield Finding("worker", "warning", f"{name} says nothing of itself", "upgrade it")
        return
    if about.get("version") != server:
        found = f"{name} is version {about.get('version')}, the server {server}"
        yield Finding("worker", "warning", found, "upgrade the older one")
    packages: dict[str, Any] = about.get("packages") or {}
    gpus: list[str] = about.get("gpus") or []
    seen = ", ".join(gpus) if gpus else "no GPU, trainers compute on the CPU"
    yield from _of_packages("worker", packages, f"{name}: {about.get('cores')} cores, {seen}")
    if (free := about.get("free_bytes")) is not None:
        yield _of_room("worker", name, int(free))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    release = text.partition("+")[0].split(".")[:2]
    return tuple(int("".join(filter(str.isdecimal, part)) or "0") for part in release)

"""The API against a bare FastAPI route: requests a second and CPU a request, in one run.

    python benchmarks/api.py [--database sqlite|postgresql] [--repeats 7] [--json FILE]

Two servers, each one uvicorn process set up alike: one with a single route that returns a small
JSON object, one that is ours. A load of 16 connections goes to one route at a time, on a loopback
address, in an order that is shuffled anew in each repetition; the ratios are taken inside a
repetition. Every POST sends another spec and is committed (SQLite with synchronous=FULL) before it
is answered: once with a name and seeds of its own, as who tries a recipe sends them, and once with
a recipe that the server has never seen. GETs go round over a thousand jobs.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from stand.databases import KINDS, empty_database
from stand.load import Window, load
from stand.serving import Server, free_port, running

ROOT = Path(__file__).resolve().parents[1]
CONNECTIONS = 16
JOBS = 1_000
SPEC: dict[str, Any] = {
    "teacher": "resnet56",
    "student": "resnet20",
    "data": {"name": "cifar100", "validation_size": 5000},
    "method": "dkd",
    "labels": {"team": "vision"},
    "gates": ["uplift > 0"],
}


async def hello() -> dict[str, str]:
    """Return next to nothing."""
    return {"hello": "world"}


def serve_bare(port: int) -> None:
    """Serve one route, with the server set up as ours is."""
    app = FastAPI()
    app.get("/hello")(hello)
    uvicorn.run(
        app, port=port, log_config=None, access_log=False, server_header=False, proxy_headers=False
    )


def request(method: str, path: str, body: bytes = b"", *more: str) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *more]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def posts(*, is_new: bool = False) -> Callable[[], bytes]:
    """Return what makes POSTs, no two with the same body; new ones also differ in the recipe."""
    seeds = itertools.count()

    def post() -> bytes:
        seed = next(seeds)
        spec = {**SPEC, "name": f"bench {seed}", "seeds": [seed]}
        if is_new:
            spec["training"] = {"learning_rate": 0.01 + seed * 1e-7}
        return request("POST", "/v1/jobs", json.dumps(spec).encode())

    return post


def gets(ids: list[str]) -> Callable[[], bytes]:
    """Return what asks for one job after another."""
    ready = itertools.cycle([request("GET", f"/v1/jobs/{job_id}") for job_id in ids])
    return lambda: next(ready)


def ids_of(url: str) -> list[str]:
    """Return jobs of a ledger."""
    from jobs.database import Database
    from jobs.repository import Repository

    with Database(url) as database, database.read() as session:
        return [job.id for job in Repository(session).list(limit=JOBS).items]


def main() -> None:
    """Measure, print a table, and write the numbers where they are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--database", choices=KINDS, default="sqlite")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve-bare", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve_bare:
        serve_bare(arguments.serve_bare)
        return
    windows: dict[str, list[Window]] = {}
    ports = free_port(), free_port()
    bare_command = [sys.executable, __file__, "--serve-bare", str(ports[0])]
    our_command = [sys.executable, "-m", "api", "--port", str(ports[1])]
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(empty_database(arguments.database))
        data = stack.enter_context(tempfile.TemporaryDirectory())
        house = {
            "STILLHOUSE_DATA": data,
            "STILLHOUSE_DATABASE_URL": url,
            "STILLHOUSE_MIGRATE": "1",
            "STILLHOUSE_LOG_LEVEL": "warning",
        }
        bare = stack.enter_context(running(bare_command, ports[0]))
        ours = stack.enter_context(running(our_command, ports[1], **house))
        post = posts()
        many = CONNECTIONS
        load(ours.port, ours.pid, post, seconds=3, connections=many, status=201)
        routes: dict[str, tuple[Server, Callable[[], bytes], int]] = {
            "bare": (bare, lambda: request("GET", "/hello"), 200),
            "GET /v1/jobs/{id}": (ours, gets(ids_of(url)), 200),
            "POST /v1/jobs": (ours, post, 201),
            "POST, a new recipe": (ours, posts(is_new=True), 201),
        }
        for _ in range(arguments.repeats):
            for name in random.sample(list(routes), len(routes)):
                server, make, status = routes[name]
                seconds = arguments.seconds
                found = load(
                    server.port, server.pid, make, seconds=seconds, connections=many, status=status
                )
                windows.setdefault(name, []).append(found)
    print(
        f"| {arguments.database} | requests/s | of bare, median [range] | CPU us | p50 / p99 ms |"
    )
    print("| --- | ---: | --- | ---: | --- |")
    results: dict[str, Any] = {}
    for name in routes:
        found, reference = windows[name], windows["bare"]
        ratios = [ours.rate / bare.rate for ours, bare in zip(found, reference, strict=True)]
        rate = statistics.median(one.rate for one in found)
        cpu = statistics.median(one.cpu_microseconds for one in found)
        p50, p99 = (statistics.median(one.percentile(at) for one in found) for at in (0.5, 0.99))
        print(
            f"| {name} | {rate:,.0f} | {statistics.median(ratios):.2f} "
            f"[{min(ratios):.2f}..{max(ratios):.2f}] | {cpu:.0f} | {p50:.1f} / {p99:.1f} |"
        )
        results[name] = {"requests_per_second": rate, "ratios": ratios, "cpu_microseconds": cpu}
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

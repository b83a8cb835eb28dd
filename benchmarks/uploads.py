"""Memory and speed of uploads: the highest memory of a real API while a large file comes in.

    python benchmarks/uploads.py [--mebibytes 1024] [--s3] [--json FILE]

One server process for each way: in one go as a body or a form, in parts, and with the S3 server of
the tests as store, where that is asked for. Resident memory at its highest, over what the server
takes once it has answered and taken one small file. The file is an .npz of noise, so it is looked
through as well; the client is another process. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
from stillhouse import Client

ROOT: Final = Path(__file__).resolve().parents[1]
MEBIBYTE: Final = 1 << 20
_START_SECONDS: Final = 90.0
WAYS: Final = ("in one go", "as a form", "in parts")


def write_arrays(path: Path, mebibytes: int) -> None:
    """Write an .npz that holds one array of noise."""
    length = mebibytes * MEBIBYTE
    told = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({length},), }}"
    header = told.encode().ljust(117) + b"\n"
    with (
        zipfile.ZipFile(path, "w", allowZip64=True) as archive,
        archive.open("x_train.npy", "w", force_zip64=True) as entry,
    ):
        entry.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        for _ in range(mebibytes):
            entry.write(os.urandom(MEBIBYTE))


@contextlib.contextmanager
def running_api(folder: Path, **variables: str) -> Generator[tuple[str, int]]:
    """Start an API on a folder; give its address and its process id."""
    port = folder / "port"
    environment = {**os.environ, "STILLHOUSE_DATA": str(folder), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(  # noqa: S603  # our own server
        [sys.executable, "-m", "api", "--port", "0", "--port-file", str(port)],
        env=environment | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    ) as process:
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not (port.exists() and port.read_text().strip()):
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError("the API does not start")
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port.read_text().strip()}", process.pid
        finally:
            process.kill()


def resident(process_id: int, which: str) -> float:
    """Return a process's resident memory in MiB: `VmRSS` now, `VmHWM` at its highest."""
    status = Path(f"/proc/{process_id}/status").read_text()
    found = re.search(rf"{which}:\s+(\d+) kB", status)
    assert found is not None  # noqa: S101  # every Linux tells
    return int(found[1]) / 1024


def blocks(path: Path) -> Iterator[bytes]:
    """Yield a file block by block."""
    with path.open("rb") as file:
        while block := file.read(MEBIBYTE):
            yield block


def send(url: str, path: Path, way: str) -> str:
    """Upload a file, and return the sha256 that the server has found."""
    if way == WAYS[0]:
        taken = httpx.post(f"{url}/v1/datasets?name={path.name}", content=blocks(path), timeout=600)
        taken.raise_for_status()
        return str(taken.json()["sha256"])
    if way == WAYS[1]:
        with path.open("rb") as file:
            taken = httpx.post(f"{url}/v1/datasets", files={"file": file}, timeout=600)
        taken.raise_for_status()
        return str(taken.json()["sha256"])
    with Client(url, timeout_seconds=600) as client:
        return client.datasets.upload(path)["sha256"]


def measured(way: str, path: Path, small: Path, **variables: str) -> dict[str, Any]:
    """Return what one upload takes of a fresh server."""
    with (
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
        running_api(Path(folder), **variables) as (url, process_id),
    ):
        send(url, small, way)
        before = resident(process_id, "VmRSS")
        Path(f"/proc/{process_id}/clear_refs").write_text("5")  # the highest so far is forgotten
        began = time.perf_counter()
        found = send(url, path, way)
        seconds = time.perf_counter() - began
        highest = resident(process_id, "VmHWM")
    with path.open("rb") as file:
        if found != hashlib.file_digest(file, "sha256").hexdigest():
            raise RuntimeError("the server has found other bytes")
    return {
        "way": way,
        "mebibytes": path.stat().st_size / MEBIBYTE,
        "before_mib": before,
        "over_mib": highest - before,
        "seconds": seconds,
    }


def bucket() -> tuple[Any, dict[str, str]]:
    """Start the S3 server of the tests; return it, and the settings that name a bucket of it."""
    sys.path.insert(0, str(ROOT / "tests"))
    tests: Any = importlib.import_module("s3_server")
    server = tests.S3Server()
    server.start()
    named: dict[str, Any] = tests.settings_of(server, server.make_bucket())
    keys: dict[str, str] = {key.upper(): value for key, value in tests.KEYS.items()}
    return server, keys | {f"STILLHOUSE_{key.upper()}": value for key, value in named.items()}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--s3", action="store_true", help="with a bucket as store, too")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        path, small = Path(folder) / "large.npz", Path(folder) / "small.npz"
        write_arrays(path, asked.mebibytes)
        write_arrays(small, 1)
        rows += [measured(way, path, small) for way in WAYS]
        if asked.s3:
            server, variables = bucket()
            running.callback(server.kill)
            for way in WAYS:
                row = measured(way, path, small, **variables)
                rows.append(row | {"way": f"{way}, S3"})
    for row in rows:
        print(
            f"{row['way']:<14} {row['mebibytes']:7.0f} MiB  {row['seconds']:6.1f} s "
            f" highest {row['over_mib']:6.1f} MiB over {row['before_mib']:.0f}"
        )
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()

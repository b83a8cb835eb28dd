"""`stillhouse up`: one thing that starts and stops together, and leaves nobody behind."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import httpx
import psutil
import pytest
import stillhouse.up
from stand import ROOT, SPEC, environment, run_cli
from stillhouse.errors import UpError
from stillhouse.up import DEFAULT_PORT, House, choose_port, only_one
from waiting import wait_until

pytestmark = pytest.mark.slow


@dataclass
class Up:
    """A running `stillhouse up`."""

    process: subprocess.Popen[str]
    data: Path
    url: str
    family: list[psutil.Process]
    """Every process below it."""

    def log(self, name: str) -> str:
        """What a child has said."""
        return (self.data / "logs" / f"{name}.log").read_text()

    def all_gone(self, seconds: float = 30.0) -> None:
        """Wait until none of the family is left."""
        _, alive = psutil.wait_procs(self.family, timeout=seconds)
        assert not alive


def start(data: Path, *arguments: str, cwd: Path = ROOT, **env: str) -> Up:
    log = data.parent / "up.err"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "stillhouse",
                "up",
                "--data",
                str(data),
                "--json",
                *arguments,
            ],
            env=environment(**env),
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    line = cast("IO[str]", process.stdout).readline()
    assert line, log.read_text()
    told = json.loads(line)
    assert told["pid"] == process.pid
    family = psutil.Process(process.pid).children(recursive=True)
    return Up(process, data, told["url"], family)


def finish(up: Up) -> None:
    """End it in any case."""
    for process in up.family:
        if process.is_running():
            process.kill()
    up.process.kill()
    up.process.communicate()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """One API and two workers on a fresh folder."""
    running = start(tmp_path / "data", "--port", "0", STILLHOUSE_WORKERS="2")
    yield running
    finish(running)


def test_it_serves_and_control_c_stops_all(up: Up, tmp_path: Path) -> None:
    assert len(up.family) == 3
    assert httpx.get(f"{up.url}/readyz").is_success
    told = json.loads((up.data / "server.json").read_text())
    assert told == {"url": up.url, "pid": up.process.pid}
    # Commands find the server by its data folder.
    found = run_cli("list", "--json", STILLHOUSE_DATA=str(up.data))
    assert found.code == 0
    assert found.json["data"] == []

    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 0
    up.all_gone(1)
    assert not (up.data / "server.json").exists()
    assert "Stopped." in (tmp_path / "up.err").read_text()


def test_a_second_one_on_the_folder_is_refused_with_the_address(up: Up) -> None:
    said = run_cli("up", "--data", str(up.data), "--port", "0", "--json")
    assert said.code == 1
    assert up.url in said.err
    assert up.url in said.json["error"]["detail"]
    assert httpx.get(f"{up.url}/readyz").is_success


def train_long(up: Up) -> dict[str, Any]:
    """Submit a job without an end, and wait until its trainer has taken a step."""
    long = {**SPEC, "training": {"max_steps": 1_000_000}}
    job: dict[str, Any] = httpx.post(f"{up.url}/v1/jobs", json=long).raise_for_status().json()
    address = f"{up.url}/v1/jobs/{job['id']}"
    wait_until(lambda: (httpx.get(address).json()["progress"] or {}).get("step"), seconds=60)
    up.family = psutil.Process(up.process.pid).children(recursive=True)
    assert len(up.family) >= 4
    return job


def test_sigkill_leaves_nobody_behind(up: Up) -> None:
    train_long(up)
    up.process.kill()
    up.process.wait()
    up.all_gone()
    # And the folder is free for the next one.
    again = start(up.data, "--port", "0")
    again.process.terminate()
    assert again.process.wait(60) == 0
    finish(again)


def test_a_running_job_is_put_back_when_it_stops(up: Up) -> None:
    job = train_long(up)
    up.process.terminate()
    assert up.process.wait(90) == 0
    up.all_gone(1)

    again = start(up.data, "--port", "0", STILLHOUSE_WORKERS="0")
    try:
        found = httpx.get(f"{again.url}/v1/jobs/{job['id']}").json()
        assert (found["status"], found["attempt"]) == ("queued", 1)
        kinds = [
            event["type"]
            for event in httpx.get(f"{again.url}/v1/jobs/{job['id']}/events").json()["data"]
        ]
        assert kinds[-2:] == ["run.stopped", "attempt.ended"]
        assert list((up.data / "work" / job["id"]).rglob("checkpoints/*/*/manifest.json"))
        again.process.terminate()
        assert again.process.wait(60) == 0
    finally:
        finish(again)


def test_a_child_that_dies_is_told_of_and_started_again(up: Up, tmp_path: Path) -> None:
    victims = {
        name: next(one for one in up.family if f" {module} " in f"{' '.join(one.cmdline())} ")
        for name, module in {"api": "api", "worker-1": "worker"}.items()
    }
    for victim in victims.values():
        victim.kill()
    wait_until(lambda: (tmp_path / "up.err").read_text().count("starts again") == 2)
    said = (tmp_path / "up.err").read_text()
    assert "api ended by itself (signal SIGKILL)" in said
    assert "signal SIGKILL" in said

    def serves() -> bool:
        try:
            return httpx.get(f"{up.url}/readyz").is_success
        except httpx.HTTPError:
            return False

    wait_until(serves, seconds=60)
    up.family += psutil.Process(up.process.pid).children(recursive=True)


def test_a_worker_that_was_drained_is_not_started_again(up: Up, tmp_path: Path) -> None:
    wait_until(lambda: len(run_cli("workers", "--json", url=up.url).json) == 2)
    drained, other = (one["id"] for one in run_cli("workers", "--json", url=up.url).json)
    said = run_cli("workers", "drain", drained, "--wait", "--timeout", "60", url=up.url)
    assert said.code == 0, said.err
    wait_until(lambda: "has drained" in (tmp_path / "up.err").read_text())
    assert [one["id"] for one in run_cli("workers", "--json", url=up.url).json] == [other]
    assert "starts again" not in (tmp_path / "up.err").read_text()


def test_an_api_that_keeps_dying_stops_everything(up: Up, tmp_path: Path) -> None:
    def apis() -> list[psutil.Process]:
        """Return the API's process, where it is alive."""
        found: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):  # it may die while it is looked at
            for one in psutil.Process(up.process.pid).children():
                with contextlib.suppress(psutil.Error):
                    if " api " in " ".join(one.cmdline()):
                        found.append(one)
        return found

    for _ in range(3):
        (api,) = apis()
        api.kill()
        api.wait(10)
        wait_until(lambda: up.process.poll() is not None or apis())
    assert up.process.wait(60) == 1
    up.all_gone(1)
    assert "the API keeps ending" in (tmp_path / "up.err").read_text()


def test_a_second_control_c_does_not_wait(up: Up, tmp_path: Path) -> None:
    stuck = next(one for one in up.family if " worker" in " ".join(one.cmdline()))
    stuck.suspend()
    up.process.send_signal(signal.SIGINT)
    # Two signals at once would be one.
    wait_until(lambda: "Stopping" in (tmp_path / "up.err").read_text())
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(15) == 0
    up.all_gone(1)


def test_a_wanted_port_that_is_taken_is_an_error_and_the_default_one_is_not() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UpError, match=f"cannot listen on 127.0.0.1:{port}"):
            choose_port("127.0.0.1", port)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", DEFAULT_PORT))
            taken.listen()
        except OSError:
            pass  # somebody else has it: as good for this test
        assert choose_port("127.0.0.1", None) != DEFAULT_PORT


def test_without_the_server_packages_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stillhouse.up, "_NEEDED", ("no_such_module_of_the_server",))
    house = House(tmp_path, "127.0.0.1", 0, 1, tell=print)
    with pytest.raises(UpError, match=r"pip install 'stillhouse-server\[train\]'"):
        house.run(lambda: None)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UpError, match="name another with --data"), only_one(tmp_path / "file"):
        pass


def test_python_files_in_the_current_folder_are_not_taken_for_ours(tmp_path: Path) -> None:
    for name in ("jobs", "api", "worker", "kdcore", "redis"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('somebody else')")
    running = start(tmp_path / "data", "--port", "0", cwd=tmp_path)
    try:
        assert httpx.get(f"{running.url}/readyz").is_success
        assert (tmp_path / "data/inputs").is_dir()
    finally:
        finish(running)
